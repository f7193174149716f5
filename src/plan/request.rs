//! A request without a record, from its first look through its approval to the first link.

use jiff::Timestamp;

use crate::api::{ConsideredFlow, Phase, Time};

use super::approval::{self, Standing, Weighed};
use super::case::Request;
use super::closed_request::{clean_up, ignore_later_decisions};
use super::delivery::orphaned_secret::OrphanedSecret;
use super::delivery::{failure, first_link, last_known_residual, residual_note};
use super::effect::{Effect, Plan};
use super::observed::{LinkSeen, Observed};
use super::queue_position::{Room, room};
use super::reasons::GrantReason;
use super::request_outcome::{Covered, UNAPPROVED, denied, held, lapse, show, waiting};
use super::request_state::RequestState;
use super::resolve::{Kind, RequestBlock, look_up_and_agree};
use super::status::{Approved, RequestReport};
use super::terms::Agreement;
use super::timeframe::{Opening, opening};
use super::unlent::{show_earlier, to_be_recorded};
use super::vetting::{Vouched, vouched_for};

/// Decides about a request.
pub(super) fn plan(request: &Request<'_>) -> Plan {
    show_earlier(
        ignore_later_decisions(decide(request), request),
        request.seen,
    )
}

fn decide(request: &Request<'_>) -> Plan {
    let Request { seen, now, .. } = *request;
    // Keyloan's Secret exists without a record: the record was deleted, so nothing counts or ends
    // this link.
    let left = match OrphanedSecret::of(seen, request.uid, now) {
        OrphanedSecret::Delete => return Plan::effect(Effect::DeleteLink),
        OrphanedSecret::Stays {
            message, retry_at, ..
        } => return record_missing_and_link_left(request, message, retry_at),
        OrphanedSecret::MayStay(message) => format!("; {message}"),
        OrphanedSecret::Nothing => String::new(),
    };
    if let Some(over_since) = request.state.closed_since() {
        return closed(request, over_since);
    }
    if request.state == RequestState::Lent {
        return record_missing(request, &left);
    }
    if let Some(decision) = approval::withdrawal(request) {
        return denied(request, decision, None);
    }
    match room(request) {
        Room::Enough => {}
        Room::NotBefore(at) => {
            return Plan {
                wake: Some(at),
                ..Plan::default()
            };
        }
        Room::None(block) => return held(request, block, Vec::new(), None),
    }
    match basis(request) {
        Basis::Sound => {}
        Basis::Unchecked => {
            return Plan {
                wake: Some(request.deadline()),
                ..Plan::effect(Effect::CheckBoundary)
            };
        }
        Basis::Blocked(block) => return blocked(request, block, Vec::new()),
    }
    let mut considered = Vec::new();
    match look_up_and_agree(request, &mut considered) {
        Ok(agreement) => agreed(request, agreement, considered),
        Err(mut block) => {
            let waits_for_its_time = [GrantReason::LimitReached, GrantReason::OutsideTimeframe];
            if block.kind == Kind::Waits && waits_for_its_time.contains(&block.reason) {
                let next = [next_place(seen, now), next_opening(seen, now)];
                block.wake = next.into_iter().flatten().min();
            }
            let block = block.after(seen.attempt.as_ref(), now);
            blocked(request, block, considered)
        }
    }
}

/// A request that is over: it is recorded if a flow covered it, and deleted later.
fn closed(request: &Request<'_>, over_since: Timestamp) -> Plan {
    let plan = clean_up(request, over_since);
    match to_be_recorded(request) {
        Some(record) if plan.effect.is_none() => {
            Plan::effect(Effect::RecordUnlent(Box::new(record)))
        }
        _ => plan,
    }
}

/// Whether a request can be looked up at all.
enum Basis {
    /// Its requester is verified, and the links namespace can be read.
    Sound,
    /// It is still unknown whether the API server verifies its requester.
    Unchecked,
    /// Not now, or never.
    Blocked(RequestBlock),
}

fn basis(request: &Request<'_>) -> Basis {
    let seen = request.seen;
    match vouched_for(request) {
        Vouched::Yes if seen.link == LinkSeen::OutOfReach => {
            let (reason, message) = failure::out_of_reach(&seen.links_namespace);
            Basis::Blocked(RequestBlock::new(Kind::Fails, reason, message))
        }
        Vouched::Yes => Basis::Sound,
        Vouched::AfterACheck if request.now < request.deadline() => Basis::Unchecked,
        Vouched::AfterACheck => Basis::Blocked(lapsed(request, request.deadline())),
        Vouched::No(block) => Basis::Blocked(block),
    }
}

/// The request cannot be granted now; it lapses at its deadline.
fn blocked(request: &Request<'_>, block: RequestBlock, considered: Vec<ConsideredFlow>) -> Plan {
    let deadline = request.deadline();
    let block = match request.now >= deadline {
        true => lapsed(request, deadline),
        false => block,
    };
    held(request, block, considered, Some(deadline))
}

/// The time at which the first of the requester's loans is over. For a loan that has ended already,
/// only time tells that its last link has ended, too.
fn next_place(seen: &Observed, now: Timestamp) -> Option<Timestamp> {
    let next = seen.usage.values().filter_map(|usage| usage.next_over);
    next.filter(|at| *at > now).min()
}

