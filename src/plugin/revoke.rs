//! `kubectl keyloan revoke`: end a loan, one's own or somebody else's.

use kube::ResourceExt as _;

use crate::api::{AccessGrant, Decision};

use super::arguments::GrantName;
use super::decision::{self, Word, decide};
use super::failure::{Exit, Failure};
use super::session::Session;
use super::waiting::{is_over, where_it_is};

/// End a loan, or a request. The requester may, whoever decides about it, the integration's owners, and whoever holds the verb revoke.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    grant: GrantName,
    /// Why.
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
    let me = session.me().await?;
    // Said only where it is true: a false claim is refused. Who cannot be asked has no such right.
    let holds_verb = session
        .person
        .may::<AccessGrant>("revoke", session.namespace(), &name)
        .await
        .unwrap_or(false);
    let word = Word {
        reason: arguments.reason,
        may_revoke: holds_verb.then_some(true),
        ..Word::default()
    };
    decide(
        session,
        me,
        &grant,
        Decision::Revoke,
        word,
        &arguments.decision,
    )
    .await
}
