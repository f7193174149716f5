//! `kubectl keyloan deny`: refuse a request; it ends with that.

use kube::ResourceExt as _;

use crate::api::Decision;

use super::arguments::GrantName;
use super::decision::{self, Word, decide};
use super::failure::{Exit, Failure};
use super::session::Session;
use super::waiting::{is_over, where_it_is};

/// Refuse a request: one refusal ends it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    grant: GrantName,
    /// Why: the requester reads it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    decision: decision::Arguments,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit, Failure> {
    let grant = session.grant(&arguments.grant.name).await?;
    let name = grant.name_any();
    if is_over(&grant) {
        return Err(Failure::new(format!(
            "{name} is over already. {}",
            where_it_is(&grant)
        )));
    }
    if grant
        .status
        .as_ref()
        .is_some_and(|s| s.granted_at.is_some())
    {
        let failure = Failure::new(format!(
            "{name} is a loan that runs: it is too late to deny it"
        ));
        return Err(failure.next(format!("end it with `kubectl keyloan revoke {name}`")));
    }
    let me = session.me().await?;
    let word = Word {
        reason: arguments.reason,
        ..Word::default()
    };
    decide(
        session,
        me,
        &grant,
        Decision::Deny,
        word,
        &arguments.decision,
    )
    .await
}
