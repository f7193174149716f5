//! `kubectl keyloan revoke`: end a loan, one's own or somebody else's.

use kube::ResourceExt as _;

use crate::api::{AccessGrant, Decision};

use super::decision::{Arguments, Word, decide, not_over};
use super::failure::{Exit, Failure};
use super::session::Session;

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit, Failure> {
    let grant = not_over(session, &arguments.grant, Decision::Revoke).await?;
    let me = session.me().await?;
    // Said only where it is true: a false claim is refused. Who cannot be asked has no such right.
    let holds_verb = session
        .person
        .may::<AccessGrant>("revoke", session.namespace(), &grant.name_any())
        .await
        .unwrap_or(false);
    let word = Word {
        reason: arguments.reason.clone(),
        may_revoke: holds_verb.then_some(true),
        ..Word::default()
    };
    decide(session, me, &grant, Decision::Revoke, word, &arguments).await
}
