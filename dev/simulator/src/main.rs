//! The simulator as a process of its own: `keyloan-simulator --account FILE`.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use keyloan_simulator::{Account, Control, Options, Simulator};
use url::Url;

/// A simulated 1Password service on the loopback interface. Prints `ORIGIN=http://127.0.0.1:PORT`
/// once it is ready, and runs until it is interrupted.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Serve {
    /// The account's YAML file; account.example.yaml shows every field.
    #[arg(long, value_name = "FILE", required = true)]
    account: Option<PathBuf>,
    /// The address to listen on; only loopback addresses are accepted.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Write each service account's token to DIR/<name>.token, readable only by its owner.
    #[arg(long, value_name = "DIR")]
    tokens_dir: Option<PathBuf>,
    /// Generate the same ids, keys and tokens at each start.
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,
    /// Do not enforce the plan's request limits.
    #[arg(long)]
    no_quotas: bool,
    /// Seconds without a request after which a session ends.
    #[arg(long, default_value_t = 1800, value_name = "SECONDS")]
    session_lifetime: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Open a share's link on its simulator, as its recipient, and print the item.
    Open {
        /// The whole link, including the part after the #.
        link: Url,
        /// The recipient's address.
        email: String,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the exit code has to suffice.
            let _ = writeln!(std::io::stderr(), "keyloan-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        None => serve(arguments.serve).await,
        Some(Command::Open { link, email }) => {
            let control = Control::new(&link.origin().ascii_serialization())?;
            let item = control.open(link.as_str(), &email).await?;
            let mut out = std::io::stdout();
            writeln!(out, "{}", item.title)?;
            for field in item.fields {
                writeln!(out, "  {}: {}", field.label, field.value)?;
            }
            Ok(())
        }
    }
}

async fn serve(arguments: Serve) -> Result<()> {
    let file = arguments
        .account
        .context("no account file; name one with --account")?;
    let account = Account::load(&file)?;
    let names: Vec<String> = account
        .service_accounts
        .iter()
        .map(|account| account.name.clone())
        .collect();
    let simulator = Simulator::start(
        account,
        Options {
            listen: arguments.listen,
            seed: arguments.seed,
            enforce_quotas: !arguments.no_quotas,
            session_lifetime: Duration::from_secs(arguments.session_lifetime),
        },
    )?;
    if let Some(directory) = &arguments.tokens_dir {
        let control = simulator.control();
        for name in names {
            write_token(directory, &name, &control.token(&name).await?)?;
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "ORIGIN={}", simulator.origin())?;
    out.flush()?;
    interrupted().await
}

fn write_token(directory: &Path, name: &str, token: &str) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let path = directory.join(format!("{}.token", name.replace(['/', '\\'], "_")));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(token.as_bytes())?;
    Ok(())
}

async fn interrupted() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
        Ok(())
    }
    #[cfg(not(unix))]
    Ok(tokio::signal::ctrl_c().await?)
}
