//! The status of a request that does not become a loan now: it waits, is held up, was denied or has
//! lapsed.

use jiff::Timestamp;

use crate::api::{ConsideredFlow, CountedDecision, Decision, IgnoredDecision, Phase};

use super::case::Request;
use super::effect::Plan;
use super::reasons::GrantReason;
use super::resolve::{Kind, RequestBlock};
use super::status::{self, Approved, RequestReport};
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
    request: &Request<'_>,
    covered: Covered,
    approved: Approved,
    until: Timestamp,
) -> Plan {
    let state = RequestReport {
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
    show(request, state, Some(until))
}

/// A person denied the request: this is final.
pub(super) fn denied(
    request: &Request<'_>,
    decision: CountedDecision,
    covered: Option<Covered>,
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
            let (mut decisions, ignored) = known_so_far(request);
            decisions.push(decision);
            (None, Vec::new(), decisions, ignored)
        }
    };
    let state = RequestReport {
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
    show(request, state, None)
}

/// The request took too long, although a flow covers it: this is final.
pub(super) fn lapse(
    request: &Request<'_>,
    message: String,
    covered: Covered,
    approved: Approved,
) -> Plan {
    let state = RequestReport {
        phase: Phase::Lapsed,
        accepted: Err((GrantReason::Lapsed, message)),
        approved,
        not_active: (GrantReason::NotStarted, NOT_GRANTED.into()),
        stalled: !request.was_made_void(),
        considered: covered.considered,
        agreement: Some(&covered.agreement),
        decisions: covered.decisions,
        ignored: covered.ignored,
    };
    show(request, state, None)
}

/// The decisions that counted at the last look, and those that did not.
fn known_so_far(request: &Request<'_>) -> (Vec<CountedDecision>, Vec<IgnoredDecision>) {
    let status = request.status;
    (status.decisions.clone(), status.ignored_decisions.clone())
}

/// The request cannot be granted now, or ever. Earlier findings stay in the status.
pub(super) fn held(
    request: &Request<'_>,
    hold: RequestBlock,
    considered: Vec<ConsideredFlow>,
    lapses: Option<Timestamp>,
) -> Plan {
    let phase = match hold.kind {
        Kind::Waits => Phase::Pending,
        Kind::Fails | Kind::Final => Phase::Failed,
        Kind::Lapsed => Phase::Lapsed,
    };
    let (decisions, ignored) = known_so_far(request);
    let unapproved = match decisions.is_empty() {
        true => "no approval has been given",
        false => UNAPPROVED,
    };
    let stalled = match hold.kind {
        Kind::Waits => false,
        Kind::Fails | Kind::Final => true,
        // Nobody can mend a request that a tool makes again from Git after its time, and nobody
        // has to: the first one was served or has failed.
        Kind::Lapsed => !request.was_made_void(),
    };
    let state = RequestReport {
        phase,
        accepted: Err((hold.reason, hold.message)),
        approved: Approved::No(GrantReason::NotApproved, unapproved.into()),
        not_active: (GrantReason::NotStarted, NOT_GRANTED.into()),
        stalled,
        considered,
        agreement: None,
        decisions,
        ignored,
    };
    let lapses = lapses.filter(|lapses| *lapses > request.now);
    let wake = [hold.wake, lapses].into_iter().flatten().min();
    Plan {
        effect: hold.effect.map(|effect| *effect),
        ..show(request, state, wake)
    }
}

/// A plan that only reports the state of the request.
pub(super) fn show(
    request: &Request<'_>,
    state: RequestReport<'_>,
    wake: Option<Timestamp>,
) -> Plan {
    Plan {
        status: Some(status::of_request(request, state)),
        wake,
        ..Plan::default()
    }
}
