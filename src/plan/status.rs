//! The status of a grant, derived from its record or from the outcome of the request.

use jiff::Timestamp;

use crate::api::{
    ACCEPTED, ACTIVE, APPROVED, AccessGrant, AccessGrantStatus, AccessRecord, Condition,
    ConsideredFlow, CountedDecision, Decision, ENDED, EndReason, IgnoredDecision, Phase, STALLED,
    Time,
};

use super::case::{EndedLoan, Loan, Request};
use super::conditions::Conditions;
use super::delivery::failure::Attempt;
use super::delivery::links::Links;
use super::delivery::orphaned_secret::OrphanedSecret;
use super::delivery::{LinkState, residual_note};
use super::reasons::{GrantReason, Why};
use super::record::ending;
use super::terms::Agreement;

/// The approval state of a request.
#[derive(Debug)]
pub enum Approved {
    /// No approval is required, or all have been given.
    Yes,
    /// Approvals are missing; the sentence names them.
    Waits(String),
    /// The request is not approved: reason and message.
    No(GrantReason, String),
}

/// The state of a request without a record.
#[derive(Debug)]
pub struct RequestReport<'a> {
    /// The phase, for display.
    pub phase: Phase,
    /// Whether a flow covers the request; if not, the reason.
    pub accepted: Result<(), Why>,
    /// Whether the request is approved.
    pub approved: Approved,
    /// The reason why there is no link.
    pub not_active: Why,
    /// Whether a person has to act.
    pub stalled: bool,
    /// The flows that were not chosen.
    pub considered: Vec<ConsideredFlow>,
    /// The possible agreement.
    pub agreement: Option<&'a Agreement>,
    /// The decisions that counted.
    pub decisions: Vec<CountedDecision>,
    /// The decisions that did not count.
    pub ignored: Vec<IgnoredDecision>,
}

/// The status of a request without a record.
pub(super) fn of_request(request: &Request<'_>, state: RequestReport<'_>) -> AccessGrantStatus {
    let mut conditions = start(request.grant, request.now);
    match &state.accepted {
        Ok(()) => {
            let flow = state.agreement.map_or("", |a| a.terms.flow.name.as_str());
            accepted(&mut conditions, flow);
        }
        Err((reason, message)) => conditions.say(ACCEPTED, false, reason, message),
    }
    let mut waiting_for = None;
    match state.approved {
        Approved::Yes => approved(&mut conditions, &state.decisions),
        Approved::Waits(sentence) => {
            let message = format!("waiting for {sentence}");
            conditions.say(APPROVED, false, GrantReason::WaitingForApproval, message);
            waiting_for = Some(sentence);
        }
        Approved::No(reason, message) => conditions.say(APPROVED, false, reason, message),
    }
    let (reason, message) = &state.not_active;
    conditions.say(ACTIVE, false, reason, message);
    conditions.say(
        ENDED,
        false,
        GrantReason::NotStarted,
        "the loan has not started",
    );
    if state.stalled {
        let (reason, message) = state.accepted.as_ref().err().unwrap_or(&state.not_active);
        conditions.say(STALLED, true, reason, message);
    }
    let mut status = AccessGrantStatus {
        observed_generation: request.grant.metadata.generation,
        phase: Some(state.phase),
        conditions: conditions.done(),
        considered_flows: state.considered,
        decisions: state.decisions,
        ignored_decisions: state.ignored,
        waiting_for,
        ..AccessGrantStatus::default()
    };
    match state.agreement {
        Some(agreement) => {
            status.flow = Some(agreement.terms.flow.name.clone());
            status.terms = Some(agreement.terms.clone());
            status.digest = Some(agreement.digest.clone());
        }
        // Earlier findings stay in the status, even for a failed request: they are what people have
        // decided about.
        None => {
            status.terms = request.status.terms.clone();
            status.digest = request.status.digest.clone();
        }
    }
    status
}

/// The state of a running loan.
#[derive(Debug)]
pub struct LoanReport {
    /// The reason why the record's claim that the loan was approved is not trusted, if so.
    pub unconfirmed: Option<Why>,
    /// Whether the current link opens.
    pub state: LinkState,
    /// The decisions that had no effect.
    pub ignored: Vec<IgnoredDecision>,
}

