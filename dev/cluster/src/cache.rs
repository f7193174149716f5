//! The cache folder: what took long to fetch or build, kept outside `target/` so that `cargo clean` costs nothing.
//!
//! A thing is made under a lock and renamed into place when it is whole, so two processes neither make it twice nor
//! see it half made.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::progress;

/// Why the cache folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No variable says where the folder is.
    #[error(
        "no place for the cache: set KEYLOAN_CACHE to a folder (XDG_CACHE_HOME and HOME are not set either)"
    )]
    NoPlace,
    /// A file or folder in the cache could not be read or written.
    #[error("cannot {action} {path}: {source}; KEYLOAN_CACHE may name another cache folder")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The cache folder: `$KEYLOAN_CACHE`, else `$XDG_CACHE_HOME/keyloan`, else `~/.cache/keyloan`. It may not exist yet.
///
/// Each thing in it has a sub-folder named by its version (and its platform, where that matters).
pub fn cache_dir() -> Result<PathBuf, CacheError> {
    from_variables(|name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    })
}

fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, CacheError> {
    if let Some(path) = variable("KEYLOAN_CACHE") {
        return Ok(path);
    }
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map(|caches| caches.join("keyloan"))
        .ok_or(CacheError::NoPlace)
}

/// Held while something is made in the cache; other processes that want the same wait. Dropping it lets them go on.
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock beside `folder`, saying so when it has to wait for another process.
pub(crate) async fn lock(folder: &Path) -> Result<Lock, CacheError> {
    create_dir(folder)?;
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(|source| failed("create", &path, source))?;
    let file = match file.try_lock() {
        Ok(()) => file,
        Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
        Err(TryLockError::WouldBlock) => {
            progress::say(&format!(
                "waiting for another process that works in {}",
                folder.display()
            ));
            let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
            waiting
                .await
                .map_err(io::Error::other)
                .flatten()
                .map_err(|source| failed("lock", &path, source))?
        }
    };
    Ok(Lock { _file: file })
}

/// Creates a folder and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<(), CacheError> {
    fs::create_dir_all(path).map_err(|source| failed("create", path, source))
}

/// Removes a folder and all in it, if there is one.
pub(crate) fn remove_dir(path: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, error)),
        _ => Ok(()),
    }
}

/// Moves a folder to where another one may be, which is removed.
pub(crate) fn replace_dir(fresh: &Path, path: &Path) -> Result<(), CacheError> {
    remove_dir(path)?;
    fs::rename(fresh, path).map_err(|source| failed("move a new folder to", path, source))
}

/// Writes a file that is either there as a whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir(folder)?;
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        io::Write::write_all(&mut file, bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    });
    written.map_err(|source| failed("write", path, source))
}

/// Writes into the file that is there, which somebody may have open.
pub(crate) fn write_over(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    fs::write(path, bytes).map_err(|source| failed("write", path, source))
}

/// The SHA-256 of some bytes, in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The SHA-256 of a file; none if there is no such file.
pub(crate) fn sha256_of_file(path: &Path) -> Result<Option<String>, CacheError> {
    let hash = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match io::Read::read(&mut file, &mut buffer)? {
                0 => return Ok(HEXLOWER.encode(&hasher.finalize())),
                read => hasher.update(&buffer[..read]),
            }
        }
    };
    match hash() {
        Ok(digits) => Ok(Some(digits)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

/// The error of something that was tried on a path.
pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> CacheError {
    CacheError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let value = |name: &str| variables.iter().find(|(n, _)| *n == name);
        from_variables(|name| value(name).map(|(_, path)| PathBuf::from(path))).ok()
    }

    #[test]
    fn the_cache_is_where_the_nearest_variable_says() {
        let home = ("HOME", "/home/alice");
        let xdg = ("XDG_CACHE_HOME", "/caches");
        let own = ("KEYLOAN_CACHE", "/keyloan");
        assert_eq!(place(&[home]), Some("/home/alice/.cache/keyloan".into()));
        assert_eq!(place(&[home, xdg]), Some("/caches/keyloan".into()));
        assert_eq!(place(&[home, xdg, own]), Some("/keyloan".into()));
        assert_eq!(place(&[]), None);
    }

    #[tokio::test]
    async fn a_second_lock_waits_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).await.unwrap();
        let mut second = Box::pin(lock(folder.path()));
        let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut second).await;
        assert!(early.is_err(), "the lock was given twice");
        drop(first);
        second.await.unwrap();
    }

    #[test]
    fn the_checksum_of_a_file_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(sha256_of_file(&path).unwrap(), None);
        write(&path, b"abc").unwrap();
        assert_eq!(sha256_of_file(&path).unwrap(), Some(sha256(b"abc")));
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
