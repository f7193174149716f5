//! `cargo xtask programs FILE`: packs Kubernetes, etcd, helm, helm-docs, kubeconform, promtool and the
//! tests' forward proxy as built here, for other machines of this kind.

use std::path::PathBuf;

use crate::screen::line;

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// The archive to write, such as programs.tar.gz
    file: PathBuf,
}

/// Runs the command.
pub async fn run(Arguments { file }: Arguments) -> anyhow::Result<()> {
    let digest = keyloan_cluster::pack_programs(&file).await?;
    line(format_args!(
        "Put {} where your machines can fetch it, and set this variable on each:\n\n  KEYLOAN_PROGRAMS=URL#sha256={digest}\n\n\
         They then fetch the archive instead of building its programs.",
        file.display()
    ));
    Ok(())
}
