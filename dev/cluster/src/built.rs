//! Programs that were built from Go modules, in the cache. Each is checked against the checksum
//! that was written when it was built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{env, fs, io};

use crate::cache::{self, CacheError};
use crate::go_build::{self, BuildError};
use crate::go_programs::Program;
use crate::prebuilt::{self, PrebuiltError};
use crate::progress;

/// The checksums of the programs in one folder of the cache, in the format of `sha256sum`.
const CHECKSUMS: &str = "SHA256SUMS";

/// Sizes and modification times of the programs when their checksums were last compared.
const VERIFIED: &str = "verified.json";

/// Why there are no programs to start.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The cache folder could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The programs that somebody else has built cannot be used.
    #[error(transparent)]
    Prebuilt(#[from] PrebuiltError),
    /// The programs could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Another Kubernetes was asked for than there is.
    #[error("there is no Kubernetes {wanted:?} here: choose {}", .versions.join(" or "))]
    Version {
        /// The version that was asked for.
        wanted: String,
        /// The versions that can be built.
        versions: Vec<&'static str>,
    },
}

/// Programs that are built together, and the place where they are kept.
pub(crate) struct Set {
    /// Their folder in the cache.
    pub(crate) place: &'static str,
    /// Their versions: the name of a folder in `place`.
    pub(crate) version: String,
    /// The title shown while they are built, such as `helm v4.3.1`.
    pub(crate) title: String,
    /// The programs.
    pub(crate) programs: &'static [Program],
    /// Whether those that somebody else has built are of these versions.
    pub(crate) prebuilt: bool,
}

impl Set {
    /// The folder with the programs. Builds them if they are missing or not as they were built.
    ///
    /// Once they are in the cache, this uses no network.
    pub(crate) async fn find(&self) -> Result<PathBuf, BinariesError> {
        if let Some(folder) = self.in_cache()? {
            return Ok(folder);
        }
        let (place, folder) = self.folders()?;
        let _lock = cache::lock(&place).await?;
        if !self.intact(&folder)? {
            self.build_into(&place, &folder).await?;
        }
        Ok(folder)
    }

    /// The folder with the programs, if they are in the cache.
    pub(crate) fn in_cache(&self) -> Result<Option<PathBuf>, BinariesError> {
        let (_, folder) = self.folders()?;
        Ok(self.intact(&folder)?.then_some(folder))
    }

    /// The folder of all versions, and that of this one.
    fn folders(&self) -> Result<(PathBuf, PathBuf), CacheError> {
        let place = cache::cache_dir()?.join(self.place);
        let folder = place.join(format!(
            "{}-{}-{}",
            self.version,
            env::consts::OS,
            env::consts::ARCH
        ));
        Ok((place, folder))
    }

    /// Builds in a folder of its own, and renames it into place when it is complete.
    async fn build_into(&self, place: &Path, folder: &Path) -> Result<(), BinariesError> {
        // A process that was killed may have left one.
        let building = place.join(".building");
        cache::remove_dir(&building)?;
        let fresh = building.join("programs");
        cache::create_dir(&fresh)?;
        let names: Vec<_> = self.programs.iter().map(|program| program.name).collect();
        let fetched = match self.prebuilt {
            true => prebuilt::fetch(&names, &building, &fresh).await?,
            false => BTreeSet::new(),
        };
        let missing = |program: &&Program| !fetched.contains(program.name);
        let programs: Vec<_> = self.programs.iter().filter(missing).collect();
        go_build::build(&building, &fresh, &self.title, &programs).await?;
        self.write_checksums(&fresh)?;
        cache::replace_dir(&fresh, folder)?;
        cache::remove_dir(&building)?;
        Ok(())
    }

    fn write_checksums(&self, folder: &Path) -> Result<(), CacheError> {
        let mut lines = String::new();
        for Program { name, .. } in self.programs {
            let digits = cache::sha256_of_file(&folder.join(name))?.unwrap_or_default();
            lines += &format!("{digits}  {name}\n");
        }
        cache::write(&folder.join(CHECKSUMS), lines.as_bytes())
    }

    /// Whether a folder has all programs, each as it was built.
    ///
    /// Hashing 300 MB takes about a second, so the programs are hashed only when a size or time
    /// differs from the last comparison.
    fn intact(&self, folder: &Path) -> Result<bool, CacheError> {
        let Ok(checksums) = fs::read_to_string(folder.join(CHECKSUMS)) else {
            return Ok(false);
        };
        let Some(stamps) = self.stamps(folder) else {
            return Ok(false);
        };
        let verified = fs::read(folder.join(VERIFIED)).unwrap_or_default();
        if serde_json::from_slice::<Stamps>(&verified).is_ok_and(|verified| verified == stamps) {
            return Ok(true);
        }
        for Program { name, .. } in self.programs {
            let found = cache::sha256_of_file(&folder.join(name))?.unwrap_or_default();
            if !checksums
                .lines()
                .any(|line| line == format!("{found}  {name}"))
            {
                progress::say(&format!(
                    "{} is not as it was built; building it again",
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

    /// None if a program is missing.
    fn stamps(&self, folder: &Path) -> Option<Stamps> {
        self.programs
            .iter()
            .map(|Program { name, .. }| {
                let metadata = fs::metadata(folder.join(name)).ok()?;
                let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
                Some((
                    (*name).to_owned(),
                    (metadata.len(), changed.as_nanos() as u64),
                ))
            })
            .collect()
    }
}

/// Size in bytes and modification time in nanoseconds, by program.
type Stamps = BTreeMap<String, (u64, u64)>;

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Set {
        Set {
            place: "controlplane",
            version: "v1".into(),
            title: "programs".into(),
            programs: &crate::go_programs::CONTROL_PLANE,
            prebuilt: true,
        }
    }

    fn folder_of_programs() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for Program { name, .. } in set().programs {
            fs::write(folder.path().join(name), format!("the program {name}")).unwrap();
        }
        set().write_checksums(folder.path()).unwrap();
        folder
    }

    #[test]
    fn programs_are_used_as_long_as_they_are_as_built() {
        let folder = folder_of_programs();
        assert!(set().intact(folder.path()).unwrap());
        assert!(
            set().intact(folder.path()).unwrap(),
            "the second check, which hashes nothing"
        );
        fs::write(folder.path().join("etcd"), "something else").unwrap();
        assert!(!set().intact(folder.path()).unwrap());
    }

    #[test]
    fn a_folder_without_all_programs_is_not_used() {
        let folder = folder_of_programs();
        fs::remove_file(folder.path().join("kubectl")).unwrap();
        assert!(!set().intact(folder.path()).unwrap());
        assert!(!set().intact(Path::new("/does/not/exist")).unwrap());
    }
}
