//! A request that has no record yet: what becomes of it, from its first look to the first link.

use jiff::{SignedDuration, Timestamp};

use crate::api::{AccessGrant, ConsideredFlow, Phase, Time};

use super::effect::{Effect, IssueLink, Plan};
use super::inventory::Lookup;
use super::links::{answered_by, latest_end};
use super::observed::{LinkSeen, Observed};
use super::reasons::grant as reasons;
use super::resolve::{Hold, Kind, look_up_and_agree};
use super::retry::{self, Failure};
use super::status::{self, RequestState};
use super::terms::Agreement;

/// How long a request may wait before it lapses.
const LAPSES_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How long a request that came to nothing is kept for people to read.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Decide about a request.
pub fn plan(seen: &Observed, grant: &AccessGrant, now: Timestamp) -> Plan {
    let stored = grant.metadata.uid.as_ref().is_some_and(|u| !u.is_empty());
    if grant.metadata.deletion_timestamp.is_some() || !stored {
        return Plan::default();
    }
    if matches!(seen.link, LinkSeen::Present { .. }) {
        // Its record was deleted: nothing counts this link any more, or ends it.
        return Plan {
            effect: Some(Effect::DeleteLink),
            ..Plan::default()
        };
    }
    if let Some(over_since) = final_since(grant) {
        return clean_up(grant, over_since, now);
    }
    if has_been_lent(grant) {
        return record_missing(grant, now);
    }
    let lapses = lapses_at(grant, now);
    if now >= lapses {
        let message = match &grant.spec.not_after {
            Some(at) if at.0 <= now => {
                format!("the loan could not start before {}; ask again", at.0)
            }
            _ => "the request could not be granted within 24 hours; ask again".into(),
        };
        let lapsed = Hold::new(Kind::Lapsed, reasons::LAPSED, message);
        return held(grant, lapsed, Vec::new(), None, now);
    }
    if seen.link == LinkSeen::OutOfReach {
        let (reason, message) = retry::out_of_reach();
        let hold = Hold::new(Kind::Fails, reason, message);
        return held(grant, hold, Vec::new(), Some(lapses), now);
    }
    let mut considered = Vec::new();
    match look_up_and_agree(seen, grant, now, &mut considered) {
        Ok(agreement) => grantable(seen, grant, agreement, considered, lapses, now),
        Err(hold) => {
            let hold = hold.after(seen.attempt.as_ref(), now);
            held(grant, hold, considered, Some(lapses), now)
        }
    }
}

/// A state that a request does not leave any more, and since when it is in it.
fn final_since(grant: &AccessGrant) -> Option<Timestamp> {
    let status = grant.status.as_ref()?;
    let accepted = status
        .conditions
        .iter()
        .find(|c| c.type_ == crate::api::ACCEPTED)?;
    let over = matches!(status.phase, Some(Phase::Denied | Phase::Lapsed))
        || [reasons::OUTSIDE_TIMEFRAME, reasons::RECORD_MISSING]
            .contains(&accepted.reason.as_str());
    over.then_some(accepted.last_transition_time.0)
}

/// Whether a record of this loan was seen before, though there is none now.
fn has_been_lent(grant: &AccessGrant) -> bool {
    let status = grant.status.as_ref();
    status.is_some_and(|s| s.record.is_some() || s.granted_at.is_some())
}

/// The record of a loan was deleted under it, as a restored backup or a deleted namespace can do: the loan is over.
fn record_missing(grant: &AccessGrant, now: Timestamp) -> Plan {
    let residual = last_known_residual(grant, now);
    let opens = residual.map_or_else(String::new, |until| {
        format!(
            ". A link that was handed out may still open until {until:.0}: to cut it off now, change the item's secret in 1Password"
        )
    });
    let message = format!(
        "the record of this loan is gone, and nothing is lent twice by one request; ask again{opens}"
    );
    let gone = Hold::new(Kind::Final, reasons::RECORD_MISSING, message);
    let mut plan = held(grant, gone, Vec::new(), None, now);
    if let Some(status) = &mut plan.status {
        status.residual_until = residual.map(Time);
    }
    plan
}