/// The time at which the first of the closed flows opens.
fn next_opening(seen: &Observed, now: Timestamp) -> Option<Timestamp> {
    let frames = seen.flows.iter().filter_map(|f| f.spec.timeframe.as_ref());
    let opens = frames.filter_map(|frame| match opening(frame, now) {
        Opening::Closed { opens } => opens,
        Opening::Open | Opening::Invalid(_) => None,
    });
    opens.min()
}

/// The record of a running loan was deleted, for example by a restored backup or a deleted
/// namespace: the loan is over.
fn record_missing(request: &Request<'_>, left: &str) -> Plan {
    let residual = last_known_residual(request);
    let message = format!(
        "the record of this loan is missing, and a request is never granted twice; request \
         again{}{left}",
        may_open(residual)
    );
    let gone = RequestBlock::new(Kind::Final, GrantReason::RecordMissing, message);
    let mut plan = held(request, gone, Vec::new(), None);
    if let Some(status) = &mut plan.status {
        status.residual_until = residual.map(Time);
    }
    plan
}

/// The same while the Secret still exists: not final yet, and the status still shows that a link
/// was issued.
fn record_missing_and_link_left(
    request: &Request<'_>,
    left: String,
    retry_at: Option<Timestamp>,
) -> Plan {
    let residual = last_known_residual(request);
    let message = format!(
        "the record of this loan is missing, and {left}{}",
        may_open(residual)
    );
    let stays = RequestBlock::new(Kind::Fails, GrantReason::LinkSecretStays, message);
    let mut plan = held(request, stays, Vec::new(), retry_at);
    if let Some(status) = &mut plan.status {
        status.record = Some(request.uid.to_owned());
        status.residual_until = residual.map(Time);
    }
    plan
}

fn may_open(residual: Option<Timestamp>) -> String {
    residual.map_or_else(String::new, |until| format!("; {}", residual_note(until)))
}

fn lapsed(request: &Request<'_>, limit: Timestamp) -> RequestBlock {
    let message = match &request.grant.spec.not_after {
        Some(at) if request.was_made_void() => {
            format!(
                "the request was made at {:.0}, after its notAfter ({}), so it lends nothing; to \
                 borrow the item again, make a request with a later notAfter",
                request.made, at.0
            )
        }
        Some(at) if at.0 <= request.now => {
            format!(
                "the loan could not start before {} (notAfter); request again",
                at.0
            )
        }
        _ => format!("the request could not be granted by {limit:.0}; request again"),
    };
    RequestBlock::new(Kind::Lapsed, GrantReason::Lapsed, message)
}

/// A flow covers the request: its approvers decide now.
fn agreed(request: &Request<'_>, agreement: Agreement, considered: Vec<ConsideredFlow>) -> Plan {
    let seen = request.seen;
    let Some(approval) = &agreement.terms.approval else {
        let no = approval::revocation(&seen.decisions, &agreement, None);
        let decisions = Vec::from_iter(no.clone());
        let covered = Covered {
            ignored: approval::ignored(request, &agreement, &decisions),
            agreement,
            considered,
            decisions,
        };
        return match no {
            Some(decision) => denied(request, decision, Some(covered)),
            None => grantable(request, covered, request.start_deadline(None)),
        };
    };
    let until = request.approval_deadline(approval);
    let Weighed {
        standing,
        counted,
        ignored,
    } = approval::weigh(request, &agreement);
    let covered = Covered {
        agreement,
        considered,
        decisions: counted,
        ignored,
    };
    match standing {
        Standing::Denied(decision) => denied(request, decision, Some(covered)),
        Standing::Approved { at } => grantable(request, covered, request.start_deadline(Some(at))),
        Standing::Unverified if seen.boundary.broken.is_none() => Plan {
            wake: Some(until),
            ..Plan::effect(Effect::CheckBoundary)
        },
        Standing::Waiting { .. } | Standing::Unverified if request.now >= until => {
            let message = format!("the request was not approved by {until:.0}; request again");
            let approved = Approved::No(GrantReason::NotApproved, UNAPPROVED.into());
            lapse(request, message, covered, approved)
        }
        Standing::Unverified => {
            let why = seen.boundary.broken.clone().unwrap_or_default();
            let block = RequestBlock::boundary(&why);
            let approved = Approved::No(block.reason, block.message);
            waiting(request, covered, approved, until)
        }
        Standing::Waiting { sentence, until } => {
            waiting(request, covered, Approved::Waits(sentence), until)
        }
    }
}

/// All required approvals have been given: the first link is issued, unless something prevents it.
fn grantable(request: &Request<'_>, covered: Covered, start_by: Timestamp) -> Plan {
    if request.now >= start_by {
        let message = lapsed(request, start_by).message;
        return lapse(request, message, covered, Approved::Yes);
    }
    let mut first = first_link(request, &covered.agreement, &covered.decisions, start_by);
    if let Some(Effect::IssueLink(issue)) = &mut first.effect {
        issue.ignored.clone_from(&covered.ignored);
        issue.considered.clone_from(&covered.considered);
    }
    let report = RequestReport {
        phase: match first.is_being_issued {
            true => Phase::Issuing,
            false => Phase::Pending,
        },
        accepted: Ok(()),
        approved: Approved::Yes,
        not_active: first.why,
        stalled: first.stalled,
        considered: covered.considered,
        agreement: Some(&covered.agreement),
        decisions: covered.decisions,
        ignored: covered.ignored,
    };
    let wake = first.wake.into_iter().chain([start_by]).min();
    Plan {
        effect: first.effect,
        ..show(request, report, wake)
    }
}
