//! `cargo xtask cluster`: a private control plane with Keyloan's kinds and rights, until it is interrupted.

use std::io::{self, Write};

use keyloan_cluster::{ControlPlane, Options};
use tokio::signal::unix::{SignalKind, signal};

/// What the command can be told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Write who asked for what to audit.log in the cluster's folder
    #[arg(long)]
    audit_log: bool,
    /// Leave the cluster's folder, with its logs and data, behind
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Listened for from the beginning: who interrupts the start wants it cleaned up, too.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let serve = async {
        let cluster = start(arguments).await?;
        announce(&cluster).await?;
        std::future::pending::<()>().await;
        anyhow::Ok(())
    };
    // Leaving the others behind drops the cluster, which ends it.
    tokio::select! {
        failed = serve => failed,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn start(arguments: Arguments) -> anyhow::Result<ControlPlane> {
    let Arguments { audit_log, keep } = arguments;
    let options = Options {
        audit_log,
        keep,
        ..Options::default()
    };
    Ok(ControlPlane::start(options.with_keyloan()?).await?)
}

/// The two lines on stdout are for programs, the rest is for people.
async fn announce(cluster: &ControlPlane) -> anyhow::Result<()> {
    let admin = cluster.kubeconfig("admin");
    let operator = cluster.operator_kubeconfig().await?;
    let kubectl = cluster.binaries().kubectl();
    let folder = cluster.dir().display();
    writeln!(
        io::stderr(),
        "\nThe cluster is ready; Ctrl-C ends it. Everything of it is in {folder}\n\
         For example: {} --kubeconfig {} get crds\n\
         Alice, bob, carol, dave, erin and mallory have their kubeconfigs beside the admin's.\n",
        kubectl.display(),
        admin.display(),
    )?;
    let mut stdout = io::stdout();
    writeln!(stdout, "KUBECONFIG={}", admin.display())?;
    writeln!(stdout, "OPERATOR_KUBECONFIG={}", operator.display())?;
    stdout.flush()?;
    Ok(())
}
