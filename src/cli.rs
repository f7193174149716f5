//! What the `keyloan` command can be asked to do.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use keyloan::manifests::{self, Boundary};
use keyloan::onepassword::core::artifact;

use crate::run::{RunArgs, run};

/// Lends 1Password items to people in Kubernetes.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(Box<RunArgs>),
    /// Write the CRDs and the admission policies that a cluster needs.
    Manifests {
        /// The folder to write to.
        #[arg(long, default_value = "crds")]
        dir: PathBuf,
    },
    /// Prepare 1Password's SDK core for `run`.
    #[command(subcommand)]
    Core(CoreCommand),
}

#[derive(Debug, Subcommand)]
enum CoreCommand {
    /// Compile the SDK core for this machine.
    Compile(CompileArgs),
}

#[derive(Debug, Args)]
struct CompileArgs {
    /// The SDK's core.wasm.
    #[arg(long)]
    wasm: PathBuf,
    /// The compiled file to write; its manifest is written beside it.
    #[arg(long)]
    out: PathBuf,
}

impl Cli {
    /// Do what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => run(*args),
            Command::Manifests { dir } => Ok(manifests::write(&dir, &Boundary::default())?),
            Command::Core(CoreCommand::Compile(CompileArgs { wasm, out })) => {
                artifact::compile(&wasm, &out).context("the core was not compiled")
            }
        }
    }
}
