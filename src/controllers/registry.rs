//! The in-memory state of each integration: its token in use, its vaults and items, its discovery.
//! The controllers share it; a restart loses it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::task::AbortHandle;

use super::quotas::{Promise, Quotas, Wanted};
use super::rate_limit::{Order, RateLimitSlot, RateLimiter};
use super::session::{OnBehalf, Session, Tools};
use super::single_flight::SingleFlight;
use crate::api::OnePasswordIntegration;
use crate::cluster::Key;
use crate::onepassword::{
    Accounts, CallError, ItemOverview, ItemState, OnePassword, Problem, ServiceAccountToken,
    VaultId,
};
use crate::plan::integration::{Discovery, SKEW_TOLERANCE, SessionSeen, TokenSeen};
use crate::plan::inventory::{Inventory, ItemSeen, Lookup};
use crate::plan::quota::{Budget, Shares};
use crate::runtime::{Clock, Tasks};
use crate::telemetry::Metrics;

/// The number of one integration's loans that use 1Password at a time; more would only wait for
/// each other there.
const AT_A_TIME: usize = 4;

/// A callback for when a vault of this integration was listed.
type Notice = Box<dyn Fn(&Key) + Send + Sync>;

/// All integrations.
pub struct Registry {
    entries: RwLock<HashMap<Key, Arc<Entry>>>,
    accounts: Arc<dyn Accounts>,
    tools: Arc<Tools>,
    /// The subscribers to listings.
    listed: RwLock<Vec<Notice>>,
}

/// One integration.
pub(super) struct Entry {
    state: Mutex<State>,
    listing: SingleFlight,
    turns: RateLimiter,
}

#[derive(Default)]
struct State {
    token: Option<Held>,
    /// With the account that it belongs to.
    inventory: Option<(String, Arc<Inventory>)>,
    discovery: Option<Discovery>,
    under_way: Option<AbortHandle>,
}

/// The token that was read from a Secret, or its problem.
#[derive(Clone)]
pub(super) struct Held {
    /// The Secret's version and the key that were read.
    pub(super) from: SecretVersion,
    /// The token in use, or the reason why there is none.
    pub(super) token: Result<Arc<Session>, TokenSeen>,
}

/// One version of one key of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretVersion {
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
    pub(super) key: String,
}

/// The requester and the loan of a request to 1Password.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    /// The requester, by username.
    pub(super) requester: &'a str,
    /// The loan, by its grant's uid.
    pub(super) loan: &'a str,
}

/// An item that is looked for in a vault, by title or id, and the time at which the lookup became
/// necessary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub(super) vault: &'a str,
    pub(super) looking_for: &'a str,
    pub(super) since: Timestamp,
}

/// The result of asking for a turn.
pub(super) enum TurnTaken {
    /// The turn is here.
    Now(AtWork),
    /// The turn comes later.
    InLine,
    /// Nothing is known of the integration, for example right after a start.
    Nowhere,
}

/// A turn that has been taken, until it is dropped.
pub(super) struct AtWork {
    turn: RateLimitSlot,
    _promise: Option<Promise>,
}

impl AtWork {
    /// Notes that a link is being issued.
    pub(super) fn begins(&mut self) {
        self.turn.note_used();
    }
}

/// The in-memory state of one integration, for its plan.
pub(super) struct Memory {
    pub(super) session: SessionSeen,
    pub(super) discovery: Option<Discovery>,
    pub(super) inventory: Option<Arc<Inventory>>,
    pub(super) discovering: bool,
    pub(super) room_from: Option<Timestamp>,
}

impl Registry {
    /// Creates a registry without integrations.
    pub fn new(
        accounts: Arc<dyn Accounts>,
        clock: Clock,
        metrics: Arc<Metrics>,
        tasks: Tasks,
    ) -> Self {
        let tools = Tools {
            clock,
            metrics,
            tasks,
            quotas: Quotas::default(),
        };
        Self {
            entries: RwLock::default(),
            accounts,
            tools: Arc::new(tools),
            listed: RwLock::default(),
        }
    }

    /// The counts of requests to 1Password.
    pub(super) fn quotas(&self) -> Quotas {
        self.tools.quotas.clone()
    }

    /// Calls `told` whenever a vault of an integration was listed for a request.
    pub fn subscribe(&self, told: impl Fn(&Key) + Send + Sync + 'static) {
        let mut listed = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        listed.push(Box::new(told));
    }

    /// An integration's vaults and items, as far as they are known since the start, and the time
    /// until which 1Password asks the operator to wait.
    pub fn known(&self, integration: &Key) -> (Option<Arc<Inventory>>, Option<Timestamp>) {
        let Some(entry) = self.get(integration) else {
            return (None, None);
        };
        let state = entry.lock();
        let throttled_until = state
            .session()
            .and_then(|session| session.seen().throttled_until);
        (
            state
                .inventory
                .as_ref()
                .map(|(_, inventory)| inventory.clone()),
            throttled_until,
        )
    }

