//! `cargo xtask demo`: a loan from nothing to its end, on this machine, each step seen to work.
//!
//! Real are the API server, etcd, the operator and the 1Password SDK core; 1Password's service is simulated. The
//! objects are those of `examples/`.

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

/// A step, on a machine with other things to do. On a good day none takes a tenth of it.
pub const STEP: Duration = Duration::from_secs(120);

/// How long a step waits for something, so that it can tell how that was before its own time is over.
pub const WAIT: Duration = Duration::from_secs(90);

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Leave everything running until Ctrl-C, and print what to try
    #[arg(long)]
    keep: bool,
    /// Print the link's URL, which is as good as the item for its recipient
    #[arg(long)]
    show_url: bool,
    /// Use the programs keyloan and keyloan-simulator in this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// Runs the command; an error names the step that failed.
pub async fn run(arguments: Arguments) -> Result<()> {
    // Listened for from the beginning: who interrupts the demo wants it cleaned up, too.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stage = Stage::default();
    // What the story has started ends when it is dropped.
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
