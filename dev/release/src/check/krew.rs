//! Has krew's own programs read the manifest, and install the plugin by it for each system.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Path as Name, State};
use axum::http::StatusCode;
use axum::routing::get;
use keyloan_artifact::Target;
use keyloan_cluster::{Binaries, krew};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::krew::{FILE, manifest};
use crate::{Release, say};

/// Validates the release's manifest if it has one, and one whose archives krew can download from
/// here.
pub async fn validate(folder: &Path, targets: &[Target]) -> Result<()> {
    let path = folder.join(FILE);
    if path.exists() {
        // Its archives are not published yet.
        validated(&path, &["-skip-install"]).await?;
    }
    let mut release = Release::new();
    for target in targets {
        let name = crate::plugin::file_name(*target);
        release.insert(name.clone(), std::fs::read(folder.join(name))?);
    }
    let release = Arc::new(release);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let source = format!("http://{}", listener.local_addr()?);
    let routes = Router::new()
        .route("/releases/download/{version}/{name}", get(download))
        .with_state(Arc::clone(&release));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let place = tempfile::tempdir()?;
    let path = place.path().join(FILE);
    std::fs::write(&path, manifest(&release, targets, &source)?)?;
    let done = validated(&path, &[]).await;
    server.abort();
    done?;
    say(format_args!(
        "krew installs the plugin for {} systems",
        targets.len()
    ));
    Ok(())
}

/// A file of the release.
async fn download(
    State(release): State<Arc<Release>>,
    Name((_version, name)): Name<(String, String)>,
) -> Result<Vec<u8>, StatusCode> {
    release.get(&name).cloned().ok_or(StatusCode::NOT_FOUND)
}

/// Runs krew's program that checks manifests for krew's index. It installs by the manifest, for each
/// system of it.
async fn validated(manifest: &Path, options: &[&str]) -> Result<()> {
    let krew = krew().await?;
    let kubectl = Binaries::find().await?.kubectl();
    let kubectl = kubectl.parent().context("kubectl is in no folder")?;
    // It starts kubectl, which starts krew. Neither may find other plugins.
    let path = std::env::join_paths([krew.as_path(), kubectl])?;
    let output = Command::new(krew.join("validate-krew-manifest"))
        .arg("-manifest")
        .arg(manifest)
        .args(options)
        .env("PATH", path)
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "krew does not take {}: {}",
        manifest.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
