//! The operator with a clock that follows a file, and short time-outs, because its time is fast.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use keyloan::cluster::{KubeAccess, install_tls};
use keyloan::onepassword::{AllowedOrigins, Origin};
use keyloan::operator::{Election, Settings, start};
use keyloan::runtime::Clock;
use keyloan::telemetry::{LogFormat, LogSettings, start_logging};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::told;

/// How often to look at the file.
const LOOKS_EVERY: Duration = Duration::from_millis(20);
/// The longest call to 1Password by the operator's clock: a longer one could outlive the end in its
/// intent.
const LONGEST_CALL: Duration = Duration::from_secs(50);

/// Its arguments. All others have the defaults of `keyloan run`.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long)]
    clock: PathBuf,
    /// How much faster time passes.
    #[arg(long)]
    speed: u32,
    #[arg(long)]
    kubeconfig: PathBuf,
    #[arg(long)]
    core: PathBuf,
    #[arg(long)]
    allow_origin: Origin,
    #[arg(long)]
    lease: String,
    #[arg(long)]
    identity: String,
    /// The name of the install, as the chart's Deployment gives it.
    #[arg(long)]
    install: Option<String>,
}

/// Runs until a signal stops it.
pub async fn run(arguments: Arguments) -> Result<()> {
    let (format, level) = (LogFormat::Text, "info".to_owned());
    start_logging(&LogSettings { format, level })?;
    install_tls();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut settings = Settings::new(&arguments.core);
    settings.kube = KubeAccess::Kubeconfig(arguments.kubeconfig);
    if let Some(install) = arguments.install {
        settings.install.name = install;
    }
    settings.allowed_origins = AllowedOrigins::with([arguments.allow_origin]);
    settings.core_options.call_timeout = LONGEST_CALL / arguments.speed;
    settings.core_options.exchange_timeout = LONGEST_CALL / arguments.speed * 4 / 5;
    let lease = arguments.lease.split_once('/');
    let (namespace, lease) = lease.context("the lease is not NAMESPACE/NAME")?;
    settings.election = Some(Election {
        namespace: namespace.to_owned(),
        lease: lease.to_owned(),
        identity: arguments.identity,
    });
    let (clock, file) = (settings.clock.clone(), arguments.clock);
    let mut ahead = told(&file)?;
    clock.advance(ahead);
    let mut operator = start(settings).await?;
    tokio::select! {
        _ = terminate.recv() => Ok(operator.stop().await?),
        failure = operator.failed() => Err(failure.into()),
        failure = follow(&clock, &file, &mut ahead) => failure,
    }
}

/// Follows the file until it cannot be read.
async fn follow(clock: &Clock, file: &std::path::Path, ahead: &mut SignedDuration) -> Result<()> {
    loop {
        let now = told(file)?;
        if now > *ahead {
            clock.advance(now - *ahead);
            *ahead = now;
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
}
