//! `cargo xtask`: the project's own commands.
//!
//! A command is a file with a `run` function, a variant of [`Command`], and a line in `main`.

mod bench;
mod book;
mod charts;
mod cluster;
mod core;
mod demo;
mod formats;
mod fuzz;
mod gitops;
mod image;
mod installed;
mod judges;
mod kill;
mod ledger;
mod live;
mod messages;
mod model;
mod programs;
mod reference;
mod release;
mod rights;
mod screen;
mod shape;
mod soak;
mod stage;
mod test;
mod workspace;

use clap::{Parser, Subcommand};

/// The project's own commands
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure Keyloan on real parts: latency, requests, API writes, memory
    Bench(bench::Arguments),
    /// Check the links of the documentation and build it as a book
    Book(book::Arguments),
    /// Write the README.md of each chart, with a row for each of its values
    Charts,
    /// Start a control plane with Keyloan's kinds and rights, and run until interrupted
    Cluster(cluster::Arguments),
    /// Fetch the 1Password SDK core and print its path, or compile it for the operator
    Core(core::Arguments),
    /// Run a loan to its end on this machine, with a control plane, a simulated 1Password and the
    /// operator
    Demo(demo::Arguments),
    /// Let Slack's types and Teams' renderer judge the messages of the notifiers; needs Node.js
    #[command(disable_help_flag = true)]
    Formats(formats::Arguments),
    /// Run the fuzz targets one after the other; the first time, builds them with instrumentation
    Fuzz(fuzz::Arguments),
    /// Let the real Argo CD and Flux install, upgrade and remove Keyloan from Git; needs redis-server
    #[command(disable_help_flag = true)]
    Gitops(gitops::Arguments),
    /// Make the operator's container image without a container engine, as an OCI layout
    #[command(disable_help_flag = true)]
    Image(image::Arguments),
    /// Let 1Password's newest official clients judge the simulated service; needs Node.js and Python
    #[command(disable_help_flag = true)]
    Judges(judges::Arguments),
    /// Kill and stop the operator again and again while people borrow, and check the records
    #[command(disable_help_flag = true)]
    Kill(kill::Arguments),
    /// Check the records of a cluster's loans: what they say must fit together
    #[command(disable_help_flag = true)]
    Ledger(ledger::Arguments),
    /// Check Keyloan's assumptions about 1Password against a real account; needs a token
    #[command(disable_help_flag = true)]
    Live(live::Arguments),
    /// List every sentence that people read, with its file, line and kind
    Messages(messages::Arguments),
    /// Search every order of what can happen to a loan, with the real plan and the real steps
    #[command(disable_help_flag = true)]
    Model(model::Arguments),
    /// Pack the programs of the control plane for other machines, which then need not build them
    Programs(programs::Arguments),
    /// Write the reference of the kinds, docs/reference.md, from crds/
    Reference,
    /// Make the files of a release: kubectl-keyloan for each system, its manifest for krew, the charts,
    /// and lists of what is in them
    #[command(disable_help_flag = true)]
    Release(release::Arguments),
    /// Write the chart's rights to dev/cluster/operator-rbac.yaml
    Rights,
    /// Print the structure of the operator's source: rooms, circles, the longest functions and
    /// files
    Shape,
    /// Let people borrow for hours by a fast clock, while 1Password fails and replicas are killed
    #[command(disable_help_flag = true)]
    Soak(soak::Arguments),
    /// Run a command on a complete stage: control plane, charts, simulated 1Password, operator, an
    /// integration
    Stage(stage::Arguments),
    /// Check and test everything
    Test(test::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(arguments).await,
        Command::Book(arguments) => book::run(arguments).await,
        Command::Charts => charts::run().await,
        Command::Cluster(arguments) => cluster::run(arguments).await,
        Command::Core(arguments) => core::run(arguments).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Formats(arguments) => formats::run(arguments).await,
        Command::Fuzz(arguments) => fuzz::run(arguments).await,
        Command::Gitops(arguments) => gitops::run(arguments).await,
        Command::Image(arguments) => image::run(arguments).await,
        Command::Judges(arguments) => judges::run(arguments).await,
        Command::Kill(arguments) => kill::run(arguments).await,
        Command::Ledger(arguments) => ledger::run(arguments).await,
        Command::Live(arguments) => live::run(arguments).await,
        Command::Messages(arguments) => messages::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Programs(arguments) => programs::run(arguments).await,
        Command::Reference => reference::run(),
        Command::Release(arguments) => release::run(arguments).await,
        Command::Rights => rights::run().await,
        Command::Shape => shape::run(),
        Command::Soak(arguments) => soak::run(arguments).await,
        Command::Stage(arguments) => stage::run(arguments).await,
        Command::Test(arguments) => test::run(arguments).await,
    }
}
