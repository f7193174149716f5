//! `cargo xtask charts`: writes the page of each chart's values, `README.md` in the chart's folder.

use anyhow::Context as _;
use keyloan_cluster::{Chart, chart_page};

/// Runs the command.
pub async fn run() -> anyhow::Result<()> {
    for chart in Chart::ALL {
        let path = chart.folder().join("README.md");
        let page = chart_page(chart).await?;
        std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
