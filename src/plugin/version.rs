//! `kubectl keyloan version`: the versions of this command and of the cluster, and whether Keyloan
//! is installed.

use serde_json::json;

use crate::api::{GROUP, VERSION};
use crate::desk::text::facts;

use super::failure::{Exit, Failure};
use super::output::{Structured, print_value, say};
use super::session::Session;

/// Print the versions of this command and of the cluster.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Structured>,
}

pub async fn run(
    session: Result<Session, Failure>,
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let server = match session {
        Ok(session) => session.person.server_version().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let api = format!("{GROUP}/{VERSION}");
    match (arguments.output, &server) {
        (Some(format), Ok(server)) => {
            let versions = json!({
                "plugin": own,
                "kubernetes": server.kubernetes,
                "api": api,
                "installed": server.keyloan,
            });
            print_value(&versions, format)?;
        }
        (Some(format), Err(_)) => {
            print_value(&json!({ "plugin": own, "api": api }), format)?;
        }
        (None, server) => {
            let mut told = vec![("kubectl-keyloan", own.to_owned())];
            if let Ok(server) = server {
                let installed = if server.keyloan {
                    "installed"
                } else {
                    "not installed"
                };
                told.push(("Kubernetes", server.kubernetes.clone()));
                told.push((&api, installed.to_owned()));
            }
            say(facts(told))?;
        }
    }
    server?;
    Ok(Exit::Done)
}
