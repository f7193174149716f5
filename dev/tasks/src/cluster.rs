//! `cargo xtask cluster`: runs a private control plane with Keyloan's kinds and rights until it is
//! interrupted.

use std::io::{self, Write};

use keyloan_cluster::{ControlPlane, Options};
use tokio::signal::unix::{SignalKind, signal};

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Write all requests and their users to audit.log in the cluster's folder
    #[arg(long)]
    audit_log: bool,
    /// Keep the cluster's folder, with its logs and data
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // From the beginning: a person who interrupts the start also expects a cleanup.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let serve = async {
        let cluster = start(arguments).await?;
        announce(&cluster).await?;
        std::future::pending::<()>().await;
        anyhow::Ok(())
    };
    // When `select!` drops the other futures, the cluster is dropped and ends.
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

/// Programs read the two lines on stdout; people read the rest.
async fn announce(cluster: &ControlPlane) -> anyhow::Result<()> {
    let admin = cluster.kubeconfig("admin");
    let operator = cluster.operator_kubeconfig().await?;
    let kubectl = cluster.binaries().kubectl();
    let folder = cluster.dir().display();
    writeln!(
        io::stderr(),
        "\nThe cluster is ready; Ctrl-C ends it. All its files are in {folder}\n\
         For example: {} --kubeconfig {} get crds\n\
         The kubeconfigs of alice, bob, carol, dave, erin and mallory are beside the admin's.\n",
        kubectl.display(),
        admin.display(),
    )?;
    let mut stdout = io::stdout();
    writeln!(stdout, "KUBECONFIG={}", admin.display())?;
    writeln!(stdout, "OPERATOR_KUBECONFIG={}", operator.display())?;
    stdout.flush()?;
    Ok(())
}
