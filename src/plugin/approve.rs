//! `kubectl keyloan approve`: agree to a request, having seen its terms.

use kube::ResourceExt as _;

use crate::api::{AccessGrant, Decision, Identity, Requirement, Span};

use super::arguments::span;
use super::decision::{self, Word, decide};
use super::failure::{Exit, Failure};
use super::hints::Hints;
use super::identity::{groups_of, is_party, waits_for_approval};
use super::output::{Text, remark, say};
use super::prompts;
use super::session::Session;
use super::terms;
use super::waiting::where_it_is;

/// Agree to a request, to the very terms that are shown.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    decision: decision::Arguments,
    /// Do not ask whether you are sure.
    #[arg(long, short)]
    yes: bool,
    /// Approve for no longer than this, such as 2h.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    max_duration: Option<Span>,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit, Failure> {
    let common = &arguments.decision;
    let grant = session.grant(&common.grant.name).await?;
    let me = session.me().await?;
    can_be_approved(&grant, &session.hints)?;
    let shown = terms::shown(&grant, session.now());
    match common.output {
        Some(_) => remark(shown.and_a_gap()),
        None => say(shown.and_a_gap())?,
    }
    if let Some(doubt) = doubt(&me, &grant) {
        remark(Text::from(format!("note: {doubt}")).and_a_gap());
    }
    let reason = reason(&grant, common.reason.clone())?;
    if !arguments.yes {
        let question = match &arguments.max_duration {
            Some(most) => format!("Approve, for {most} at the most?"),
            None => "Approve?".into(),
        };
        if !prompts::confirm(&question, "pass --yes to approve these terms unasked")? {
            remark("Nothing was decided.");
            return Ok(Exit::Done);
        }
    }
    let word = Word {
        reason,
        max_duration: arguments.max_duration,
        may_revoke: None,
    };
    decide(session, me, &grant, Decision::Approve, word, common).await
}

/// An approval is about terms: there have to be some, and they have to wait for it.
fn can_be_approved(grant: &AccessGrant, hints: &Hints) -> Result<(), Failure> {
    let name = grant.name_any();
    let status = grant.status.as_ref();
    if waits_for_approval(grant) && status.is_some_and(|s| s.digest.is_some()) {
        return Ok(());
    }
    let failure = Failure::new(format!(
        "{name} does not wait for approval. {}",
        where_it_is(grant)
    ));
    let explain = hints.command(format_args!("explain {name}"));
    Err(failure.next(format!("see more with `{explain}`")))
}

/// Why the operator may not count this person's approval; it has the last word.
fn doubt(me: &Identity, grant: &AccessGrant) -> Option<String> {
    if is_party(me, grant) {
        return Some(
            "you asked for this item, or would get its link; somebody else has to approve".into(),
        );
    }
    groups_of(me, grant)
        .is_empty()
        .then(|| format!("{} is in none of the groups that decide", me.username))
}

fn reason(grant: &AccessGrant, given: Option<String>) -> Result<Option<String>, Failure> {
    let approval = grant
        .status
        .as_ref()
        .and_then(|s| s.terms.as_ref()?.approval.as_ref());
    let required = approval.is_some_and(|a| a.reason == Requirement::Required);
    match given {
        None if required => {
            prompts::ask("Reason", "pass --reason: this flow asks approvers for one").map(Some)
        }
        given => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn only_a_request_that_waits_can_be_approved() {
        let can_be_approved = |grant: &AccessGrant| can_be_approved(grant, &Hints::default());
        assert_eq!(can_be_approved(&samples::waiting()), Ok(()));
        let refused = can_be_approved(&samples::active()).unwrap_err();
        assert_eq!(
            refused.message,
            "alice-db does not wait for approval. Active"
        );
        let refused = can_be_approved(&samples::new()).unwrap_err();
        assert!(
            refused.message.ends_with("nobody has looked at it yet"),
            "{refused:?}"
        );
    }

    #[test]
    fn somebody_who_cannot_decide_is_told_beforehand() {
        let waiting = samples::waiting();
        assert_eq!(doubt(&samples::bob(), &waiting), None);
        assert!(
            doubt(&samples::alice(), &waiting)
                .unwrap()
                .contains("somebody else has to approve")
        );
        assert!(
            doubt(&samples::erin(), &waiting)
                .unwrap()
                .contains("none of the groups")
        );
    }
}