/// The status of a running loan.
pub(super) fn of_loan(
    loan: &Loan<'_>,
    request: &Request<'_>,
    report: LoanReport,
) -> AccessGrantStatus {
    let (record, links) = (loan.record, loan.links);
    let mut conditions = start(request.grant, request.now);
    let status = agreed(
        &mut conditions,
        request,
        record,
        report.unconfirmed.as_ref(),
    );
    let LinkState {
        active,
        stalled,
        link,
    } = report.state;
    match &active {
        Ok(message) => conditions.say(ACTIVE, true, GrantReason::LinkIssued, *message),
        Err((reason, message)) => conditions.say(ACTIVE, false, reason, message),
    }
    conditions.say(ENDED, false, GrantReason::Running, "the loan has not ended");
    if let (true, Err((reason, message))) = (stalled, &active) {
        conditions.say(STALLED, true, reason, message);
    }
    let phase = if links.granted_at().is_some() {
        Phase::Active
    } else {
        Phase::Issuing
    };
    AccessGrantStatus {
        phase: Some(phase),
        conditions: conditions.done(),
        link,
        access_details: record.spec.terms.access_details.clone(),
        ignored_decisions: report.ignored,
        ..status
    }
}

/// The status of an ended loan, which was approved unless `unconfirmed` gives a reason. It never
/// claims that nothing opens while a link may open.
pub(super) fn of_ended(
    loan: &EndedLoan<'_>,
    request: &Request<'_>,
    unconfirmed: Option<&Why>,
    left: &OrphanedSecret,
    ignored: Vec<IgnoredDecision>,
) -> AccessGrantStatus {
    let (record, end) = (loan.record, loan.end);
    let mut conditions = start(request.grant, request.now);
    let status = agreed(&mut conditions, request, record, unconfirmed);
    let residual = loan.residual();
    let (reason, what) = match end.reason {
        EndReason::NotIssued if Links::of(&record.spec).was_refused() => (
            GrantReason::NotIssued,
            refusal(loan.seen.attempt.as_ref(), request.grant),
        ),
        reason => {
            let (reason, what) = ending(reason);
            (reason, what.to_owned())
        }
    };
    let what = &match end.by.as_ref().filter(|_| end.reason == EndReason::Revoked) {
        Some(by) => format!("{what} by {by}{}", because(record, by)),
        None => what,
    };
    conditions.say(ACTIVE, false, reason, what);
    let stays = left
        .message()
        .map_or(String::new(), |left| format!("; {left}"));
    match residual {
        Some(until) => {
            let message = format!("{what}{stays}; {}", residual_note(until));
            conditions.say(ENDED, false, GrantReason::LinkMayStillOpen, message);
        }
        None => conditions.say(ENDED, true, reason, format!("{what}{stays}")),
    }
    let failed = match end.reason {
        EndReason::NotIssued => true,
        EndReason::Restored => Links::of(&record.spec).first().is_none(),
        _ => false,
    };
    if failed {
        conditions.say(STALLED, true, reason, what);
    } else if let OrphanedSecret::Stays {
        message,
        stalled: true,
        ..
    } = left
    {
        conditions.say(STALLED, true, GrantReason::LinkSecretStays, message);
    }
    let phase = match (failed, residual) {
        (_, Some(_)) => Phase::Ending,
        (true, None) => Phase::Failed,
        (false, None) => Phase::Ended,
    };
    AccessGrantStatus {
        phase: Some(phase),
        conditions: conditions.done(),
        residual_until: record.spec.residual_until.clone(),
        ended_at: Some(end.at.clone()),
        ignored_decisions: ignored,
        ..status
    }
}

/// Why 1Password issued no link. Only the process that asked knows; later, the status keeps what it
/// said.
fn refusal(attempt: Option<&Attempt>, grant: &AccessGrant) -> String {
    let is_said = |c: &&Condition| c.type_ == ACTIVE && c.reason == GrantReason::NotIssued.as_str();
    let said = before(grant).iter().find(is_said);
    attempt
        .and_then(Attempt::last_words)
        .or_else(|| said.map(|condition| condition.message.clone()))
        .unwrap_or_else(|| {
            "1Password issued no link: the account's sharing policy, the service account's \
             permissions or the item itself may not allow it. Check these in 1Password, then \
             request again or request something else"
                .to_owned()
        })
}

