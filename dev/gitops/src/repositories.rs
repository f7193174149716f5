//! The three Git repositories of `docs/gitops.md`, with the charts and examples of this workspace.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use crate::git::GitServer;

/// The `notAfter` of the example.
const EXAMPLE_END: &str = "2027-01-31T12:00:00Z";

/// The three repositories of `docs/gitops.md`.
pub async fn repositories() -> Result<GitServer> {
    let git = GitServer::start().await?;
    let root = root();
    let (charts, crds) = (root.join("charts"), root.join("crds"));
    git.create("keyloan", &[(&charts, "charts"), (&crds, "crds")])
        .await?;
    let examples = root.join("examples/gitops");
    let platform = examples.join("platform");
    git.create("platform", &[(&platform, "platform")]).await?;
    let requests = examples.join("team-a/requests");
    git.create("team-a", &[(&requests, "requests")]).await?;
    // The example's day passes; the operator's clock moves by days.
    let not_after = Timestamp::now() + Duration::from_secs(60 * 24 * 3600);
    let file = "requests/db-password.yaml";
    git.edit("team-a", file, EXAMPLE_END, &format!("{not_after:.0}"))?;
    git.commit("team-a", "Until when the request may start")
        .await?;
    Ok(git)
}

/// The workspace's folder.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