/// Until when a link may still open, as far as the status knows it. No link outlives its loan.
fn last_known_residual(grant: &AccessGrant, now: Timestamp) -> Option<Timestamp> {
    let status = grant.status.as_ref()?;
    let known = match (&status.ended_at, &status.granted_at, &status.terms) {
        (Some(_), _, _) => status.residual_until.as_ref().map(|t| t.0),
        (None, Some(_), _) => {
            let link = status.link.as_ref().map(|link| link.expires_at.0);
            link.max(status.expires_at.as_ref().map(|t| t.0))
        }
        // The first link was being made: it may have been begun just now.
        (None, None, Some(terms)) => Some(latest_end(now, terms.link_lifetime)),
        (None, None, None) => None,
    };
    known.filter(|until| *until > now)
}

/// People's old requests are tidied away; those with `notAfter` not before it, since whoever re-creates them
/// would otherwise ask anew.
fn clean_up(grant: &AccessGrant, over_since: Timestamp, now: Timestamp) -> Plan {
    let residual = grant
        .status
        .as_ref()
        .and_then(|s| s.residual_until.as_ref());
    let kept_until = residual
        .map_or(over_since, |until| until.0.max(over_since))
        .saturating_add(KEPT_FOR)
        .unwrap_or(Timestamp::MAX);
    let due = grant
        .spec
        .not_after
        .as_ref()
        .map_or(kept_until, |t| t.0.max(kept_until));
    if now >= due {
        return Plan {
            effect: Some(Effect::DeleteGrant),
            ..Plan::default()
        };
    }
    Plan {
        wake: Some(due),
        status: grant.status.clone(),
        ..Plan::default()
    }
}

fn lapses_at(grant: &AccessGrant, now: Timestamp) -> Timestamp {
    let created = grant
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |t| t.0);
    let lapses = created
        .saturating_add(LAPSES_AFTER)
        .unwrap_or(Timestamp::MAX);
    grant
        .spec
        .not_after
        .as_ref()
        .map_or(lapses, |t| t.0.min(lapses))
}

fn grantable(
    seen: &Observed,
    grant: &AccessGrant,
    agreement: Agreement,
    considered: Vec<ConsideredFlow>,
    lapses: Timestamp,
    now: Timestamp,
) -> Plan {
    let mut state = RequestState {
        phase: Phase::Issuing,
        accepted: Ok(()),
        not_active: (reasons::ISSUING, "the first link is being made".into()),
        stalled: false,
        considered,
        agreement: Some(&agreement),
    };
    let write_by = answered_by(lapses);
    let mut wake = lapses;
    let mut effect = None;
    if seen.link == LinkSeen::Foreign {
        state.not_active = retry::taken();
        state.stalled = true;
    } else if let Some(attempt) = seen.attempt.as_ref().filter(|a| a.retry_at() > now) {
        let (reason, message) = attempt.explain();
        state.not_active = (reason, message);
        state.stalled = attempt.needs_a_person();
        wake = wake.min(attempt.retry_at());
    } else if let Some(stale) = stale_listing(seen, &agreement) {
        effect = Some(stale);
    } else if now < write_by {
        effect = Some(Effect::IssueLink(Box::new(IssueLink {
            sequence: 1,
            lifetime: agreement.terms.link_lifetime,
            agreement: agreement.clone(),
            first: true,
            lost: None,
            write_by,
            item_version: None,
        })));
    } else {
        state.not_active = (
            reasons::LAPSED,
            "too little time is left to start the loan".into(),
        );
    }
    let status = status::of_request(grant, state, now);
    let notes = status::notes(grant, &status);
    Plan {
        effect,
        status: Some(status),
        wake: Some(wake),
        notes,
    }
}

/// The item that was fetched was not the one that had been looked up: list the vault before trying again.
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

fn held(
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
    let state = RequestState {
        phase,
        accepted: Err((hold.reason, hold.message)),
        not_active: (
            reasons::NOT_STARTED,
            "the request has not been granted".into(),
        ),
        stalled: hold.kind != Kind::Waits,
        considered,
        agreement: None,
    };
    let status = status::of_request(grant, state, now);
    let notes = status::notes(grant, &status);
    let wake = [hold.wake, lapses].into_iter().flatten().min();
    Plan {
        effect: hold.effect.map(|effect| *effect),
        status: Some(status),
        wake,
        notes,
    }
}
