//! The status of a request that does not become a loan now: it waits, is held up, was denied or has
//! lapsed.

use jiff::Timestamp;

use crate::api::{AccessGrant, ConsideredFlow, CountedDecision, Decision, IgnoredDecision, Phase};

use super::effect::Plan;
use super::reasons::GrantReason;
use super::resolve::{Hold, Kind};
use super::status::{self, Approved, RequestState};
use super::terms::Agreement;

/// What is known about a request that a flow covers.
pub(super) struct Covered {
    pub(super) agreement: Agreement,
    pub(super) considered: Vec<ConsideredFlow>,
    /// The decisions that counted.
    pub(super) decisions: Vec<CountedDecision>,
    /// The decisions that did not.
    pub(super) ignored: Vec<IgnoredDecision>,
}

/// The message if approvals are missing.
pub(super) const UNAPPROVED: &str = "the request has not been approved";

/// The message if there is no loan.
const NOT_GRANTED: &str = "the request has not been granted";

/// A decision is missing.
pub(super) fn waiting(
    grant: &AccessGrant,
    covered: Covered,
    approved: Approved,
    until: Timestamp,
    now: Timestamp,
) -> Plan {
    let state = RequestState {
        phase: Phase::Pending,
        accepted: Ok(()),
        approved,
        not_active: (GrantReason::NotApproved, UNAPPROVED.into()),
        stalled: false,
        considered: covered.considered,
        agreement: Some(&covered.agreement),
        decisions: covered.decisions,
        ignored: covered.ignored,
    };
    show(grant, state, Some(until), now)
}

/// A person denied the request: this is final.
pub(super) fn denied(
    grant: &AccessGrant,
    decision: CountedDecision,
    covered: Option<Covered>,
    now: Timestamp,
) -> Plan {
    let (reason, what) = match decision.decision {
        Decision::Revoke => (GrantReason::Revoked, "withdrawn"),
        Decision::Deny | Decision::Approve => (GrantReason::Denied, "denied"),
    };
    let why = decision.reason.as_ref();
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    let message = format!("the request was {what} by {}{why}", decision.user);
    let (agreement, considered, decisions, ignored) = match covered {
        Some(Covered {
            agreement,
            considered,
            decisions,
            ignored,
        }) => (Some(agreement), considered, decisions, ignored),
        None => {
            let (mut decisions, ignored) = known_so_far(grant);
            decisions.push(decision);
            (None, Vec::new(), decisions, ignored)
        }
    };
    let state = RequestState {
        phase: Phase::Denied,
        accepted: match agreement {
            Some(_) => Ok(()),
            None => Err((reason, message.clone())),
        },
        approved: Approved::No(reason, message.clone()),
        not_active: (reason, message),
        stalled: true,
        considered,
        agreement: agreement.as_ref(),
        decisions,
        ignored,
    };
    show(grant, state, None, now)
}

/// The request took too long, although a flow covers it: this is final.
pub(super) fn lapse(
    grant: &AccessGrant,
    message: String,
    covered: Covered,
    approved: Approved,
    now: Timestamp,
) -> Plan {
    let state = RequestState {
        phase: Phase::Lapsed,
        accepted: Err((GrantReason::Lapsed, message)),
        approved,
        not_active: (GrantReason::NotStarted, NOT_GRANTED.into()),
        stalled: true,
        considered: covered.considered,
        agreement: Some(&covered.agreement),
        decisions: covered.decisions,
        ignored: covered.ignored,
    };
    show(grant, state, None, now)
}

/// The decisions that counted at the last look, and those that did not.
fn known_so_far(grant: &AccessGrant) -> (Vec<CountedDecision>, Vec<IgnoredDecision>) {
    let status = grant.status.as_ref();
    status.map_or_else(Default::default, |status| {
        (status.decisions.clone(), status.ignored_decisions.clone())
    })
}

/// The request cannot be granted now, or ever. Earlier findings stay in the status.
pub(super) fn held(
    grant: &AccessGrant,
    hold: Hold,
    considered: Vec<ConsideredFlow>,
    lapses: Option<Timestamp>,
    now: Timestamp,
) -> Plan {
    let phase = match hold.kind {
        Kind::Waits => Phase::Pending,
        Kind::Fails | Kind::Final => Phase::Failed,
        Kind::Lapsed => Phase::Lapsed,
    };
    let (decisions, ignored) = known_so_far(grant);
    let unapproved = match decisions.is_empty() {
        true => "no approval has been given",
        false => UNAPPROVED,
    };
    let state = RequestState {
        phase,
        accepted: Err((hold.reason, hold.message)),
        approved: Approved::No(GrantReason::NotApproved, unapproved.into()),
        not_active: (GrantReason::NotStarted, NOT_GRANTED.into()),
        stalled: hold.kind != Kind::Waits,
        considered,
        agreement: None,
        decisions,
        ignored,
    };
    let lapses = lapses.filter(|lapses| *lapses > now);
    let wake = [hold.wake, lapses].into_iter().flatten().min();
    Plan {
        effect: hold.effect.map(|effect| *effect),
        ..show(grant, state, wake, now)
    }
}

/// A plan that only reports the state of the request.
pub(super) fn show(
    grant: &AccessGrant,
    state: RequestState<'_>,
    wake: Option<Timestamp>,
    now: Timestamp,
) -> Plan {
    let status = status::of_request(grant, state, now);
    let notes = status::notes(grant, &status);
    Plan {
        effect: None,
        status: Some(status),
        wake,
        notes,
    }
}
