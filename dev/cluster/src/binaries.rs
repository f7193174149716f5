//! Finds the programs of the control plane, or builds them from their pinned Go modules.
//!
//! Taken in this order:
//! 1. `KUBEBUILDER_ASSETS`, the folder that envtest uses, if it has all four programs;
//! 2. the cache, where each program is checked against the checksum written when it was built;
//! 3. a build from Go modules ([`go_build`](crate::go_build)), which takes some minutes, once.
//!
//! The ready-made archives of envtest are not used: they lack kube-controller-manager, without which nothing is garbage
//! collected and no namespace ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{env, fs, io};

use crate::cache::{self, CacheError};
use crate::go_build::{self, BuildError, ETCD_VERSION, KUBERNETES_VERSION};
use crate::progress;

/// The programs, as their files are called.
pub(crate) const NAMES: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kubectl",
];

/// The checksums of the programs in one folder of the cache, in the format of `sha256sum`.
const CHECKSUMS: &str = "SHA256SUMS";

/// Size and time of the programs when their checksums were last compared.
const VERIFIED: &str = "verified.json";

/// Why there are no programs to start.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The cache folder could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// They could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// The folder with etcd, kube-apiserver, kube-controller-manager and kubectl.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds the programs; builds them if they are nowhere.
    ///
    /// Once they are in the cache nothing is asked of the network.
    pub async fn find() -> Result<Binaries, BinariesError> {
        if let Some(folder) = from_environment() {
            return Ok(Binaries { folder });
        }
        let programs = cache::cache_dir()?.join("controlplane");
        let folder = programs.join(format!(
            "kubernetes-{KUBERNETES_VERSION}-etcd-{ETCD_VERSION}-{}-{}",
            env::consts::OS,
            env::consts::ARCH
        ));
        if intact(&folder)? {
            return Ok(Binaries { folder });
        }
        let _lock = cache::lock(&programs).await?;
        if !intact(&folder)? {
            build_into(&programs, &folder).await?;
        }
        Ok(Binaries { folder })
    }

    /// The path of etcd.
    pub fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    /// The path of kube-apiserver.
    pub fn kube_apiserver(&self) -> PathBuf {
        self.folder.join("kube-apiserver")
    }

    /// The path of kube-controller-manager.
    pub fn kube_controller_manager(&self) -> PathBuf {
        self.folder.join("kube-controller-manager")
    }

    /// The path of kubectl.
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("kubectl")
    }
}

/// The folder that `KUBEBUILDER_ASSETS` names, if it has what is needed.
fn from_environment() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("KUBEBUILDER_ASSETS").filter(|path| !path.is_empty())?);
    let missing = missing_in(&folder);
    if missing.is_empty() {
        return Some(folder);
    }
    progress::say(&format!(
        "KUBEBUILDER_ASSETS={} is not used: it has no {}",
        folder.display(),
        missing.join(", ")
    ));
    None
}

fn missing_in(folder: &Path) -> Vec<&'static str> {
    let mut names = NAMES.to_vec();
    names.retain(|name| !folder.join(name).is_file());
    names
}

/// Builds in a folder of its own, and renames it into place when it is whole.
async fn build_into(programs: &Path, folder: &Path) -> Result<(), BinariesError> {
    // There can be one of a process that was killed.
    let building = programs.join(".building");
    cache::remove_dir(&building)?;
    let fresh = building.join("programs");
    cache::create_dir(&fresh)?;
    go_build::build(&building, &fresh).await?;
    write_checksums(&fresh)?;
    cache::replace_dir(&fresh, folder)?;
    cache::remove_dir(&building)?;
    Ok(())
}

fn write_checksums(folder: &Path) -> Result<(), CacheError> {
    let mut lines = String::new();
    for name in NAMES {
        let digits = cache::sha256_of_file(&folder.join(name))?.unwrap_or_default();
        lines += &format!("{digits}  {name}\n");
    }
    cache::write(&folder.join(CHECKSUMS), lines.as_bytes())
}

/// Whether a folder has all programs, each as it was built.
///
/// Hashing 300 MB takes about a second, so it is done only when a size or time differs from the last comparison.
fn intact(folder: &Path) -> Result<bool, CacheError> {
    let Ok(checksums) = fs::read_to_string(folder.join(CHECKSUMS)) else {
        return Ok(false);
    };
    let Some(stamps) = stamps(folder) else {
        return Ok(false);
    };
    let verified = fs::read(folder.join(VERIFIED)).unwrap_or_default();
    if serde_json::from_slice::<Stamps>(&verified).is_ok_and(|verified| verified == stamps) {
        return Ok(true);
    }
    for name in NAMES {
        let found = cache::sha256_of_file(&folder.join(name))?.unwrap_or_default();
        if !checksums
            .lines()
            .any(|line| line == format!("{found}  {name}"))
        {
            progress::say(&format!(
                "{} is not as it was built; it is built again",
                folder.join(name).display()
            ));
            return Ok(false);
        }
    }
    let text = serde_json::to_vec(&stamps).map_err(io::Error::other);
    let path = folder.join(VERIFIED);
    cache::write(
        &path,
        &text.map_err(|error| cache::failed("write", &path, error))?,
    )?;
    Ok(true)
}

/// Size in bytes and time of the last change, in nanoseconds, by program.
type Stamps = BTreeMap<String, (u64, u64)>;

/// None if a program is missing.
fn stamps(folder: &Path) -> Option<Stamps> {
    NAMES
        .into_iter()
        .map(|name| {
            let metadata = fs::metadata(folder.join(name)).ok()?;
            let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some((name.to_owned(), (metadata.len(), changed.as_nanos() as u64)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of_programs() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in NAMES {
            fs::write(folder.path().join(name), format!("the program {name}")).unwrap();
        }
        write_checksums(folder.path()).unwrap();
        folder
    }

    #[test]
    fn programs_are_used_as_long_as_they_are_as_built() {
        let folder = folder_of_programs();
        assert!(intact(folder.path()).unwrap());
        assert!(
            intact(folder.path()).unwrap(),
            "the second look, which hashes nothing"
        );
        fs::write(folder.path().join("etcd"), "something else").unwrap();
        assert!(!intact(folder.path()).unwrap());
    }

    #[test]
    fn what_envtest_ships_is_not_enough() {
        let folder = folder_of_programs();
        assert!(missing_in(folder.path()).is_empty());
        fs::remove_file(folder.path().join("kube-controller-manager")).unwrap();
        assert_eq!(missing_in(folder.path()), ["kube-controller-manager"]);
    }

    #[test]
    fn a_folder_without_all_programs_is_not_used() {
        let folder = folder_of_programs();
        fs::remove_file(folder.path().join("kubectl")).unwrap();
        assert!(!intact(folder.path()).unwrap());
        assert!(!intact(Path::new("/does/not/exist")).unwrap());
    }
}
