//! The `keyloan` command's arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use keyloan::manifests::{self, Boundary, Operator};

use crate::check_health::{CheckHealthArgs, check_health};
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
    /// Ask a running operator whether it is ready, as `helm test` does.
    CheckHealth(CheckHealthArgs),
    /// Write the CRDs and the admission policies that a cluster needs.
    Manifests(ManifestsArgs),
}

#[derive(Debug, Args)]
struct ManifestsArgs {
    /// The folder to write the manifests to.
    #[arg(long, default_value = "crds")]
    dir: PathBuf,
    /// An operator's username and its links namespace, if they differ from the defaults, such as
    /// system:serviceaccount:keyloan-system:keyloan=keyloan-system-links. Repeatable.
    #[arg(long = "operator", value_name = "USERNAME=NAMESPACE", value_parser = operator)]
    operators: Vec<Operator>,
    /// A username that may restore records from a backup, such as
    /// system:serviceaccount:velero:velero. Repeatable. By default, nobody may.
    #[arg(long = "restorer", value_name = "USERNAME")]
    restorers: Vec<String>,
    /// A CEL expression over request.userInfo that returns a person's e-mail address, if that is not
    /// the username. If it is empty, nobody has an address.
    #[arg(long, value_name = "CEL")]
    email: Option<String>,
    /// The e-mail domain of people for whom the expression returns a name without a domain.
    #[arg(long, value_name = "DOMAIN")]
    email_domain: Option<String>,
    /// Write the templates of the chart in this folder instead, such as charts/keyloan-crds. The chart's values replace the other
    /// options.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["dir", "operators", "restorers", "email", "email_domain"])]
    chart: Option<PathBuf>,
    /// Write the values schema of the chart keyloan-config in this folder instead, such as charts/keyloan-config.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["chart", "dir", "operators", "restorers", "email", "email_domain"])]
    config_chart: Option<PathBuf>,
}

impl ManifestsArgs {
    fn boundary(&self) -> Boundary {
        let mut boundary = Boundary::default();
        if !self.operators.is_empty() {
            boundary.operators.clone_from(&self.operators);
        }
        boundary.restorers.clone_from(&self.restorers);
        if let Some(email) = &self.email {
            boundary.email.clone_from(email);
        }
        boundary.email_domain.clone_from(&self.email_domain);
        boundary
    }
}

fn operator(text: &str) -> Result<Operator, String> {
    match text.rsplit_once('=') {
        Some((username, namespace)) if !username.is_empty() && !namespace.is_empty() => {
            Ok(Operator {
                username: username.to_owned(),
                links_namespace: namespace.to_owned(),
            })
        }
        _ => Err("expected USERNAME=NAMESPACE with the operator's links namespace, such as system:serviceaccount:keyloan-system:keyloan=keyloan-system-links".to_owned()),
    }
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => run(*args),
            Command::CheckHealth(args) => check_health(&args),
            Command::Manifests(args) => {
                match (&args.chart, &args.config_chart) {
                    (Some(chart), _) => manifests::write_templates(chart)?,
                    (_, Some(chart)) => manifests::write_config_schema(chart)?,
                    (None, None) => manifests::write(&args.dir, &args.boundary())?,
                }
                Ok(())
            }
        }
    }
}
