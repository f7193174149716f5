//! A request that has no record yet: look it up, find its flow, and issue the first link.

use jiff::{SignedDuration, Timestamp};

use crate::api::{AccessGrant, ConsideredFlow, Identity, Phase, READY, Resolved};

use super::effect::{Effect, IssueLink, Plan};
use super::flow::{choose, open_to};
use super::inventory::{Inventory, ItemSeen, Lookup, VaultSeen};
use super::links::CALL_TIMEOUT;
use super::observed::{IntegrationSeen, LinkSeen, Observed};
use super::reasons::grant as reasons;
use super::retry::{Attempt, Failure};
use super::selection::{is_one_of, lends_from};
use super::status::{self, RequestState};
use super::terms::{Agreement, Subject};

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
    if let Some(over_since) = final_since(grant) {
        return clean_up(grant, over_since, now);
    }
    if has_been_lent(grant) {
        let message =
            "the record of this loan is gone, and nothing is lent twice by one request; ask again";
        let gone = Hold::new(Kind::Final, reasons::RECORD_MISSING, message);
        return held(grant, gone, Vec::new(), None, now);
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
    let mut considered = Vec::new();
    match look_up_and_agree(seen, grant, now, &mut considered) {
        Ok(agreement) => grantable(seen, grant, agreement, considered, lapses, now),
        Err(hold) => {
            let hold = hold.after(seen.attempt.as_ref(), now);
            held(grant, hold, considered, Some(lapses), now)
        }
    }
}

/// Why a request cannot be granted now.
#[derive(Debug)]
struct Hold {
    kind: Kind,
    reason: &'static str,
    message: String,
    effect: Option<Box<Effect>>,
    wake: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It may come right by itself.
    Waits,
    /// A person has to mend something, here or there; then it goes on.
    Fails,
    /// Never again: ask anew.
    Final,
    /// Never again: it took too long.
    Lapsed,
}

impl Hold {
    fn new(kind: Kind, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            effect: None,
            wake: None,
        }
    }

    fn waits(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Waits, reason, message)
    }

    /// An effect that has just failed is not tried again before its time.
    fn after(self, attempt: Option<&Attempt>, now: Timestamp) -> Self {
        match attempt.filter(|a| self.effect.is_some() && a.retry_at() > now) {
            Some(attempt) => {
                let (reason, message) = attempt.explain();
                Self {
                    wake: Some(attempt.retry_at()),
                    ..Self::waits(reason, message)
                }
            }
            None => self,
        }
    }

    fn fails(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Fails, reason, message)
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

/// People's old requests are tidied away; those with `notAfter` not before it, since whoever re-creates them
/// would otherwise ask anew.
fn clean_up(grant: &AccessGrant, over_since: Timestamp, now: Timestamp) -> Plan {
    let kept_until = over_since
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

/// The checks in the order in which they may speak: who asks comes before anything about items.
fn look_up_and_agree(
    seen: &Observed,
    grant: &AccessGrant,
    now: Timestamp,
    considered: &mut Vec<ConsideredFlow>,
) -> Result<Agreement, Hold> {
    let requester = grant.spec.requester.as_ref().ok_or_else(|| {
        Hold::fails(
            reasons::REQUESTER_UNKNOWN,
            "the request does not say who made it; install Keyloan's admission policies, then delete it and ask again",
        )
    })?;
    let integration = seen.integration.as_ref().ok_or_else(|| {
        let name = &grant.spec.integration.name.0;
        Hold::fails(
            reasons::INTEGRATION_NOT_FOUND,
            format!("there is no OnePasswordIntegration {name:?} there; check name and namespace"),
        )
    })?;
    let flows = open_to(seen, grant, requester);
    if flows.is_empty() {
        let only = grant
            .spec
            .flow
            .as_ref()
            .map_or(String::new(), |f| format!(" named {f:?}"));
        let message = format!(
            "no flow{only} of this integration lets you ask from this namespace; ask its owners for one"
        );
        return Err(Hold::fails(reasons::NO_FLOW, message));
    }
    check_integration(integration, requester, now)?;
    let inventory = integration.inventory.as_ref().ok_or_else(|| {
        Hold::waits(
            reasons::INTEGRATION_NOT_READY,
            "the integration's vaults have not been listed yet",
        )
    })?;
    let vault_seen = look_up_vault(grant, inventory)?;
    let vault = Resolved {
        id: vault_seen.id.clone(),
        title: vault_seen.title.clone(),
    };
    if !flows.iter().any(|f| lends_from(&f.spec.items, &vault)) {
        let message = format!(
            "no flow that lets you ask lends from the vault {:?}",
            vault.title
        );
        return Err(Hold::fails(reasons::NO_FLOW_COVERS, message));
    }
    let item = look_up_item(grant, vault_seen, now)?;
    let subject = Subject {
        grant,
        requester,
        integration: &integration.object,
        vault: &vault,
        item,
    };
    let choice = choose(&flows, &subject, seen, now);
    *considered = choice.considered;
    choice.outcome.map_err(|objection| {
        let kind = match objection.reason {
            reasons::OUTSIDE_TIMEFRAME => Kind::Final,
            reasons::LIMIT_REACHED => Kind::Waits,
            _ => Kind::Fails,
        };
        Hold::new(kind, objection.reason, objection.message)
    })
}

fn check_integration(
    seen: &IntegrationSeen,
    requester: &Identity,
    now: Timestamp,
) -> Result<(), Hold> {
    let spec = &seen.object.spec;
    let blocked = spec
        .limits
        .as_ref()
        .is_some_and(|l| is_one_of(&l.blocked, requester));
    if blocked {
        return Err(Hold::fails(
            reasons::BLOCKED,
            "the integration's owners have blocked you",
        ));
    }
    if spec.suspend {
        return Err(Hold::waits(
            reasons::INTEGRATION_SUSPENDED,
            "the integration is suspended; nothing new is lent",
        ));
    }
    if let Some(until) = seen.throttled_until.filter(|until| *until > now) {
        let message = format!("1Password's request limit is reached; next try at {until:.0}");
        return Err(Hold {
            wake: Some(until),
            ..Hold::waits(reasons::THROTTLED, message)
        });
    }
    let conditions = seen
        .object
        .status
        .as_ref()
        .map_or(&[][..], |s| &s.conditions);
    match conditions.iter().find(|c| c.type_ == READY) {
        Some(ready) if ready.status == "True" => Ok(()),
        Some(ready) => {
            let message = format!("the integration is not ready: {}", ready.reason);
            Err(Hold::waits(reasons::INTEGRATION_NOT_READY, message))
        }
        None => {
            let message = "the integration has not been looked at yet";
            Err(Hold::waits(reasons::INTEGRATION_NOT_READY, message))
        }
    }
}

fn look_up_vault<'a>(grant: &AccessGrant, inventory: &'a Inventory) -> Result<&'a VaultSeen, Hold> {
    let vault_name = &grant.spec.item.vault.0;
    match inventory.vault(vault_name) {
        Lookup::One(vault) => Ok(vault),
        Lookup::None => {
            let message = format!("the integration does not lend from a vault {vault_name:?}");
            Err(Hold::fails(reasons::VAULT_NOT_ALLOWED, message))
        }
        Lookup::Several(ids) => {
            let message = format!(
                "several vaults are called {vault_name:?}; ask by id: {}",
                listed(&ids)
            );
            Err(Hold::fails(reasons::VAULT_AMBIGUOUS, message))
        }
    }
}

