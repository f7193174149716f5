//! What the `keyloan` command can be asked to do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use keyloan::manifests::{self, Boundary, Operator};

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
    Manifests(ManifestsArgs),
}

#[derive(Debug, Args)]
struct ManifestsArgs {
    /// The folder to write to.
    #[arg(long, default_value = "crds")]
    dir: PathBuf,
    /// A username under which the operator runs, and the namespace in which it keeps links, if not the usual ones, such as
    /// system:serviceaccount:keyloan-system:keyloan=keyloan-system-links; repeat it for more.
    #[arg(long = "operator", value_name = "USERNAME=NAMESPACE", value_parser = operator)]
    operators: Vec<Operator>,
    /// A CEL expression over request.userInfo that yields a person's e-mail address, if the
    /// username is not it; empty for none.
    #[arg(long, value_name = "CEL")]
    email: Option<String>,
    /// The domain of the addresses of people whose username is a bare name.
    #[arg(long, value_name = "DOMAIN")]
    email_domain: Option<String>,
    /// Write the templates of the chart in this folder instead, such as charts/keyloan-crds: its values say what differs.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["dir", "operators", "email", "email_domain"])]
    chart: Option<PathBuf>,
}

impl ManifestsArgs {
    fn boundary(&self) -> Boundary {
        let mut boundary = Boundary::default();
        if !self.operators.is_empty() {
            boundary.operators.clone_from(&self.operators);
        }
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
        _ => Err("write it as USERNAME=NAMESPACE, with the namespace in which it keeps links, such as system:serviceaccount:keyloan-system:keyloan=keyloan-system-links".to_owned()),
    }
}

impl Cli {
    /// Do what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => run(*args),
            Command::Manifests(args) => {
                match &args.chart {
                    Some(chart) => manifests::write_templates(chart)?,
                    None => manifests::write(&args.dir, &args.boundary())?,
                }
                Ok(())
            }
        }
    }
}
