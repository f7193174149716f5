//! The real Argo CD and Flux: their programs and their CRDs, built when something first needs them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::built::{BinariesError, Set};
use crate::cache;
use crate::go_programs::{
    ARGOCD, ARGOCD_VERSION, FLUX, HELM_CONTROLLER_VERSION, KUSTOMIZE_CONTROLLER_VERSION, Program,
    SOURCE_CONTROLLER_VERSION,
};

/// Where a module has its CRDs: Flux' modules and Argo CD's.
const CRDS: [&str; 2] = ["config/crd/bases", "manifests/crds"];

/// A tool that applies what is in Git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitopsTool {
    /// Argo CD: the program `argocd`, which runs as the component that `ARGOCD_BINARY_NAME` names.
    ArgoCd,
    /// Flux: `source-controller`, `kustomize-controller` and `helm-controller`.
    Flux,
}

impl GitopsTool {
    /// The folder with the tool's programs. Builds them if they are not in the cache, which takes
    /// some minutes.
    pub async fn programs(self) -> Result<PathBuf, BinariesError> {
        self.set().find().await
    }

    /// Whether programs and CRDs are in the cache, so that nothing has to be built.
    pub fn is_built(self) -> Result<bool, BinariesError> {
        let folder = self.set().in_cache()?;
        Ok(folder.is_some_and(|folder| folder.join("crds").is_dir()))
    }

    /// The folder with the tool's CRDs.
    pub async fn crds(self) -> Result<PathBuf, BinariesError> {
        let crds = self.programs().await?.join("crds");
        if crds.is_dir() {
            return Ok(crds);
        }
        let fresh = crds.with_extension("new");
        cache::remove_dir(&fresh)?;
        cache::create_dir(&fresh)?;
        for program in self.set().programs {
            copy_crds(program, &fresh).await?;
        }
        cache::replace_dir(&fresh, &crds)?;
        Ok(crds)
    }

    /// The versions, as people write them.
    pub fn version(self) -> String {
        match self {
            Self::ArgoCd => format!("Argo CD {ARGOCD_VERSION}"),
            Self::Flux => format!(
                "Flux source-controller {SOURCE_CONTROLLER_VERSION}, kustomize-controller \
                 {KUSTOMIZE_CONTROLLER_VERSION}, helm-controller {HELM_CONTROLLER_VERSION}"
            ),
        }
    }

    fn set(self) -> Set {
        match self {
            Self::ArgoCd => Set {
                place: "argocd",
                version: ARGOCD_VERSION.to_owned(),
                title: self.version(),
                programs: &ARGOCD,
                prebuilt: true,
            },
            Self::Flux => Set {
                place: "flux",
                version: [
                    SOURCE_CONTROLLER_VERSION,
                    KUSTOMIZE_CONTROLLER_VERSION,
                    HELM_CONTROLLER_VERSION,
                ]
                .join("-"),
                title: self.version(),
                programs: &FLUX,
                prebuilt: true,
            },
        }
    }
}

/// Copies the CRDs that a program's sources have.
async fn copy_crds(program: &Program, into: &Path) -> Result<(), BinariesError> {
    let sources = program.sources().await?;
    for folder in CRDS.map(|place| sources.join(place)) {
        if !folder.is_dir() {
            continue;
        }
        let failed = |error| cache::failed("read", &folder, error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // The list of a folder's files is no CRD.
            let name = path.file_name().filter(|n| *n != "kustomization.yaml");
            let Some(name) = name else {
                continue;
            };
            let text = fs::read(&path).map_err(failed)?;
            cache::write(&into.join(name), &text)?;
        }
    }
    Ok(())
}