    /// The remaining request limits of an integration for a link of this loan.
    pub(super) fn budget(&self, integration: &OnePasswordIntegration, asker: Asker<'_>) -> Budget {
        let entry = self.get(&Key::of(integration));
        let Some(session) = entry.and_then(|entry| entry.lock().session()) else {
            return Budget::default();
        };
        let wanted = Wanted {
            requester: asker.requester,
            loan: asker.loan,
            plan: integration.spec.plan,
            shares: Shares::of(integration.spec.limits.as_ref()),
        };
        let now = self.tools.clock.now();
        self.tools.quotas.budget(session.payer(), wanted, now)
    }

    /// How far 1Password's clock is known to be ahead of the operator's. Links end later than the
    /// operator's clock says by this much.
    pub fn clock_ahead(&self, integration: &Key) -> SignedDuration {
        let session = self
            .get(integration)
            .and_then(|entry| entry.lock().session());
        let skew = session.and_then(|session| session.seen().clock_skew);
        skew.filter(|skew| *skew > SKEW_TOLERANCE)
            .unwrap_or_default()
    }

    /// The account of an integration, if its token has the right shape and still belongs to this
    /// account. Requests through it count as this requester's.
    pub fn account(
        &self,
        integration: &Key,
        address: &str,
        requester: &str,
    ) -> Option<Arc<dyn OnePassword>> {
        let session = self.get(integration)?.lock().session()?;
        let is_it = session.account() == address;
        is_it.then(|| Arc::new(OnBehalf::of(session, requester)) as Arc<dyn OnePassword>)
    }

    /// Takes a turn at an integration's account. It is needed before the intent of a link is
    /// written, and kept until the link is issued, so that calls do not time out only because many
    /// loans start at once. While the turn is kept, later callers count the link as made. If none
    /// is free, the caller gets in line and receives the turn through `comes_up`.
    pub(super) fn turn(
        self: &Arc<Self>,
        integration: &Key,
        order: Order,
        asker: Asker<'_>,
        per_minute: u32,
        comes_up: impl FnOnce(AtWork) + Send + 'static,
    ) -> TurnTaken {
        let Some(entry) = self.get(integration) else {
            return TurnTaken::Nowhere;
        };
        entry.turns.set_pace(per_minute);
        let (registry, key) = (self.clone(), integration.clone());
        let (requester, loan) = (asker.requester.to_owned(), asker.loan.to_owned());
        let later = move |turn| {
            let asker = Asker {
                requester: &requester,
                loan: &loan,
            };
            comes_up(registry.at_work(turn, &key, asker));
        };
        match entry.turns.take(order, asker.requester, asker.loan, later) {
            Some(turn) => TurnTaken::Now(self.at_work(turn, integration, asker)),
            None => TurnTaken::InLine,
        }
    }

    fn at_work(&self, turn: RateLimitSlot, integration: &Key, asker: Asker<'_>) -> AtWork {
        let entry = self.get(integration);
        let session = entry.and_then(|entry| entry.lock().session());
        let promise = session.map(|session| {
            let quotas = &self.tools.quotas;
            quotas.promise(session.payer(), asker.loan, asker.requester)
        });
        AtWork {
            turn,
            _promise: promise,
        }
    }

    /// Lists one vault to find an item by title or id, and remembers the name if the listing did
    /// not settle it. While another listing of the integration is running, which may settle the
    /// name, nothing is done, and `then` is called at its end, once for each loan. Returns whether
    /// the name is settled.
    pub(super) async fn list_vault(
        &self,
        integration: &Key,
        search: Search<'_>,
        asker: Asker<'_>,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<bool, CallError> {
        let Search {
            vault, looking_for, ..
        } = search;
        let unusable = || CallError::unsent(Problem::Unavailable { status: None });
        let entry = self.get(integration).ok_or_else(unusable)?;
        let session = entry.lock().session().ok_or_else(unusable)?;
        let Some(_listing) = entry.listing.begin(asker.loan, then) else {
            return Ok(false);
        };
        if entry.is_settled(search) {
            return Ok(true);
        }
        let at = self.tools.clock.now();
        let account = OnBehalf::of(session, asker.requester);
        let items = account.items(&VaultId(vault.to_owned())).await.result?;
        entry.relist(
            vault,
            items.into_iter().map(item_seen).collect(),
            looking_for,
            at,
        );
        let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
        listed.iter().for_each(|told| told(integration));
        Ok(true)
    }

    /// The entry of an integration, created if there is none.
    pub(super) fn entry(&self, integration: &Key) -> Arc<Entry> {
        if let Some(entry) = self.get(integration) {
            return entry;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let Tools { clock, tasks, .. } = self.tools.as_ref();
        let new = || Arc::new(Entry::new(clock.clone(), tasks.clone()));
        entries
            .entry(integration.clone())
            .or_insert_with(new)
            .clone()
    }

    /// Forgets an integration, and cancels its work.
    pub(super) fn forget(&self, integration: &Key) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.remove(integration) {
            entry.give_up_discovery();
        }
    }

