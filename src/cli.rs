//! What the `keyloan` command can be asked to do.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use keyloan::manifests::{self, Boundary};

/// Lends 1Password items to people in Kubernetes.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the CRDs and the admission policies that a cluster needs.
    Manifests {
        /// The folder to write to.
        #[arg(long, default_value = "crds")]
        dir: PathBuf,
    },
}

impl Cli {
    /// Do what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Manifests { dir } => Ok(manifests::write(&dir, &Boundary::default())?),
        }
    }
}
