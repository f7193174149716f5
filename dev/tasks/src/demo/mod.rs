//! `cargo xtask demo`: a loan from its setup to its end, on this machine, with a check of each
//! step.
//!
//! The API server, etcd, the operator and the 1Password SDK core are real; 1Password's service is
//! simulated. The objects are those of `examples/`.

pub mod account;
pub mod objects;
mod programs;
pub mod set_up;
pub mod stage;
mod story;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::signal::unix::{SignalKind, signal};

use stage::Stage;

/// The limit for a step, on a machine with other work. Usually no step takes a tenth of it.
pub const STEP: Duration = Duration::from_secs(120);

/// How long a step waits for a state. It is shorter than the limit, so that the step can report the
/// actual state.
pub const WAIT: Duration = Duration::from_secs(90);

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Keep everything running until Ctrl-C, and print commands to try
    #[arg(long)]
    keep: bool,
    /// Print the link's URL, which gives its recipient the item
    #[arg(long)]
    show_url: bool,
    /// Use the programs keyloan and keyloan-simulator in this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// Runs the command; an error names the step that failed.
pub async fn run(arguments: Arguments) -> Result<()> {
    // From the beginning: a person who interrupts the demo also expects a cleanup.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stage = Stage::default();
    // Dropping the story ends everything that it has started.
    tokio::select! {
        result = story::play(&mut stage, &arguments) => return result,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    ensure!(
        stage.is_finished(),
        "the demo was interrupted before its end"
    );
    Ok(())
}