    /// Starts to use a token; nothing is sent yet.
    pub(super) fn session(
        &self,
        token: ServiceAccountToken,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Session {
        let tools = self.tools.clone();
        let inner = self.accounts.connect(token.clone());
        Session::new(&token, inner, tools, changed)
    }

    /// The in-memory state of an integration.
    pub(super) fn memory(&self, entry: &Entry, integration: &OnePasswordIntegration) -> Memory {
        let now = self.tools.clock.now();
        let plan = integration.spec.plan;
        let shares = Shares::of(integration.spec.limits.as_ref());
        let state = entry.lock();
        let session = state.session();
        let room_from = session.as_ref().and_then(|session| {
            self.tools
                .quotas
                .room_from(session.payer(), plan, shares, now)
        });
        Memory {
            session: session.map(|session| session.seen()).unwrap_or_default(),
            discovery: state.discovery.clone(),
            inventory: state
                .inventory
                .as_ref()
                .map(|(_, inventory)| inventory.clone()),
            discovering: state.under_way.is_some(),
            room_from,
        }
    }

    fn get(&self, integration: &Key) -> Option<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(integration).cloned()
    }
}

impl State {
    fn session(&self) -> Option<Arc<Session>> {
        self.token.as_ref()?.token.as_ref().ok().cloned()
    }
}

impl Entry {
    fn new(clock: Clock, tasks: Tasks) -> Self {
        Self {
            state: Mutex::default(),
            listing: SingleFlight::default(),
            turns: RateLimiter::new(AT_A_TIME, clock, tasks),
        }
    }

    /// The last token read from the Secret.
    pub(super) fn held(&self) -> Option<Held> {
        self.lock().token.clone()
    }

    /// Takes in a token read from the Secret. Another token starts from scratch: the work of the
    /// old one is cancelled, and only knowledge of the same account is kept.
    pub(super) fn hold(&self, held: Held) {
        let mut state = self.lock();
        let is_new = match (state.session(), &held.token) {
            (Some(old), Ok(new)) => !Arc::ptr_eq(&old, new),
            _ => true,
        };
        if is_new {
            state.discovery = None;
            state.under_way.take().iter().for_each(AbortHandle::abort);
        }
        if let Ok(session) = &held.token {
            state
                .inventory
                .take_if(|(account, _)| account != session.account());
        }
        state.token = Some(held);
    }

    /// Drops the token: there is no usable Secret any longer.
    pub(super) fn let_go(&self) {
        let mut state = self.lock();
        state.token = None;
        state.discovery = None;
    }

    /// Notes that a discovery is running.
    pub(super) fn discovery_begins(&self, job: AbortHandle) {
        let earlier = self.lock().under_way.replace(job);
        earlier.iter().for_each(AbortHandle::abort);
    }

    /// Cancels a running discovery.
    pub(super) fn give_up_discovery(&self) {
        self.lock()
            .under_way
            .take()
            .iter()
            .for_each(AbortHandle::abort);
    }

    /// Takes in the results of a discovery, unless the token has changed in the meantime.
    pub(super) fn discovery_ended(
        &self,
        by: &Arc<Session>,
        outcome: Result<(Inventory, Discovery), CallError>,
    ) {
        let mut state = self.lock();
        if !state
            .session()
            .is_some_and(|session| Arc::ptr_eq(&session, by))
        {
            return;
        }
        state.under_way = None;
        by.discovery_ended(outcome.as_ref().err());
        if let Ok((inventory, discovery)) = outcome {
            state.inventory = Some((by.account().to_owned(), Arc::new(inventory)));
            state.discovery = Some(discovery);
        }
    }

    /// The current inventory.
    pub(super) fn inventory(&self) -> Option<Arc<Inventory>> {
        self.lock()
            .inventory
            .as_ref()
            .map(|(_, inventory)| inventory.clone())
    }

    /// Whether a listing that was made since the lookup became necessary has settled a name.
    fn is_settled(&self, search: Search<'_>) -> bool {
        let Search {
            vault,
            looking_for,
            since,
        } = search;
        match self
            .inventory()
            .as_ref()
            .map(|inventory| inventory.vault(vault))
        {
            Some(Lookup::One(vault)) => {
                vault.listed_at > since || vault.has_refuted(looking_for, since)
            }
            _ => false,
        }
    }

    fn relist(&self, vault: &str, items: Vec<ItemSeen>, looking_for: &str, at: Timestamp) {
        let mut state = self.lock();
        let Some((_, inventory)) = &mut state.inventory else {
            return;
        };
        let known = Arc::make_mut(inventory)
            .vaults
            .iter_mut()
            .find(|known| known.id == vault);
        if let Some(known) = known {
            known.relist(items, &[looking_for.to_owned()], at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kept part of an item's overview.
pub(super) fn item_seen(overview: ItemOverview) -> ItemSeen {
    ItemSeen {
        id: overview.id.0,
        title: overview.title,
        tags: overview.tags,
        updated_at: overview.updated_at,
        active: overview.state == ItemState::Active,
    }
}
