//! `kubectl keyloan`: requesting items, deciding and opening links without writing YAML.
//!
//! The plugin has no rights and no server of its own: each command makes a few calls with the
//! person's kubeconfig. [`desk`](crate::desk) decides what people see and may do. Each command has
//! one file; they share `arguments`, `kubectl_flags`, `session`, `ledger`, `signature`, `waiting`, `prompts`,
//! `output`, `hints` and `failure`.

mod arguments;
mod completion;
mod decide;
mod doctor;
mod explain;
mod export;
mod exposed;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hints;
mod kubectl_flags;
mod ledger;
mod list;
mod open;
mod output;
mod prompts;
#[cfg(test)]
mod questions;
mod report;
mod request;
mod session;
mod signature;
mod version;
mod waiting;
mod whoami;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::cluster::install_tls;
use crate::runtime::Clock;

use failure::{Exit, Failure};
use kubectl_flags::KubectlFlags;
use session::Session;

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  error: the message says what happened and what to do next
  2  usage error: an argument is invalid, or it is missing and there is no terminal to ask on
  3  the request was denied, has lapsed, failed or ended
  4  timed out while waiting; the request or decision stands";

/// Borrow 1Password items, decide about other people's requests, and check on loans.
#[derive(Debug, Parser)]
#[command(name = "kubectl-keyloan", bin_name = "kubectl keyloan", version, after_help = EXIT_CODES)]
#[command(disable_version_flag = true, subcommand_required = true)]
struct Arguments {
    #[command(flatten)]
    access: KubectlFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Request an item and wait for its link.
    Request(Box<request::Arguments>),
    /// List your requests and loans, or the requests that wait for your decision.
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    /// Approve a request on its current terms.
    Approve(decide::ApproveArguments),
    /// Deny a request.
    ///
    /// One denial ends the request.
    Deny(decide::Arguments),
    /// End a loan or a request.
    ///
    /// The requester, the approvers, the integration's owners, and anyone who holds the verb
    /// `revoke` on the grant can revoke.
    Revoke(decide::Arguments),
    /// Print the link of a loan. If the link has ended, ask for the next one and wait for it.
    Open(open::Arguments),
    /// Explain the state of a request or loan.
    Explain(explain::Arguments),
    /// Print the ledger: who borrowed what, on whose approval, and how it ended.
    Report(report::Arguments),
    /// List the items that somebody could see since they were last changed.
    Exposed(exposed::Arguments),
    /// Print integrations or flows as YAML, Helm values or Terraform.
    Export(export::Arguments),
    /// Print who you are to Keyloan, and what you may do in the namespace.
    Whoami(whoami::Arguments),
    /// Check the installation: the cluster, the policies, the operator, and the integrations.
    Doctor(doctor::Arguments),
    /// Print the completion script for a shell.
    Completion(completion::Arguments),
    /// Print the versions of this command and of the cluster.
    Version(version::Arguments),
}

/// Runs the program with the process's arguments and returns its exit code.
pub fn main() -> ExitCode {
    let completed = completion::answered(std::env::args_os(), Arguments::command);
    let exit = completed.unwrap_or_else(asked);
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
        return completion::run(arguments, Arguments::command());
    }
    if arguments.access.logs_calls() {
        // Only our own lines: kube's could quote an answer, which may be a Secret.
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
        Command::Approve(arguments) => decide::approve(session, arguments).await,
        Command::Deny(arguments) => decide::deny(session, arguments).await,
        Command::Revoke(arguments) => decide::revoke(session, arguments).await,
        Command::Open(arguments) => open::run(session, &arguments).await,
        Command::Explain(arguments) => explain::run(session, &arguments).await,
        Command::Report(arguments) => report::run(session, &arguments).await,
        Command::Exposed(arguments) => exposed::run(session, &arguments).await,
        Command::Export(arguments) => export::run(session, &arguments).await,
        Command::Doctor(arguments) => doctor::run(session, &arguments).await,
        Command::Whoami(arguments) => whoami::run(session, &arguments).await,
        // Handled above: these work without a cluster.
        Command::Version(_) | Command::Completion(_) => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_lists_the_commands_and_the_exit_codes() {
        insta::assert_snapshot!(Arguments::command().term_width(100).render_help());
    }
}
