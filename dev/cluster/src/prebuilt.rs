//! Programs that somebody else has built: from Kubernetes' release, or from an archive of your own.
//! Fetching them takes a minute instead of ten.
//!
//! | Variable | What it holds |
//! |---|---|
//! | `KEYLOAN_PROGRAMS` | `URL#sha256=DIGEST` of an archive that [`pack`] made: of all programs, for this kind of machine. |
//! | `KEYLOAN_MIRROR` | Where Kubernetes' releases are, if not at `https://dl.k8s.io`. |
//!
//! Nothing is used unless its checksum equals one that is known in advance. If a release cannot be
//! fetched, its programs are built from their Go modules instead. If an archive was named and
//! cannot be used, that is an error.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{collections::BTreeSet, env};

use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256, Sha512};
use url::Url;

use crate::cache::{self, CacheError};
use crate::progress;

const ARCHIVE: &str = "KEYLOAN_PROGRAMS";
const MIRROR: &str = "KEYLOAN_MIRROR";
const KUBERNETES: &str = "https://dl.k8s.io";

/// The longest wait for a connection. Without a network, connecting fails at once; where packets
/// are dropped silently, it fails after this time.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest wait between two pieces of a response.
const READ: Duration = Duration::from_secs(60);

/// An archive of a project's release.
struct Release {
    os: &'static str,
    arch: &'static str,
    path: &'static str,
    sha512: &'static str,
}

/// Kubernetes publishes its servers for Linux only, and their checksums in its changelog:
/// <https://github.com/kubernetes/kubernetes/blob/master/CHANGELOG/CHANGELOG-1.37.md#server-binaries>.
/// etcd and helm publish their checksums only beside the programs, which proves nothing about the
/// origin of either. These programs are small and are built.
const RELEASES: [Release; 2] = [
    Release {
        os: "linux",
        arch: "x86_64",
        path: "v1.37.2/kubernetes-server-linux-amd64.tar.gz",
        sha512: "0956faf23fbe144f7b7d787bd3c9fa601a2916c30152d7788f4d5155168d1db353e252ee865f196c55c24b5c1e8ef9aa351ce5aa34afe2506ed5f88864f6ce0c",
    },
    Release {
        os: "linux",
        arch: "aarch64",
        path: "v1.37.2/kubernetes-server-linux-arm64.tar.gz",
        sha512: "cd1b134bbc30a3ba07579556ee03b630412adbc443b262d5fe42527c6c316393b1cc4a58ba2fb83b030c571494dcae6a8d49818245c192efc97ffcedd90b0b41",
    },
];

/// The programs of that release that are used here.
const OF_KUBERNETES: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kubectl"];

/// Why programs that somebody else has built cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrebuiltError {
    /// The variable does not have the form of an address with a checksum.
    #[error(
        "{ARCHIVE} is not of the form URL#sha256=DIGEST, as `cargo xtask programs` prints it: {0}"
    )]
    Malformed(String),
    /// The archive could not be fetched.
    #[error("cannot fetch {from}: {why}")]
    Fetch {
        /// The address, without a password.
        from: String,
        /// Why it failed.
        why: String,
    },
    /// The archive is not the expected one.
    #[error("{from} has the checksum {found}, expected {expected}")]
    Checksum {
        /// The address of the archive.
        from: String,
        /// Its checksum.
        found: String,
        /// The expected one.
        expected: String,
    },
    /// The archive could not be unpacked or packed.
    #[error("cannot read or write {path}: {source}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The cache folder could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A checksum that is known in advance.
#[derive(Clone, Debug, PartialEq)]
enum Checksum {
    Sha256(String),
    Sha512(String),
}

