//! Finds Go, or fetches it, so that a machine with only Rust can build the control plane, too.
//!
//! Go's own toolchains are published as a Go module, `golang.org/toolchain`. Its checksums, here as
//! in go.sum, are in the public checksum database:
//! <https://sum.golang.org/lookup/golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64>.

use std::fs::{self, File, Permissions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::{ZipError, ZipResult};

use crate::cache::{self, CacheError};
use crate::module_proxy::{self, ProxyError};
use crate::progress;

const MODULE: &str = "golang.org/toolchain";
const VERSION: &str = "go1.26.8";

/// By operating system and processor in Rust's terms: the platform in Go's terms, and the checksum
/// of its toolchain.
const PINNED: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "linux-amd64",
        "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
    ),
    (
        "linux",
        "aarch64",
        "linux-arm64",
        "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
    ),
    (
        "macos",
        "x86_64",
        "darwin-amd64",
        "h1:7/9KPPN8PckcA9s91hm2jmQMhzW4KyTJXHIs45L0C9M=",
    ),
    (
        "macos",
        "aarch64",
        "darwin-arm64",
        "h1:dFjGhY6f8DTsY8/rLchUTDRRfjJP4pCrGCwxvHFT2Fg=",
    ),
];

/// Why Go is not available.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// The cache folder could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The module could not be fetched.
    #[error(
        "Go is not installed and cannot be fetched: {0}; or install Go 1.26 or newer from \
         https://go.dev/dl"
    )]
    Proxy(#[from] ProxyError),
    /// No toolchain is pinned for this platform.
    #[error(
        "Go is not installed, and no toolchain is pinned for {os} on {arch}: install Go 1.26 or \
         newer from https://go.dev/dl",
        os = std::env::consts::OS,
        arch = std::env::consts::ARCH
    )]
    Unpinned,
    /// The fetched module is not the pinned one.
    #[error(
        "{MODULE} {version} has the checksum {found}, expected {expected}: the proxy in GOPROXY \
         serves another module; use another proxy, or install Go from https://go.dev/dl"
    )]
    Checksum {
        /// The version that was fetched.
        version: String,
        /// Its checksum.
        found: String,
        /// The pinned one.
        expected: &'static str,
    },
    /// The module's zip could not be read.
    #[error("cannot unpack {MODULE} {version}: {why}")]
    Zip {
        /// The version that was fetched.
        version: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The `go` command of this machine, or else one of our own in the cache.
pub(crate) async fn find() -> Result<PathBuf, GoError> {
    if runs(Path::new("go")) {
        Ok("go".into())
    } else {
        fetch().await
    }
}

fn runs(go: &Path) -> bool {
    let mut version = Command::new(go);
    version
        .arg("version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

async fn fetch() -> Result<PathBuf, GoError> {
    let (.., platform, expected) = PINNED
        .into_iter()
        .find(|(os, arch, ..)| (*os, *arch) == (std::env::consts::OS, std::env::consts::ARCH))
        .ok_or(GoError::Unpinned)?;
    let toolchains = cache::cache_dir()?.join("go");
    let folder = toolchains.join(format!("{VERSION}-{platform}"));
    let go = folder.join("bin/go");
    if runs(&go) {
        return Ok(go);
    }
    let _lock = cache::lock(&toolchains).await?;
    if !runs(&go) {
        progress::say(&format!("Go is not installed; fetching {VERSION} (72 MB)"));
        let version = format!("v0.0.1-{VERSION}.{platform}");
        let zip = module_proxy::fetch_zip(MODULE, &version).await?;
        install(zip, &version, expected, &toolchains, &folder)?;
    }
    Ok(go)
}

/// Checks the zip, unpacks it in a folder of its own, and renames that into place when it is
/// complete.
fn install(
    zip: Vec<u8>,
    version: &str,
    expected: &'static str,
    toolchains: &Path,
    folder: &Path,
) -> Result<(), GoError> {
    let broken = |error: ZipError| GoError::Zip {
        version: version.to_owned(),
        why: error.to_string(),
    };
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(broken)?;
    let found = module_checksum(&mut archive).map_err(broken)?;
    if found != expected {
        return Err(GoError::Checksum {
            version: version.to_owned(),
            found,
            expected,
        });
    }
    // A process that was killed may have left one.
    let unpacking = toolchains.join(".unpacking");
    cache::remove_dir(&unpacking)?;
    unpack(&mut archive, &format!("{MODULE}@{version}"), &unpacking).map_err(broken)?;
    cache::replace_dir(&unpacking, folder)?;
    Ok(())
}

/// The checksum of a module as in go.sum: computed over the names and checksums of its files, so
/// independent of the compression. <https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash#Hash1>
fn module_checksum<R: Read + io::Seek>(archive: &mut ZipArchive<R>) -> ZipResult<String> {
    let mut names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    names.sort();
    let mut all = Sha256::new();
    for name in names {
        let mut content = Vec::new();
        archive.by_name(&name)?.read_to_end(&mut content)?;
        all.update(format!("{}  {name}\n", cache::sha256(&content)));
    }
    Ok(format!("h1:{}", BASE64_STANDARD.encode(all.finalize())))
}

/// Unpacks the files below `root` in the archive.
///
/// A module can hold neither another module nor file permissions. So `go.mod` files are called
/// `_go.mod`, and programs have to be made executable. Go does the same with the toolchains that it
/// fetches.
fn unpack<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    root: &str,
    folder: &Path,
) -> ZipResult<()> {
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let path = file
            .enclosed_name()
            .and_then(|path| Some(path.strip_prefix(root).ok()?.to_owned()));
        let Some(path) = path.filter(|_| file.is_file()) else {
            continue;
        };
        let to = match path.file_name() {
            Some(name) if name == "_go.mod" => folder.join(path.with_file_name("go.mod")),
            _ => folder.join(&path),
        };
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        let mut unpacked = File::create(&to)?;
        io::copy(&mut file, &mut unpacked)?;
        if path.starts_with("bin") || path.starts_with("pkg/tool") {
            unpacked.set_permissions(Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn zip(files: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            writer
                .start_file(format!("{MODULE}@v1/{name}"), SimpleFileOptions::default())
                .unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    const FILES: [(&str, &str); 3] = [
        ("src/_go.mod", "module std\n"),
        ("bin/go", "#!/bin/sh\nexit 0\n"),
        ("VERSION", "go1\n"),
    ];
    /// Computed with `sha256sum` and `openssl base64` over the list that the reference describes.
    const CHECKSUM: &str = "h1:MyDc9RpIPCqnJdwHG4vyUq40nISaD3/iN9l8vHELrEY=";

    #[test]
    fn a_toolchain_is_checked_and_made_runnable() {
        let toolchains = tempfile::tempdir().unwrap();
        let folder = toolchains.path().join("go1");
        install(zip(&FILES), "v1", CHECKSUM, toolchains.path(), &folder).unwrap();
        assert!(runs(&folder.join("bin/go")));
        assert_eq!(
            fs::read_to_string(folder.join("src/go.mod")).unwrap(),
            "module std\n"
        );
        assert!(!folder.join("src/_go.mod").exists());
    }

    #[test]
    fn another_toolchain_is_refused_before_it_is_unpacked() {
        let toolchains = tempfile::tempdir().unwrap();
        let folder = toolchains.path().join("go1");
        let forged = zip(&[("bin/go", "#!/bin/sh\nexit 1\n")]);
        let error = install(forged, "v1", CHECKSUM, toolchains.path(), &folder).unwrap_err();
        assert!(matches!(error, GoError::Checksum { .. }));
        assert!(error.to_string().contains(CHECKSUM), "{error}");
        assert!(!folder.exists());
    }

    #[test]
    fn the_pinned_version_is_the_one_that_the_modules_ask_for_or_newer() {
        let minor = |version: &str| version.split('.').nth(1).map(str::to_owned);
        let wanted = include_str!("../build/kubernetes/go.mod")
            .lines()
            .find_map(|line| line.strip_prefix("go "))
            .unwrap();
        assert_eq!(minor(VERSION), minor(wanted));
    }
}
