//! Packs all programs into one archive, for machines that do not build them.

use std::path::Path;

use crate::built::BinariesError;
use crate::{binaries, forward_proxy, helm, prebuilt, promtool};

/// Packs all programs into an archive for machines of this kind, and builds those that are missing;
/// returns the archive's SHA-256.
///
/// A machine that finds `URL#sha256=DIGEST` in the variable `KEYLOAN_PROGRAMS` fetches them from
/// there instead of building them.
pub async fn pack_programs(archive: &Path) -> Result<String, BinariesError> {
    let mut programs = Vec::new();
    let sets = [
        binaries::set(),
        helm::set(),
        helm::helm_docs_set(),
        helm::kubeconform_set(),
        promtool::set(),
        forward_proxy::set(),
    ];
    for set in sets {
        let folder = set.find().await?;
        programs.extend(set.programs.iter().map(|program| folder.join(program.name)));
    }
    Ok(prebuilt::pack(&programs, archive)?)
}
