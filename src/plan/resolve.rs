//! From a request to its agreement: the checks, in the order in which they may report, and the
//! obstacles.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    AccessFlow, AccessGrant, ConsideredFlow, FromNamespaces, Identity, ItemRef, Phase, READY,
    Resolved, TitleOrId,
};

use super::case::Request;
use super::deadline::later;
use super::delivery::failure::Attempt;
use super::effect::Effect;
use super::flow::{choose, misspelt_for, open_to};
use super::inventory::{Inventory, ItemSeen, Lookup, VaultSeen};
use super::items::{Selection, lends_from, resolved};
use super::observed::{IntegrationSeen, Observed};
use super::people::{blocked_by, first_blocked, is_blocked};
use super::quota::Budget;
use super::reasons::GrantReason;
use super::selection::is_known;
use super::terms::{Agreement, Subject};
use super::titles::{near, quoted};

/// Objects that were applied together with a request, for example by GitOps, are known within this
/// time.
const APPLIED_TOGETHER: SignedDuration = SignedDuration::from_secs(5);

/// Runs the checks in the order in which they may report: the requester is checked before anything
/// about items.
pub(super) fn look_up_and_agree(
    request: &Request<'_>,
    considered: &mut Vec<ConsideredFlow>,
) -> Result<Agreement, RequestBlock> {
    let seen = request.seen;
    let found = look_up(request).inspect_err(|hold| {
        if let (GrantReason::NoFlow, Some(requester)) = (hold.reason, request.requester()) {
            *considered = misspelt_for(request, requester);
        }
    })?;
    let choice = choose(&found.flows, &found.subject(), seen, request.now);
    *considered = choice.considered;
    choice.outcome.map_err(|objection| {
        let kind = match objection.reason {
            _ if is_not_known(seen) => Kind::Waits,
            // A request that was made in time waits for the next opening; all others are refused at
            // once.
            GrantReason::OutsideTimeframe if request.was_covered() => Kind::Waits,
            GrantReason::OutsideTimeframe => Kind::Final,
            GrantReason::LimitReached => Kind::Waits,
            _ => Kind::Fails,
        };
        RequestBlock::new(kind, objection.reason, objection.message)
    })
}

/// The subject of a request, and the flows that its requester may use.
pub(super) struct Found<'a> {
    pub(super) flows: Vec<Arc<AccessFlow>>,
    grant: &'a AccessGrant,
    requester: &'a Identity,
    integration: &'a IntegrationSeen,
    vault: Resolved,
    item: &'a ItemSeen,
}

impl Found<'_> {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            grant: self.grant,
            requester: self.requester,
            integration: &self.integration.object,
            vault: &self.vault,
            item: self.item,
        }
    }
}

/// Looks up the subject of a request.
pub(super) fn look_up<'a>(request: &Request<'a>) -> Result<Found<'a>, RequestBlock> {
    let Request {
        seen, grant, now, ..
    } = *request;
    let requester = request.requester().ok_or_else(|| {
        RequestBlock::fails(
            GrantReason::RequesterUnknown,
            "the request does not identify its requester; install Keyloan's admission policies, \
             then delete the request and create it again",
        )
    })?;
    let integration = seen.integration.as_ref().ok_or_else(|| {
        let asked = &grant.spec.integration;
        let namespace = asked
            .namespace
            .as_ref()
            .or(grant.metadata.namespace.as_ref());
        let message = format!(
            "OnePasswordIntegration {:?} was not found in namespace {:?}; check spec.integration",
            asked.name.0,
            namespace.map_or("", String::as_str)
        );
        RequestBlock::fails(GrantReason::IntegrationNotFound, message).unless_just_made(request)
    })?;
    let flows = open_to(request, requester);
    if flows.is_empty() && is_not_known(seen) {
        let message = "flows of this integration select namespaces by label, and the operator does \
                       not know the labels of your namespace yet; the request continues when it \
                       does";
        return Err(RequestBlock::waits(GrantReason::NoFlow, message));
    }
    if flows.is_empty() {
        let only = grant
            .spec
            .flow
            .as_ref()
            .map_or(String::new(), |f| format!(" named {f:?}"));
        let misspelt = misspelt_for(request, requester);
        let misspelt = misspelt.first().map_or_else(String::new, |flow| {
            let why = flow.reason.split_once(": ");
            let why = why.map_or(flow.reason.as_str(), |(_, words)| words);
            format!(". Flow {:?} almost matches: {why}", flow.name)
        });
        let message = format!(
            "no flow{only} of this integration lets you request items from this namespace; ask the \
             integration's owners for one{misspelt}"
        );
        return Err(RequestBlock::fails(GrantReason::NoFlow, message).unless_just_made(request));
    }
    check_integration(integration, grant, requester, now)?;
    let inventory = integration.inventory.as_ref().ok_or_else(|| {
        RequestBlock::waits(
            GrantReason::IntegrationNotReady,
            "the integration's vaults have not been listed yet",
        )
    })?;
    let vault_seen = look_up_vault(grant, inventory, &integration.object.spec.vaults, &flows)?;
    let vault = resolved(vault_seen);
    let item = look_up_item(request, vault_seen, lent_by(&flows, &vault))
        .map_err(|hold| hold.within(&integration.budget, now))?;
    Ok(Found {
        flows,
        grant,
        requester,
        integration,
        vault,
        item,
    })
}

