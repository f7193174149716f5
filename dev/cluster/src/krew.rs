//! krew, the plugin manager of kubectl, and its program that checks manifests for krew's index. They
//! are built when something first needs them.

use std::path::PathBuf;

use crate::built::{BinariesError, Set};
use crate::go_programs::{KREW, KREW_VERSION};

/// The folder with `kubectl-krew` and `validate-krew-manifest`.
pub async fn krew() -> Result<PathBuf, BinariesError> {
    krew_set().find().await
}

fn krew_set() -> Set {
    Set {
        place: "krew",
        version: KREW_VERSION.to_owned(),
        title: format!("krew {KREW_VERSION}"),
        programs: &KREW,
        prebuilt: true,
    }
}