/// Fetches into a folder those of the programs that somebody else has built, and returns their
/// names; `work` is a folder that the caller removes.
pub(crate) async fn fetch(
    programs: &[&'static str],
    work: &Path,
    into: &Path,
) -> Result<BTreeSet<&'static str>, PrebuiltError> {
    if let Ok(named) = env::var(ARCHIVE)
        && !named.is_empty()
    {
        return fetch_archive(&named, programs, into).await;
    }
    let wanted: Vec<_> = programs
        .iter()
        .copied()
        .filter(|name| OF_KUBERNETES.contains(name))
        .collect();
    let release = RELEASES
        .iter()
        .find(|release| (release.os, release.arch) == (env::consts::OS, env::consts::ARCH));
    let Some(release) = release.filter(|_| !wanted.is_empty()) else {
        return Ok(BTreeSet::new());
    };
    let mirror = env::var(MIRROR).ok().filter(|mirror| !mirror.is_empty());
    let base = mirror.as_deref().unwrap_or(KUBERNETES);
    let expected = Checksum::Sha512(release.sha512.to_owned());
    let archive = work.join("release.tar.gz");
    let fetched = async {
        download(&joined(base, release.path)?, &expected, &archive).await?;
        unpack(&archive, &wanted, into, |name| {
            format!("kubernetes/server/bin/{name}")
        })
    };
    match fetched.await {
        Ok(found) => Ok(found),
        Err(error) => {
            progress::say(&format!(
                "{error}; building Kubernetes from its Go modules instead"
            ));
            Ok(BTreeSet::new())
        }
    }
}

/// All programs are in one archive, which is fetched once.
async fn fetch_archive(
    named: &str,
    programs: &[&'static str],
    into: &Path,
) -> Result<BTreeSet<&'static str>, PrebuiltError> {
    let (url, digest) = parsed(named)?;
    let folder = cache::cache_dir()?.join("programs");
    let _lock = cache::lock(&folder).await?;
    let archive = folder.join(format!("{digest}.tar.gz"));
    if cache::sha256_of_file(&archive)?.as_deref() != Some(&digest) {
        download(&url, &Checksum::Sha256(digest), &archive).await?;
    }
    unpack(&archive, programs, into, in_archive)
}

fn parsed(named: &str) -> Result<(Url, String), PrebuiltError> {
    let malformed = || PrebuiltError::Malformed(without_password(named));
    let (url, digest) = named.split_once("#sha256=").ok_or_else(malformed)?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    match Url::parse(url) {
        Ok(url) if is_digest => Ok((url, digest.to_ascii_lowercase())),
        _ => Err(malformed()),
    }
}

fn joined(base: &str, path: &str) -> Result<Url, PrebuiltError> {
    let url = format!("{}/{path}", base.trim_end_matches('/'));
    Url::parse(&url).map_err(|error| PrebuiltError::Fetch {
        from: without_password(&url),
        why: error.to_string(),
    })
}

/// The address without the password that it may contain.
fn without_password(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        Err(_) => "an address that cannot be parsed".to_owned(),
    }
}

/// The path of a program in an archive of [`pack`].
fn in_archive(name: &str) -> String {
    format!("{}-{}/{name}", env::consts::OS, env::consts::ARCH)
}

/// Downloads into a file; keeps the file only if it has the expected checksum.
async fn download(url: &Url, expected: &Checksum, file: &Path) -> Result<(), PrebuiltError> {
    let from = without_password(url.as_str());
    let failed = |error: reqwest::Error| PrebuiltError::Fetch {
        from: from.clone(),
        why: {
            let error = error.without_url();
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.map_or(error.to_string(), |cause| format!("{error}: {cause}"))
        },
    };
    let written = |source| PrebuiltError::Archive {
        path: file.to_owned(),
        source,
    };
    progress::say(&format!("fetching {from}"));
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .build()
        .map_err(&failed)?;
    let answer = client.get(url.clone()).send().await;
    let mut answer = answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(&failed)?;
    let size = answer.content_length();
    let folder = file.parent().unwrap_or(Path::new("."));
    cache::create_dir(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(written)?;
    let (mut sha256, mut sha512) = (Sha256::new(), Sha512::new());
    let line = progress::Line::new();
    let (mut got, mut shown) = (0, Instant::now());
    while let Some(piece) = answer.chunk().await.map_err(&failed)? {
        match expected {
            Checksum::Sha256(_) => sha256.update(&piece),
            Checksum::Sha512(_) => sha512.update(&piece),
        }
        temporary.write_all(&piece).map_err(written)?;
        got += piece.len() as u64;
        if shown.elapsed() >= line.interval() {
            line.update(&megabytes(got, size));
            shown = Instant::now();
        }
    }
    line.finish(&megabytes(got, size));
    let (found, expected) = match expected {
        Checksum::Sha256(expected) => (HEXLOWER.encode(&sha256.finalize()), expected),
        Checksum::Sha512(expected) => (HEXLOWER.encode(&sha512.finalize()), expected),
    };
    if found != *expected {
        return Err(PrebuiltError::Checksum {
            from,
            found,
            expected: expected.clone(),
        });
    }
    temporary
        .persist(file)
        .map_err(|error| written(error.error))?;
    Ok(())
}

fn megabytes(got: u64, size: Option<u64>) -> String {
    let of = size.map_or(String::new(), |size| format!(" of {}", size >> 20));
    format!("{}{of} MiB", got >> 20)
}

/// Unpacks programs from an archive.
fn unpack(
    archive: &Path,
    programs: &[&'static str],
    into: &Path,
    path_of: impl Fn(&str) -> String,
) -> Result<BTreeSet<&'static str>, PrebuiltError> {
    let failed = |source| PrebuiltError::Archive {
        path: archive.to_owned(),
        source,
    };
    let read = File::open(archive).map_err(failed)?;
    let mut entries = tar::Archive::new(GzDecoder::new(io::BufReader::new(read)));
    let mut found = BTreeSet::new();
    for entry in entries.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?.into_owned();
        let name = programs
            .iter()
            .find(|name| path == Path::new(&path_of(name)));
        if let Some(name) = name {
            entry.unpack(into.join(name)).map_err(failed)?;
            found.insert(*name);
        }
    }
    Ok(found)
}

