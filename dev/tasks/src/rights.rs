//! `cargo xtask rights`: writes the chart's rights to the file that the control plane's launcher
//! reads.

use anyhow::Context as _;
use keyloan_cluster::{Helm, chart_rights};

use crate::workspace;

/// Runs the command.
pub async fn run() -> anyhow::Result<()> {
    let rights = chart_rights(&Helm::find().await?).await?;
    let path = workspace::folder().join("dev/cluster/operator-rbac.yaml");
    std::fs::write(&path, rights).with_context(|| format!("cannot write {}", path.display()))
}