fn look_up_item<'a>(
    grant: &AccessGrant,
    vault: &'a VaultSeen,
    now: Timestamp,
) -> Result<&'a ItemSeen, Hold> {
    let item_name = &grant.spec.item.item.0;
    let refusal = match vault.item(item_name) {
        Lookup::One(item) if item.active => return Ok(item),
        Lookup::One(_) => {
            let message = format!("{item_name:?} is archived in 1Password; restore it there");
            Hold::fails(reasons::ITEM_ARCHIVED, message)
        }
        Lookup::None => {
            let message = format!(
                "the vault {:?} has no item {item_name:?}; check the spelling, or ask by id",
                vault.title
            );
            Hold::fails(reasons::ITEM_NOT_FOUND, message)
        }
        Lookup::Several(ids) => {
            let message = format!(
                "several items of the vault {:?} are called {item_name:?}; ask by id: {}",
                vault.title,
                listed(&ids)
            );
            Hold::fails(reasons::ITEM_AMBIGUOUS, message)
        }
    };
    // What is known of the vault may be old: look once more before saying no, but not again for the same name, not
    // even where the API server's clock is ahead of ours.
    let asked_at = grant
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |t| t.0.min(now));
    if vault.has_refuted(item_name, asked_at) {
        return Err(refusal);
    }
    let effect = Effect::ListVault {
        vault: vault.id.clone(),
        looking_for: item_name.clone(),
    };
    Err(Hold {
        effect: Some(Box::new(effect)),
        ..Hold::waits(
            reasons::LOOKING_FOR_ITEM,
            "looking for the item in 1Password",
        )
    })
}

/// At most ten ids, so that the message stays readable.
fn listed(ids: &[String]) -> String {
    let shown = ids.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    match ids.len() {
        0..=10 => shown,
        more => format!("{shown} and {} more", more - 10),
    }
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
    let mut wake = lapses;
    let mut effect = None;
    if seen.link == LinkSeen::Foreign {
        state.not_active = super::retry::taken();
        state.stalled = true;
    } else if let Some(attempt) = seen.attempt.as_ref().filter(|a| a.retry_at() > now) {
        let (reason, message) = attempt.explain();
        state.not_active = (reason, message);
        state.stalled = attempt.needs_a_person();
        wake = wake.min(attempt.retry_at());
    } else if let Some(stale) = stale_listing(seen, &agreement) {
        effect = Some(stale);
    } else if now
        .saturating_add(CALL_TIMEOUT)
        .is_ok_and(|latest| latest < lapses)
    {
        effect = Some(Effect::IssueLink(Box::new(IssueLink {
            sequence: 1,
            lifetime: agreement.terms.link_lifetime,
            agreement: agreement.clone(),
            first: true,
            lost: None,
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
