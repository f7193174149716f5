//! `kubectl keyloan deny`: refuse a request; it ends with that.

use kube::ResourceExt as _;

use crate::api::Decision;

use super::decision::{Arguments, Word, decide, not_over};
use super::failure::{Exit, Failure};
use super::session::Session;

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit, Failure> {
    let grant = not_over(session, &arguments.grant, Decision::Deny).await?;
    let status = grant.status.as_ref();
    if status.is_some_and(|s| s.granted_at.is_some()) {
        let name = grant.name_any();
        let failure = Failure::new(format!(
            "{name} is a loan that runs: it is too late to deny it"
        ));
        let revoke = session.hints.command(format_args!("revoke {name}"));
        return Err(failure.next(format!("end it with `{revoke}`")));
    }
    let me = session.me().await?;
    let word = Word {
        reason: arguments.reason.clone(),
        ..Word::default()
    };
    decide(session, me, &grant, Decision::Deny, word, &arguments).await
}