/// Whether labels of the namespace are still unknown that a flow selects by.
fn is_not_known(seen: &Observed) -> bool {
    let by_label = |flow: &Arc<AccessFlow>| flow.spec.namespaces.from == FromNamespaces::Selector;
    !is_known(&seen.namespace_labels) && seen.flows.iter().any(by_label)
}

fn check_integration(
    seen: &IntegrationSeen,
    grant: &AccessGrant,
    requester: &Identity,
    now: Timestamp,
) -> Result<(), RequestBlock> {
    let spec = &seen.object.spec;
    let blocked = blocked_by(&seen.object);
    if is_blocked(requester, blocked) {
        return Err(RequestBlock::fails(
            GrantReason::Blocked,
            "the integration's owners have blocked you",
        ));
    }
    let recipients = grant.spec.recipients.iter().flatten();
    if let Some(address) = first_blocked(recipients, blocked) {
        let message = format!(
            "the integration's owners have blocked {address}; request again without this recipient"
        );
        return Err(RequestBlock::fails(GrantReason::Blocked, message));
    }
    if spec.suspend {
        return Err(RequestBlock::waits(
            GrantReason::IntegrationSuspended,
            "the integration is suspended, so no new loan starts; ask its owners to resume it",
        ));
    }
    if let Some(until) = seen.throttled_until.filter(|until| *until > now) {
        let message = format!("1Password's request limit is reached; next try at {until:.0}");
        return Err(RequestBlock {
            wake: Some(until),
            ..RequestBlock::waits(GrantReason::OnePasswordThrottled, message)
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
            let message = format!(
                "the integration is not ready: {}; if this lasts, ask its owners",
                ready.reason
            );
            Err(RequestBlock::waits(
                GrantReason::IntegrationNotReady,
                message,
            ))
        }
        None => {
            let message = "the operator has not checked the integration yet";
            Err(RequestBlock::waits(
                GrantReason::IntegrationNotReady,
                message,
            ))
        }
    }
}

/// The current allow-list applies: a vault that was removed from it may be known until the next
/// discovery. A vault that does not exist and one from which no flow lends to the requester get the
/// same answer, so that requests do not reveal which vaults exist.
fn look_up_vault<'a>(
    grant: &AccessGrant,
    inventory: &'a Inventory,
    allowed: &[TitleOrId],
    flows: &[Arc<AccessFlow>],
) -> Result<&'a VaultSeen, RequestBlock> {
    let is_lent = |vault: &VaultSeen| {
        let vault = resolved(vault);
        flows
            .iter()
            .any(|flow| lends_from(&flow.spec.items, &vault))
    };
    let name = &grant.spec.item.vault.0;
    match inventory.vault_that(name, allowed, is_lent) {
        Lookup::One(vault) => Ok(vault),
        Lookup::None => {
            let mut lent = inventory.allowed(allowed);
            lent.retain(|vault| is_lent(vault));
            let titles: Vec<_> = lent.iter().map(|vault| vault.title.as_str()).collect();
            let message = format!(
                "none of the flows available to you covers vault {name:?}; check its title, or ask \
                 the integration's owners for a flow{}",
                other_vaults(&grant.spec.item, &titles)
            );
            Err(RequestBlock::fails(GrantReason::VaultNotAllowed, message))
        }
        Lookup::Several(ids) => {
            let message = format!(
                "several vaults are titled {name:?}; request by id: {}",
                listed(&ids)
            );
            Err(RequestBlock::fails(GrantReason::VaultAmbiguous, message))
        }
    }
}

/// The vault that may have been meant: one whose title contains a slash, after which the plugin
/// expects the item's title, or one with a similar title.
fn other_vaults(asked: &ItemRef, titles: &[&str]) -> String {
    let whole = format!("{}/{}", asked.vault.0, asked.item.0);
    let cut = titles.iter().find_map(|title| {
        let item = whole.strip_prefix(title)?.strip_prefix('/')?;
        (title.contains('/') && !item.is_empty()).then_some((title, item))
    });
    match cut {
        Some((vault, item)) => format!(
            "; to request item {item:?} of vault {vault:?} with kubectl keyloan, use --vault and \
             --item"
        ),
        None => close(near(&asked.vault.0, titles.iter().copied())),
    }
}

/// Similar titles, for the end of a sentence.
fn close(titles: Vec<&str>) -> String {
    match titles[..] {
        [] => String::new(),
        _ => format!("; similar: {}", quoted(titles)),
    }
}