/// The status of a grant whose pass failed because the API server refuses something that the
/// operator has to write. Everything else is unchanged.
pub fn of_failed_pass(grant: &AccessGrant, why: &str, now: Timestamp) -> AccessGrantStatus {
    let mut conditions = start(grant, now);
    let others = before(grant).iter().filter(|c| c.type_ != STALLED);
    others.for_each(|c| conditions.say(&c.type_, c.status == "True", &c.reason, &c.message));
    let message = format!("{why}. Remove the cause; the operator keeps retrying");
    conditions.say(STALLED, true, GrantReason::WriteRefused, message);
    AccessGrantStatus {
        observed_generation: grant.metadata.generation,
        conditions: conditions.done(),
        ..grant.status.clone().unwrap_or_default()
    }
}

/// The reason given by the person who ended a loan.
fn because(record: &AccessRecord, by: &str) -> String {
    let mut decisions = record.spec.decisions.iter().rev();
    let decision = decisions.find(|d| d.decision != Decision::Approve && d.user == by);
    let reason = decision.and_then(|d| d.reason.as_ref());
    reason.map_or(String::new(), |reason| format!(": {reason}"))
}

fn common(request: &Request<'_>, record: &AccessRecord) -> AccessGrantStatus {
    let links = Links::of(&record.spec);
    AccessGrantStatus {
        observed_generation: request.grant.metadata.generation,
        flow: Some(record.spec.terms.flow.name.clone()),
        terms: Some(record.spec.terms.clone()),
        digest: Some(record.spec.digest.clone()),
        decisions: record.spec.decisions.clone(),
        considered_flows: request.status.considered_flows.clone(),
        earlier_denials: request.status.earlier_denials.clone(),
        granted_at: links.granted_at().map(Time),
        expires_at: links.access_end().map(Time),
        record: record.metadata.name.clone(),
        ..AccessGrantStatus::default()
    }
}

fn start(grant: &AccessGrant, now: Timestamp) -> Conditions<'_> {
    Conditions::new(
        before(grant),
        grant.metadata.generation.unwrap_or_default(),
        now,
    )
}

fn before(grant: &AccessGrant) -> &[Condition] {
    grant.status.as_ref().map_or(&[], |s| &s.conditions)
}

/// How the loan came about according to the record, without the approvals if they are not
/// confirmed.
fn agreed(
    conditions: &mut Conditions<'_>,
    request: &Request<'_>,
    record: &AccessRecord,
    unconfirmed: Option<&Why>,
) -> AccessGrantStatus {
    let mut status = common(request, record);
    accepted(conditions, &record.spec.terms.flow.name);
    match unconfirmed {
        Some((reason, message)) => {
            conditions.say(APPROVED, false, reason, message);
            status.decisions.clear();
        }
        None => approved(conditions, &record.spec.decisions),
    }
    status
}

fn accepted(conditions: &mut Conditions<'_>, flow: &str) {
    let message = format!("flow {flow:?} covers the request");
    conditions.say(ACCEPTED, true, GrantReason::FlowChosen, message);
}

fn approved(conditions: &mut Conditions<'_>, decisions: &[CountedDecision]) {
    let approvals = decisions.iter().filter(|d| d.decision == Decision::Approve);
    let by: Vec<_> = approvals.map(approval).collect();
    if by.is_empty() {
        let message = "the flow does not require approval";
        conditions.say(APPROVED, true, GrantReason::ApprovedAutomatically, message);
    } else {
        let message = format!("approved by {}", by.join(", "));
        conditions.say(APPROVED, true, GrantReason::Approved, message);
    }
}

/// One approval, as `bob (owner, for at most 2h)`.
fn approval(decision: &CountedDecision) -> String {
    let group = decision.group.clone();
    let most = decision.max_duration.as_ref();
    let most = most.map(|most| format!("for at most {most}"));
    let details: Vec<_> = group.into_iter().chain(most).collect();
    match details.is_empty() {
        true => decision.user.clone(),
        false => format!("{} ({})", decision.user, details.join(", ")),
    }
}