/// Packs programs into an archive, and returns its checksum.
pub(crate) fn pack(programs: &[PathBuf], archive: &Path) -> Result<String, PrebuiltError> {
    let failed = |source| PrebuiltError::Archive {
        path: archive.to_owned(),
        source,
    };
    let write = || -> io::Result<()> {
        let file = io::BufWriter::new(File::create(archive)?);
        let mut packed = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        for program in programs {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            packed.append_path_with_name(program, in_archive(&name))?;
        }
        packed.into_inner()?.finish()?.flush()
    };
    write().map_err(failed)?;
    let bytes = fs::read(archive).map_err(failed)?;
    Ok(cache::sha256(&bytes))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn an_archive(folder: &Path) -> (PathBuf, String) {
        let program = folder.join("etcd");
        fs::write(&program, "a program").unwrap();
        let archive = folder.join("programs.tar.gz");
        let digest = pack(&[program], &archive).unwrap();
        (archive, digest)
    }

    /// Serves a file once, and returns its address.
    fn serve(content: Vec<u8>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/programs.tar.gz", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let _ = io::Read::read(&mut stream, &mut head).unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                content.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
            stream.write_all(&content).unwrap();
        });
        Url::parse(&url).unwrap()
    }

    #[tokio::test]
    async fn what_was_packed_is_fetched_and_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (archive, digest) = an_archive(folder.path());
        let url = serve(fs::read(archive).unwrap());
        let fetched = folder.path().join("fetched.tar.gz");
        download(&url, &Checksum::Sha256(digest), &fetched)
            .await
            .unwrap();
        let into = folder.path().join("into");
        fs::create_dir(&into).unwrap();
        let found = unpack(&fetched, &["etcd", "helm"], &into, in_archive).unwrap();
        assert_eq!(
            found,
            BTreeSet::from(["etcd"]),
            "helm still has to be built"
        );
        assert_eq!(fs::read_to_string(into.join("etcd")).unwrap(), "a program");
    }

    #[tokio::test]
    async fn another_archive_is_refused_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let fetched = folder.path().join("fetched.tar.gz");
        let expected = Checksum::Sha512("00".into());
        let refused = download(&serve(b"something else".into()), &expected, &fetched).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("expected 00"), "{refused}");
        assert!(!fetched.exists());
    }

    #[test]
    fn the_variable_names_an_archive_and_its_checksum() {
        let digest = "ab".repeat(32);
        let (url, found) = parsed(&format!(
            "https://me:secret@mirror/p.tar.gz#sha256={digest}"
        ))
        .unwrap();
        assert_eq!((url.path(), found), ("/p.tar.gz", digest));
        let error = parsed("https://me:secret@mirror/p.tar.gz").unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("https://mirror/p.tar.gz") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn a_mirror_has_the_paths_of_the_original() {
        let url = joined("https://mirror/kubernetes/", RELEASES[0].path).unwrap();
        assert_eq!(
            url.as_str(),
            "https://mirror/kubernetes/v1.37.2/kubernetes-server-linux-amd64.tar.gz"
        );
    }

    #[test]
    fn the_releases_are_of_the_version_that_is_built() {
        let version = crate::go_programs::KUBERNETES_VERSION;
        assert!(
            RELEASES
                .iter()
                .all(|release| release.path.starts_with(version))
        );
    }
}
