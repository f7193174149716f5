//! `kubectl keyloan approve`, `deny` and `revoke`: making a decision and waiting until the operator
//! has counted it.

use std::time::Duration;

use kube::ResourceExt as _;

use crate::api::{AccessGrant, Decision, Identity, Span};
use crate::desk::approvers::doubt;
use crate::desk::decision::{
    Outcome, Particulars, asks_for_a_reason, can_be_made, created, deleted, draft, not_counted_yet,
    outcome,
};
use crate::desk::request::duration;
use crate::desk::terms;
use crate::desk::text::{Part, Text};

use super::arguments::{GrantName, timeout};
use super::failure::{Exit, Failure};
use super::output::{Format, print_object, remark, say};
use super::prompts;
use super::session::Session;
use super::signature;
use super::waiting::{Waited, until};

/// Arguments of every decision.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    grant: GrantName,
    /// The reason for your decision. The requester can read it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not wait until the operator has counted the decision.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until the operator has counted the decision.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    timeout: Duration,
    /// Print the AccessDecision in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Approve a request on the terms that are shown.
#[derive(Debug, clap::Args)]
pub struct ApproveArguments {
    #[command(flatten)]
    decision: Arguments,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
    /// Approve for at most this long, such as 2h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_duration: Option<Span>,
}

/// Shows the terms of a request and approves them.
pub async fn approve(session: &Session, arguments: ApproveArguments) -> Result<Exit, Failure> {
    let common = &arguments.decision;
    let grant = decidable(session, Decision::Approve, common).await?;
    let me = session.me().await?;
    let shown = terms::shown(&grant, session.now()).and(Part::Gap);
    match common.output {
        Some(_) => remark(shown),
        None => say(shown)?,
    }
    if let Some(doubt) = doubt(&me, &grant) {
        remark(Text::from(format_args!("note: {doubt}")).and(Part::Gap));
    }
    let reason = match &common.reason {
        None if asks_for_a_reason(&grant) => {
            let otherwise = "pass --reason, which this flow requires of approvers";
            Some(prompts::ask("Reason", otherwise)?)
        }
        given => given.clone(),
    };
    if !arguments.yes {
        let question = match &arguments.max_duration {
            Some(most) => format!("Approve for at most {most}?"),
            None => "Approve?".into(),
        };
        if !prompts::confirm(&question, "pass --yes to approve without confirmation")? {
            remark("No decision was made.");
            return Ok(Exit::Done);
        }
    }
    let particulars = Particulars {
        reason,
        max_duration: arguments.max_duration,
        may_revoke: None,
    };
    decide(session, me, &grant, Decision::Approve, particulars, common).await
}

/// Denies a request, which ends it.
pub async fn deny(session: &Session, arguments: Arguments) -> Result<Exit, Failure> {
    let grant = decidable(session, Decision::Deny, &arguments).await?;
    let me = session.me().await?;
    let particulars = Particulars {
        reason: arguments.reason.clone(),
        ..Particulars::default()
    };
    decide(session, me, &grant, Decision::Deny, particulars, &arguments).await
}

/// Revokes a request or loan.
pub async fn revoke(session: &Session, arguments: Arguments) -> Result<Exit, Failure> {
    let grant = decidable(session, Decision::Revoke, &arguments).await?;
    let me = session.me().await?;
    // The admission policy rejects a false claim. If the review fails, claim nothing.
    let holds_verb = session
        .person
        .may::<AccessGrant>("revoke", session.namespace(), &grant.name_any())
        .await
        .unwrap_or(false);
    let particulars = Particulars {
        reason: arguments.reason.clone(),
        may_revoke: holds_verb.then_some(true),
        ..Particulars::default()
    };
    decide(
        session,
        me,
        &grant,
        Decision::Revoke,
        particulars,
        &arguments,
    )
    .await
}

/// Reads a grant and checks that this decision can be made about it.
async fn decidable(
    session: &Session,
    decision: Decision,
    arguments: &Arguments,
) -> Result<AccessGrant, Failure> {
    let grant = session.grant(&arguments.grant.name).await?;
    can_be_made(decision, &grant).map_err(|refusal| session.hints.failure(Exit::Error, refusal))?;
    Ok(grant)
}

/// Creates a decision in the person's name, waits until the operator has counted it, and reports
/// the outcome.
async fn decide(
    session: &Session,
    me: Identity,
    grant: &AccessGrant,
    decision: Decision,
    particulars: Particulars,
    arguments: &Arguments,
) -> Result<Exit, Failure> {
    let draft = draft(me, grant, decision, particulars);
    let made = signature::create(session, draft).await?;
    if let Some(format) = arguments.output {
        print_object(&made, format)?;
    } else {
        say(created(&made))?;
    }
    if arguments.no_wait {
        return Ok(Exit::Done);
    }
    let noticed = |seen: &AccessGrant| outcome(seen, &made);
    match until(session, grant, arguments.timeout, noticed).await? {
        Waited::There(Outcome::Counted(told)) => {
            match arguments.output {
                Some(_) => remark(told),
                None => say(told)?,
            }
            Ok(Exit::Done)
        }
        Waited::There(Outcome::Ignored(refusal)) => {
            Err(session.hints.failure(Exit::Error, refusal))
        }
        Waited::Gone => match deleted(decision, grant) {
            Some(refusal) => Err(session.hints.failure(Exit::Error, refusal)),
            None => Ok(Exit::Done),
        },
        Waited::TimedOut => Err(session.hints.timed_out(not_counted_yet(&made, grant))),
    }
}

#[cfg(test)]
mod tests {
    use crate::desk::samples;
    use crate::desk::terms::shown;
    use crate::plugin::output::lines;

    #[test]
    fn an_approver_reads_who_asks_for_what_and_on_which_terms() {
        let lines = lines(&shown(&samples::waiting(), samples::present()), None);
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn an_approver_reads_what_came_of_earlier_requests_for_the_same() {
        let lines = lines(&shown(&samples::waiting_again(), samples::present()), None);
        let before: Vec<_> = lines
            .iter()
            .filter(|l| l.starts_with("Asked before"))
            .collect();
        insta::assert_debug_snapshot!(before);
    }

    #[test]
    fn before_a_flow_is_chosen_only_what_was_asked_is_known() {
        let lines = lines(&shown(&samples::new(), samples::present()), None);
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn nobody_forges_the_terms_that_an_approver_reads() {
        let (grant, _) = samples::hostile();
        let lines = lines(&shown(&grant, samples::present()), Some(60));
        insta::assert_snapshot!(lines.join("\n"));
        let begins = |word: &str| lines.iter().filter(|l| l.starts_with(word)).count();
        let lines_of_ours = ["Duration ", "Requester ", "Approval "].map(begins);
        assert_eq!(lines_of_ours, [1, 1, 1]);
    }
}
