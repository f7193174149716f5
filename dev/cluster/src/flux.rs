//! The real Flux: its programs and its CRDs, built when something first needs them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::built::{BinariesError, Set};
use crate::cache;
use crate::go_build::{
    FLUX, HELM_CONTROLLER_VERSION, KUSTOMIZE_CONTROLLER_VERSION, Program, SOURCE_CONTROLLER_VERSION,
};

/// Where each module has its CRDs.
const CRDS: &str = "config/crd/bases";

/// The folder with `source-controller`, `kustomize-controller` and `helm-controller`. Builds them if
/// they are not in the cache, which takes some minutes.
pub async fn flux_programs() -> Result<PathBuf, BinariesError> {
    set().find().await
}

/// The folder with the CRDs of Flux.
pub async fn flux_crds() -> Result<PathBuf, BinariesError> {
    let crds = flux_programs().await?.join("crds");
    if crds.is_dir() {
        return Ok(crds);
    }
    let fresh = crds.with_extension("new");
    cache::remove_dir(&fresh)?;
    cache::create_dir(&fresh)?;
    for program in set().programs {
        copy_crds(program, &fresh).await?;
    }
    cache::replace_dir(&fresh, &crds)?;
    Ok(crds)
}

/// The versions, as people write them.
pub fn flux_version() -> String {
    format!(
        "Flux source-controller {SOURCE_CONTROLLER_VERSION}, kustomize-controller \
         {KUSTOMIZE_CONTROLLER_VERSION}, helm-controller {HELM_CONTROLLER_VERSION}"
    )
}

fn set() -> Set {
    Set {
        place: "flux",
        version: [
            SOURCE_CONTROLLER_VERSION,
            KUSTOMIZE_CONTROLLER_VERSION,
            HELM_CONTROLLER_VERSION,
        ]
        .join("-"),
        title: flux_version(),
        programs: &FLUX,
        prebuilt: true,
    }
}

/// Copies the CRDs that a program's sources have.
async fn copy_crds(program: &Program, into: &Path) -> Result<(), BinariesError> {
    let folder = program.sources().await?.join(CRDS);
    let failed = |error| cache::failed("read", &folder, error);
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        let text = fs::read(&path).map_err(failed)?;
        cache::write(&into.join(name), &text)?;
    }
    Ok(())
}
