//! From a request to its agreement: the checks, in the order in which they may speak, and what holds a request up.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    AccessFlow, AccessGrant, ConsideredFlow, FromNamespaces, Identity, Phase, READY, Resolved,
    TitleOrId,
};

use super::effect::Effect;
use super::flow::{choose, open_to};
use super::inventory::{Inventory, ItemSeen, Lookup, VaultSeen};
use super::observed::{IntegrationSeen, Observed};
use super::people::{blocked_by, first_blocked, is_blocked};
use super::reasons::grant as reasons;
use super::retry::Attempt;
use super::selection::{is_known, item_matches, lends_from};
use super::terms::{Agreement, Subject};

/// What was applied together with a request, such as by GitOps, is known so long after it at the latest.
const APPLIED_TOGETHER: SignedDuration = SignedDuration::from_secs(5);

/// The checks in the order in which they may speak: who asks comes before anything about items.
pub(super) fn look_up_and_agree(
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
        let message =
            format!("there is no OnePasswordIntegration {name:?} there; check name and namespace");
        Hold::fails(reasons::INTEGRATION_NOT_FOUND, message).unless_just_made(grant, now)
    })?;
    let flows = open_to(seen, grant, requester);
    if flows.is_empty() && is_not_known(seen) {
        let message = "flows of this integration select by the labels of your namespace, which are not known yet";
        return Err(Hold::waits(reasons::NO_FLOW, message));
    }
    if flows.is_empty() {
        let only = grant
            .spec
            .flow
            .as_ref()
            .map_or(String::new(), |f| format!(" named {f:?}"));
        let message = format!(
            "no flow{only} of this integration lets you ask from this namespace; ask its owners for one"
        );
        return Err(Hold::fails(reasons::NO_FLOW, message).unless_just_made(grant, now));
    }
    check_integration(integration, grant, requester, now)?;
    let inventory = integration.inventory.as_ref().ok_or_else(|| {
        Hold::waits(
            reasons::INTEGRATION_NOT_READY,
            "the integration's vaults have not been listed yet",
        )
    })?;
    let vault_seen = look_up_vault(grant, inventory, &integration.object.spec.vaults)?;
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
    let item = look_up_item(grant, vault_seen, lent_by(&flows, &vault), now)?;
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
            _ if is_not_known(seen) => Kind::Waits,
            // What was asked for in time waits for the next opening; all else is refused at once.
            reasons::OUTSIDE_TIMEFRAME if was_covered(grant) => Kind::Waits,
            reasons::OUTSIDE_TIMEFRAME => Kind::Final,
            reasons::LIMIT_REACHED => Kind::Waits,
            _ => Kind::Fails,
        };
        Hold::new(kind, objection.reason, objection.message)
    })
}

/// Whether it is not known yet what flows want to know of the namespace.
fn is_not_known(seen: &Observed) -> bool {
    let by_label = |flow: &Arc<AccessFlow>| flow.spec.namespaces.from == FromNamespaces::Selector;
    !is_known(&seen.namespace_labels) && seen.flows.iter().any(by_label)
}

/// Whether a flow covered the request when it was looked at before.
fn was_covered(grant: &AccessGrant) -> bool {
    grant.status.as_ref().is_some_and(|s| s.terms.is_some())
}

fn check_integration(
    seen: &IntegrationSeen,
    grant: &AccessGrant,
    requester: &Identity,
    now: Timestamp,
) -> Result<(), Hold> {
    let spec = &seen.object.spec;
    let blocked = blocked_by(&seen.object);
    if is_blocked(requester, blocked) {
        return Err(Hold::fails(
            reasons::BLOCKED,
            "the integration's owners have blocked you",
        ));
    }
    let recipients = grant.spec.recipients.iter().flatten();
    if let Some(address) = first_blocked(recipients, blocked) {
        let message = format!(
            "the integration's owners have blocked {address}, so no link goes there: ask again without this recipient"
        );
        return Err(Hold::fails(reasons::BLOCKED, message));
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

/// The allow-list counts as it is now: a vault that was taken off it may be known until the next discovery.
fn look_up_vault<'a>(
    grant: &AccessGrant,
    inventory: &'a Inventory,
    allowed: &[TitleOrId],
) -> Result<&'a VaultSeen, Hold> {
    let vault_name = &grant.spec.item.vault.0;
    match inventory.vault_allowed(vault_name, allowed) {
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

/// Whether one of these flows lends an item of this vault, suspended or not.
fn lent_by(flows: &[Arc<AccessFlow>], vault: &Resolved) -> impl Fn(&ItemSeen) -> bool {
    move |item| {
        let mut flows = flows.iter();
        flows.any(|flow| item_matches(&flow.spec.items, vault, item))
    }
}

fn look_up_item<'a>(
    grant: &AccessGrant,
    vault: &'a VaultSeen,
    is_lent: impl Fn(&ItemSeen) -> bool,
    now: Timestamp,
) -> Result<&'a ItemSeen, Hold> {
    let item_name = &grant.spec.item.item.0;
    let found = match vault.item(item_name) {
        Lookup::One(item) if item.active => return Ok(item),
        // Of items that no flow lends to the requester neither ids nor whether they are archived are told: they are not found.
        _ => vault.item_that(item_name, is_lent),
    };
    let refusal = match found {
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
    if let Some(from) = vault.listed_again_from(now) {
        let message = format!(
            "the item is not among those that are known; the vault was listed just now for another request, and is listed again at {from:.0}"
        );
        return Err(Hold {
            wake: Some(from),
            ..Hold::waits(reasons::LOOKING_FOR_ITEM, message)
        });
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

/// Why a request cannot be granted now.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) kind: Kind,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) effect: Option<Box<Effect>>,
    pub(super) wake: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
    pub(super) fn new(kind: Kind, reason: &'static str, message: impl Into<String>) -> Self {
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

    /// Nothing new is approved or issued while the API server does not vouch for who people are.
    pub(super) fn boundary(why: &str) -> Self {
        Self::waits(reasons::BOUNDARY_NOT_IN_FORCE, why)
    }

    /// An effect that has just failed is not tried again before its time.
    pub(super) fn after(self, attempt: Option<&Attempt>, now: Timestamp) -> Self {
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

    /// Something is not there, and may come a moment later than a request that was applied together with it: whoever waits for the
    /// request, a pipeline or `kubectl wait`, is not told yet that it has failed. What was told is not taken back.
    fn unless_just_made(self, grant: &AccessGrant, now: Timestamp) -> Self {
        let has_failed = grant.status.as_ref().and_then(|s| s.phase) == Some(Phase::Failed);
        let made = grant.metadata.creation_timestamp.as_ref().map(|t| t.0);
        // The API server's clock, which may be fast or slow.
        let is_new = |made: &Timestamp| now.duration_since(*made).abs() < APPLIED_TOGETHER;
        let until = made
            .filter(|made| is_new(made) && !has_failed)
            .and_then(|made| made.checked_add(APPLIED_TOGETHER).ok());
        match until {
            Some(until) => Self {
                kind: Kind::Waits,
                wake: Some(until),
                ..self
            },
            None => self,
        }
    }
}
