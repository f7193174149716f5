//! `kubectl keyloan`: what people who ask and decide do without writing YAML.
//!
//! It has no rights of its own and no server of its own: each command is a few calls with the person's kubeconfig. One file for
//! each command, and the rooms that they share: `arguments`, `access`, `session`, `identity`, `signature`, `waiting`, `prompts`, `output`, `hints`,
//! `failure`.

mod access;
mod approve;
mod arguments;
mod completion;
mod decision;
mod deny;
mod explain;
mod export;
mod failure;
mod hints;
mod identity;
mod list;
mod open;
mod output;
mod prompts;
mod request;
mod revoke;
#[cfg(test)]
mod samples;
mod session;
mod signature;
mod terms;
mod version;
mod waiting;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cluster::install_tls;
use crate::runtime::Clock;

use arguments::{Arguments, Command};
use failure::{Exit, Failure};
use session::Session;

/// The whole program: reads its arguments, does what they ask for, and says how it went by its exit code.
pub fn main() -> ExitCode {
    let exit = completion::answered(std::env::args_os()).unwrap_or_else(asked);
    exit.unwrap_or_else(|failure| {
        output::complain(&failure);
        failure.exit
    })
    .into()
}

fn asked() -> Result<Exit, Failure> {
    let arguments = Arguments::parse();
    install_tls();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(Failure::new(format!("cannot start: {error}"))),
    }
}

async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    if let Command::Completion(arguments) = &arguments.command {
        return completion::run(arguments);
    }
    if arguments.access.tells_calls() {
        // The calls alone: what kube tells of its own could quote an answer, which may be a Secret.
        let filter = tracing_subscriber::EnvFilter::new("keyloan=debug");
        let lines = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(false);
        lines.with_env_filter(filter).init();
    }
    let session = Session::open(&arguments.access, Clock::system()).await;
    match arguments.command {
        Command::Version(arguments) => version::run(session, &arguments).await,
        command => with_cluster(&session?, command).await,
    }
}

async fn with_cluster(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Request(arguments) => request::run(session, *arguments).await,
        Command::List(arguments) => list::run(session, &arguments).await,
        Command::Approve(arguments) => approve::run(session, arguments).await,
        Command::Deny(arguments) => deny::run(session, arguments).await,
        Command::Revoke(arguments) => revoke::run(session, arguments).await,
        Command::Open(arguments) => open::run(session, &arguments).await,
        Command::Explain(arguments) => explain::run(session, &arguments).await,
        Command::Export(arguments) => export::run(session, &arguments).await,
        // These can do without; see above.
        Command::Version(_) | Command::Completion(_) => Ok(Exit::Done),
    }
}
