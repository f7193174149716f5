//! A request without a record, from its first look through its approval to the first link.

use jiff::Timestamp;

use crate::api::{AccessGrant, ConsideredFlow, Phase, Time};

use super::approval::{self, Standing, Weighed};
use super::denial::{show_earlier, to_be_recorded};
use super::effect::{Effect, IssueLink, Plan};
use super::held_up::{Covered, UNAPPROVED, denied, held, lapse, show, waiting};
use super::in_line::{Room, room};
use super::inventory::Lookup;
use super::leftover::Leftover;
use super::links::answered_by;
use super::observed::{LinkSeen, Observed};
use super::over::{clean_up, final_since, has_been_lent, heed_nothing_more, last_known_residual};
use super::patience::{approval_until, patience, starts_until};
use super::reasons::GrantReason;
use super::resolve::{Hold, Kind, look_up_and_agree};
use super::retry::{self, Failure};
use super::status::{Approved, RequestState};
use super::terms::{Agreement, longest_within};
use super::timeframe::{Opening, opening};
use super::vetting::{Vouched, vouched_for};

/// Decides about a request.
pub fn plan(seen: &Observed, grant: &AccessGrant, now: Timestamp) -> Plan {
    show_earlier(
        heed_nothing_more(decide(seen, grant, now), seen, grant, now),
        seen,
    )
}