/// Whether one of these flows, suspended or not, lends an item of this vault.
fn lent_by(flows: &[Arc<AccessFlow>], vault: &Resolved) -> impl Fn(&ItemSeen) -> bool {
    let rules = flows.iter().map(|flow| Selection::of(&flow.spec.items));
    let rules: Vec<_> = rules.collect();
    move |item| rules.iter().any(|rules| rules.matches(vault, item))
}

fn look_up_item<'a>(
    request: &Request<'_>,
    vault: &'a VaultSeen,
    is_lent: impl Fn(&ItemSeen) -> bool,
) -> Result<&'a ItemSeen, RequestBlock> {
    let now = request.now;
    let item_name = &request.grant.spec.item.item.0;
    let found = match vault.item(item_name) {
        Lookup::One(item) if item.active => return Ok(item),
        // Neither the ids nor the archived state of items are revealed that no flow lends to the
        // requester: such items count as not found.
        _ => vault.item_that(item_name, &is_lent),
    };
    let refusal = match found {
        Lookup::One(item) if item.active => return Ok(item),
        Lookup::One(_) => {
            let message = format!("item {item_name:?} is archived in 1Password; restore it there");
            RequestBlock::fails(GrantReason::ItemArchived, message)
        }
        Lookup::None => {
            let lent = vault
                .items
                .iter()
                .filter(|item| item.active && is_lent(item));
            let message = format!(
                "vault {:?} has no item {item_name:?} that you may borrow; check the spelling, or \
                 request by id{}",
                vault.title,
                close(near(item_name, lent.map(|item| item.title.as_str())))
            );
            RequestBlock::fails(GrantReason::ItemNotFound, message)
        }
        Lookup::Several(ids) => {
            let message = format!(
                "several items of vault {:?} are titled {item_name:?}; request by id: {}",
                vault.title,
                listed(&ids)
            );
            RequestBlock::fails(GrantReason::ItemAmbiguous, message)
        }
    };
    // The inventory of the vault may be old. List it once before refusing, but not again for the
    // same name, even if the API server's clock is ahead of the operator's.
    if vault.has_refuted(item_name, request.made.min(now)) {
        return Err(refusal);
    }
    if let Some(from) = vault.listed_again_from(now) {
        let message = format!(
            "the item is not known; the vault was just listed for another request and will be \
             listed again at {from:.0}"
        );
        return Err(RequestBlock {
            wake: Some(from),
            ..RequestBlock::waits(GrantReason::LookingForItem, message)
        });
    }
    let effect = Effect::ListVault {
        vault: vault.id.clone(),
        looking_for: item_name.clone(),
    };
    Err(RequestBlock {
        effect: Some(Box::new(effect)),
        ..RequestBlock::waits(
            GrantReason::LookingForItem,
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

/// The reason why a request cannot be granted now.
#[derive(Debug)]
pub(super) struct RequestBlock {
    pub(super) kind: Kind,
    pub(super) reason: GrantReason,
    pub(super) message: String,
    pub(super) effect: Option<Box<Effect>>,
    pub(super) wake: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The obstacle may pass by itself.
    Waits,
    /// A person has to correct something, here or elsewhere; then the request continues.
    Fails,
    /// Final: a new request is needed.
    Final,
    /// Final: it took too long.
    Lapsed,
}

impl RequestBlock {
    pub(super) fn new(kind: Kind, reason: GrantReason, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            effect: None,
            wake: None,
        }
    }

    fn waits(reason: GrantReason, message: impl Into<String>) -> Self {
        Self::new(Kind::Waits, reason, message)
    }

    /// Nothing new is approved or issued while the API server does not verify people's identities.
    pub(super) fn boundary(why: &str) -> Self {
        Self::waits(GrantReason::BoundaryNotInForce, why)
    }

    /// An effect that has just failed waits for its retry time.
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

    /// A lookup of an item is a request to 1Password, too.
    fn within(self, budget: &Budget, now: Timestamp) -> Self {
        match budget.first_link(now).filter(|_| self.effect.is_some()) {
            Some(wait) => Self {
                wake: Some(wait.until),
                ..Self::waits(wait.reason, wait.message)
            },
            None => self,
        }
    }

    fn fails(reason: GrantReason, message: impl Into<String>) -> Self {
        Self::new(Kind::Fails, reason, message)
    }

    /// A missing object may appear a moment later if it was applied together with the request. So
    /// for the first seconds, `Stalled` does not tell a pipeline or `kubectl wait` that the request
    /// has failed. A failure that was reported stays.
    fn unless_just_made(self, request: &Request<'_>) -> Self {
        let has_failed = request.status.phase == Some(Phase::Failed);
        // By the API server's clock, which may be fast or slow.
        let is_new = request.now.duration_since(request.made).abs() < APPLIED_TOGETHER;
        match is_new && !has_failed {
            true => Self {
                kind: Kind::Waits,
                wake: Some(later(request.made, APPLIED_TOGETHER)),
                ..self
            },
            false => self,
        }
    }
}