fn decide(seen: &Observed, grant: &AccessGrant, now: Timestamp) -> Plan {
    let stored = grant.metadata.uid.as_ref().is_some_and(|u| !u.is_empty());
    if grant.metadata.deletion_timestamp.is_some() || !stored {
        return Plan::default();
    }
    let uid = grant.metadata.uid.as_deref().unwrap_or_default();
    // Keyloan's Secret exists without a record: the record was deleted, so nothing counts or ends
    // this link.
    let left = match Leftover::of(seen, uid, now) {
        Leftover::Delete => {
            return Plan {
                effect: Some(Effect::DeleteLink),
                ..Plan::default()
            };
        }
        Leftover::Stays {
            message, retry_at, ..
        } => return record_missing_and_link_left(grant, message, retry_at, now),
        Leftover::MayStay(message) => format!("; {message}"),
        Leftover::Nothing => String::new(),
    };
    if let Some(over_since) = grant.status.as_ref().and_then(final_since) {
        let plan = clean_up(grant, over_since, now);
        if plan.effect.is_none()
            && let Some(record) = to_be_recorded(seen, grant, now)
        {
            return Plan {
                effect: Some(Effect::RecordDenial(Box::new(record))),
                ..Plan::default()
            };
        }
        return plan;
    }
    if has_been_lent(grant) {
        return record_missing(grant, &left, now);
    }
    if let Some(decision) = approval::withdrawal(seen, grant) {
        return denied(grant, decision, None, now);
    }
    match room(seen, grant, now) {
        Room::Enough => {}
        Room::NotBefore(at) => {
            return Plan {
                wake: Some(at),
                ..Plan::default()
            };
        }
        Room::None(hold) => return held(grant, hold, Vec::new(), None, now),
    }
    let patience = patience(grant, now);
    let or_lapsed = |hold: Hold| match now >= patience {
        true => lapsed(grant, patience, now),
        false => hold,
    };
    match vouched_for(seen, grant) {
        Vouched::Yes => {}
        Vouched::AfterACheck if now < patience => {
            return Plan {
                effect: Some(Effect::CheckBoundary),
                wake: Some(patience),
                ..Plan::default()
            };
        }
        Vouched::AfterACheck => {
            let hold = lapsed(grant, patience, now);
            return held(grant, hold, Vec::new(), None, now);
        }
        Vouched::No(hold) => {
            return held(grant, or_lapsed(hold), Vec::new(), Some(patience), now);
        }
    }
    if seen.link == LinkSeen::OutOfReach {
        let (reason, message) = retry::out_of_reach(&seen.links_namespace);
        let hold = or_lapsed(Hold::new(Kind::Fails, reason, message));
        return held(grant, hold, Vec::new(), Some(patience), now);
    }
    let mut considered = Vec::new();
    match look_up_and_agree(seen, grant, now, &mut considered) {
        Ok(agreement) => agreed(seen, grant, agreement, considered, now),
        Err(mut hold) => {
            let waits_for_its_time = [GrantReason::LimitReached, GrantReason::OutsideTimeframe];
            if hold.kind == Kind::Waits && waits_for_its_time.contains(&hold.reason) {
                let next = [next_place(seen, now), next_opening(seen, now)];
                hold.wake = next.into_iter().flatten().min();
            }
            let hold = or_lapsed(hold.after(seen.attempt.as_ref(), now));
            held(grant, hold, considered, Some(patience), now)
        }
    }
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
fn record_missing(grant: &AccessGrant, left: &str, now: Timestamp) -> Plan {
    let residual = last_known_residual(grant, now);
    let message = format!(
        "the record of this loan is missing, and a request is never granted twice; request \
         again{}{left}",
        may_open(residual)
    );
    let gone = Hold::new(Kind::Final, GrantReason::RecordMissing, message);
    let mut plan = held(grant, gone, Vec::new(), None, now);
    if let Some(status) = &mut plan.status {
        status.residual_until = residual.map(Time);
    }
    plan
}

/// The same while the Secret still exists: not final yet, and the status still shows that a link
/// was issued.
fn record_missing_and_link_left(
    grant: &AccessGrant,
    left: String,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Plan {
    let residual = last_known_residual(grant, now);
    let message = format!(
        "the record of this loan is missing, and {left}{}",
        may_open(residual)
    );
    let stays = Hold::new(Kind::Fails, GrantReason::LinkSecretStays, message);
    let mut plan = held(grant, stays, Vec::new(), retry_at, now);
    if let Some(status) = &mut plan.status {
        status.record = grant.metadata.uid.clone();
        status.residual_until = residual.map(Time);
    }
    plan
}

fn may_open(residual: Option<Timestamp>) -> String {
    residual.map_or_else(String::new, |until| {
        format!(
            ". An issued link may still open until {until:.0}: to cut off access now, change the \
             item's secret in 1Password"
        )
    })
}

fn lapsed(grant: &AccessGrant, limit: Timestamp, now: Timestamp) -> Hold {
    let message = match &grant.spec.not_after {
        Some(at) if at.0 <= now => {
            format!(
                "the loan could not start before {} (notAfter); request again",
                at.0
            )
        }
        _ => format!("the request could not be granted by {limit:.0}; request again"),
    };
    Hold::new(Kind::Lapsed, GrantReason::Lapsed, message)
}

/// A flow covers the request: its approvers decide now.
fn agreed(
    seen: &Observed,
    grant: &AccessGrant,
    agreement: Agreement,
    considered: Vec<ConsideredFlow>,
    now: Timestamp,
) -> Plan {
    let Some(approval) = &agreement.terms.approval else {
        let no = approval::revocation(&seen.decisions, &agreement, None);
        let decisions = Vec::from_iter(no.clone());
        let covered = Covered {
            ignored: approval::unheeded(seen, grant, &agreement, &decisions, now),
            agreement,
            considered,
            decisions,
        };
        return match no {
            Some(decision) => denied(grant, decision, Some(covered), now),
            None => grantable(seen, grant, covered, starts_until(grant, None, now), now),
        };
    };
    let until = approval_until(grant, approval, now);
    let Weighed {
        standing,
        counted,
        ignored,
    } = approval::weigh(seen, grant, &agreement, approval, until);
    let covered = Covered {
        agreement,
        considered,
        decisions: counted,
        ignored,
    };
    match standing {
        Standing::Denied(decision) => denied(grant, decision, Some(covered), now),
        Standing::Approved { at } => {
            let lapses = starts_until(grant, Some(at), now);
            grantable(seen, grant, covered, lapses, now)
        }
        Standing::Unverified if seen.boundary.broken.is_none() => Plan {
            effect: Some(Effect::CheckBoundary),
            wake: Some(until),
            ..Plan::default()
        },
        Standing::Waiting(_) | Standing::Unverified if now >= until => {
            let message = format!("the request was not approved by {until:.0}; request again");
            let approved = Approved::No(GrantReason::NotApproved, UNAPPROVED.into());
            lapse(grant, message, covered, approved, now)
        }
        Standing::Unverified => {
            let why = seen.boundary.broken.clone().unwrap_or_default();
            let hold = Hold::boundary(&why);
            waiting(
                grant,
                covered,
                Approved::No(hold.reason, hold.message),
                until,
                now,
            )
        }
        Standing::Waiting(sentence) => {
            waiting(grant, covered, Approved::Waits(sentence), until, now)
        }
    }
}

/// All required approvals have been given: the first link is issued, unless something prevents it.
fn grantable(
    seen: &Observed,
    grant: &AccessGrant,
    covered: Covered,
    lapses: Timestamp,
    now: Timestamp,
) -> Plan {
    if now >= lapses {
        let message = lapsed(grant, lapses, now).message;
        return lapse(grant, message, covered, Approved::Yes, now);
    }
    let Covered {
        agreement,
        considered,
        decisions,
        ignored,
    } = covered;
    let mut state = RequestState {
        phase: Phase::Issuing,
        accepted: Ok(()),
        approved: Approved::Yes,
        not_active: (
            GrantReason::Issuing,
            "the first link is being issued".into(),
        ),
        stalled: false,
        considered,
        agreement: Some(&agreement),
        decisions: decisions.clone(),
        ignored,
    };
    let write_by = answered_by(lapses);
    let mut wake = lapses;
    let mut effect = None;
    let duration = approval::duration(&agreement.terms, &decisions);
    let lifetime = longest_within(duration, agreement.terms.link_lifetime);
    if let Some(why) = &seen.boundary.broken {
        let hold = Hold::boundary(why);
        state.phase = Phase::Pending;
        state.not_active = (hold.reason, hold.message);
    } else if seen.link == LinkSeen::Foreign {
        state.not_active = retry::taken();
        state.stalled = true;
    } else if let Some(attempt) = seen.attempt.as_ref().filter(|a| a.retry_at() > now) {
        let (reason, message) = attempt.explain();
        state.not_active = (reason, message);
        state.stalled = attempt.needs_a_person();
        wake = wake.min(attempt.retry_at());
    } else if let Some(wait) = seen
        .integration
        .as_ref()
        .and_then(|i| i.budget.first_link(now))
    {
        state.phase = Phase::Pending;
        state.not_active = (wait.reason, wait.message);
        wake = wake.min(wait.until);
    } else if let Some(stale) = stale_listing(seen, &agreement) {
        effect = Some(stale);
    } else if let Some(lifetime) = lifetime.filter(|_| now < write_by) {
        effect = Some(Effect::IssueLink(Box::new(IssueLink {
            sequence: 1,
            lifetime,
            agreement: agreement.clone(),
            decisions,
            first: true,
            lost: None,
            write_by,
            item_version: None,
        })));
    } else {
        state.not_active = (
            GrantReason::Lapsed,
            "too little time remains to start the loan".into(),
        );
    }
    Plan {
        effect,
        ..show(grant, state, Some(wake), now)
    }
}

/// The fetched item was not the one that had been looked up: list the vault before trying again.
fn stale_listing(seen: &Observed, agreement: &Agreement) -> Option<Effect> {
    let attempt = seen
        .attempt
        .as_ref()
        .filter(|a| a.failure == Failure::ItemDiffers)?;
    let inventory = seen.integration.as_ref()?.inventory.as_ref()?;
    let Lookup::One(vault) = inventory.vault(&agreement.terms.vault.id) else {
        return None;
    };
    (vault.listed_at <= attempt.at).then(|| Effect::ListVault {
        vault: vault.id.clone(),
        looking_for: agreement.terms.item.id.clone(),
    })
}
