//! One account: signs in when necessary, makes one call at a time, and drops a sandbox that broke
//! or idles.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use wasmtime::InstancePre;

use super::abi::Host;
use super::egress::{Egress, Journal};
use super::options::{CoreOptions, UnixClock};
use super::sandbox::{Export, Reply, Sandbox};
use super::ticker::{Running, Ticker};
use crate::network::{Clients, Hindrance, Unreached};
use crate::onepassword::calls::{self, Invocation, Json};
use crate::onepassword::{
    Answer, CallError, Fault, Item, ItemId, ItemOverview, OnePassword, Problem, Refusal,
    ServiceAccountToken, SharePolicy, ShareTerms, ShareUrl, Stage, Vault, VaultId,
};

/// The parts that all accounts share.
pub(super) struct Shared {
    pub(super) core: InstancePre<Host>,
    pub(super) ticker: Ticker,
    pub(super) network: Clients,
    pub(super) options: CoreOptions,
    pub(super) clock: UnixClock,
}

/// An account that runs the core.
pub(super) struct Account {
    shared: Arc<Shared>,
    token: ServiceAccountToken,
    slot: Arc<Slot>,
}

/// The place of the signed-in client between calls. Its lock puts calls in sequence.
type Slot = Mutex<Option<Resident>>;

/// A client that is signed in.
struct Resident {
    sandbox: Sandbox,
    client: u64,
    /// Ends the client when it was not used for long.
    end: Option<IdleEnd>,
}

/// A client in use. If it is dropped before [`Session::finish`], for any reason, the sandbox goes
/// with it.
struct Session<'a> {
    account: &'a Account,
    slot: MutexGuard<'a, Option<Resident>>,
    resident: Resident,
    journal: &'a Journal,
    /// The sandbox was stopped in the middle of a call.
    broken: bool,
    _running: Running,
}

impl Account {
    pub(super) fn new(shared: Arc<Shared>, token: ServiceAccountToken) -> Self {
        Self {
            shared,
            token,
            slot: Arc::default(),
        }
    }

    /// Makes one call to the core, and reads its output.
    async fn ask<T>(&self, question: Invocation<'_>, read: fn(Json) -> Option<T>) -> Answer<T> {
        let journal = self.journal();
        let work = async {
            let mut session = self.session(&journal).await?;
            let result = session
                .invoke(question)
                .await
                .and_then(|output| read(output).ok_or_else(|| session.misread()));
            session.finish(result)
        };
        self.bounded(work, &journal).await
    }

    /// A journal for a call that begins now.
    fn journal(&self) -> Journal {
        let Shared { options, clock, .. } = &*self.shared;
        let time = SignedDuration::try_from(options.call_timeout).unwrap_or(SignedDuration::MAX);
        Journal::until(clock().saturating_add(time).unwrap_or(Timestamp::MAX))
    }

    /// Bounds the whole call in time, and adds the exchanges that were recorded on the way.
    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, CallError>>,
        journal: &Journal,
    ) -> Answer<T> {
        let result = match tokio::time::timeout(self.shared.options.call_timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(CallError::by_host(&journal.exchanges(), Problem::Timeout)),
        };
        Answer {
            result,
            exchanges: journal.exchanges(),
        }
    }

    /// Waits for earlier calls, then takes the existing client or signs in.
    async fn session<'a>(&'a self, journal: &'a Journal) -> Result<Session<'a>, CallError> {
        let mut slot = self.slot.lock().await;
        let running = self.shared.ticker.run();
        let resident = match slot.take() {
            Some(mut resident) => {
                resident.end = None;
                resident.sandbox.begin(journal.clone());
                resident
            }
            None => self.sign_in(journal).await?,
        };
        Ok(Session {
            account: self,
            slot,
            resident,
            journal,
            broken: false,
            _running: running,
        })
    }

    async fn sign_in(&self, journal: &Journal) -> Result<Resident, CallError> {
        let Shared {
            core,
            network,
            options,
            clock,
            ..
        } = &*self.shared;
        let broken = |fault| stopped(fault, journal);
        let origin = self.token.origin().clone();
        let egress = Egress::new(network.renewed(), origin, options, clock.clone());
        let mut sandbox = Sandbox::start(core, egress, options, clock.clone())
            .await
            .map_err(broken)?;
        sandbox.begin(journal.clone());
        match sandbox
            .call(Export::InitClient, calls::sign_in(&self.token))
            .await
            .map_err(broken)?
        {
            Reply::Output(output) => {
                let client = calls::client_id(&output).ok_or_else(|| broken(Fault::Output))?;
                Ok(Resident {
                    sandbox,
                    client,
                    end: None,
                })
            }
            Reply::Complaint(complaint) => Err(refused(&complaint, journal)),
        }
    }
}

impl Session<'_> {
    async fn invoke(&mut self, question: Invocation<'_>) -> Result<Json, CallError> {
        self.invoke_or(question, calls::problem_of).await
    }

    /// Asks the core; `meaning` is what its complaint means if all its requests were answered well.
    async fn invoke_or(
        &mut self,
        question: Invocation<'_>,
        meaning: fn(&Json, bool) -> Problem,
    ) -> Result<Json, CallError> {
        let input = question.input(self.resident.client);
        let before = self.journal.exchanges().len();
        match self.resident.sandbox.call(Export::Invoke, input).await {
            Ok(Reply::Output(output)) => Ok(output),
            Ok(Reply::Complaint(complaint)) => {
                let exchanges = self.journal.exchanges();
                let problem = meaning(&complaint, exchanges.len() > before);
                Err(CallError::from_exchanges(&exchanges, problem))
            }
            Err(fault) => {
                self.broken = true;
                Err(stopped(fault, self.journal))
            }
        }
    }

    /// The core's output was not as expected.
    fn misread(&self) -> CallError {
        CallError::by_host(&self.journal.exchanges(), Problem::Broken(Fault::Output))
    }

    /// Keeps the client for the next call, unless the result casts doubt on it.
    fn finish<T>(mut self, result: Result<T, CallError>) -> Result<T, CallError> {
        if !self.broken && result.as_ref().err().is_none_or(leaves_client_sound) {
            let idle = self.account.shared.options.idle_timeout;
            self.resident.end = Some(IdleEnd::after(idle, Arc::downgrade(&self.account.slot)));
            *self.slot = Some(self.resident);
        }
        result
    }
}

/// The reason why the policy itself rules the share out, without a request.
fn ruled_out(policy: &SharePolicy, terms: &ShareTerms) -> Option<Refusal> {
    if !policy.allows_named_people() {
        Some(Refusal::RecipientKind)
    } else if terms.lifetime > policy.max_lifetime {
        // The core would lower it silently.
        Some(Refusal::Lifetime)
    } else {
        None
    }
}

/// Whether the client can continue after this error. If in doubt it is built again, which costs a
/// sign-in and repairs everything.
fn leaves_client_sound(error: &CallError) -> bool {
    let clear = match error.problem() {
        Problem::Unauthorized | Problem::SignInRefused | Problem::Timeout | Problem::Broken(_) => {
            false
        }
        // A sign-in reads the CA bundle and the proxy's password again.
        Problem::Unreachable(
            Unreached::Host(Hindrance::UnknownAuthority)
            | Unreached::Proxy(Hindrance::UnknownAuthority)
            | Unreached::ProxyCredentials { .. },
        ) => false,
        Problem::Forbidden
        | Problem::NotFound
        | Problem::RateLimited { .. }
        | Problem::Refused(_)
        | Problem::NotActive
        | Problem::Conflict
        | Problem::NotShareable(_)
        | Problem::CannotShare(_)
        | Problem::ShareConflict
        | Problem::Unreachable(_)
        | Problem::Unavailable { .. } => true,
    };
    clear && error.stage() == Stage::Call
}

/// The sandbox was stopped. The core crashes on some answers that others would report as errors, so
/// these take precedence.
fn stopped(fault: Fault, journal: &Journal) -> CallError {
    CallError::from_exchanges(&journal.exchanges(), Problem::Broken(fault))
}

fn refused(complaint: &Json, journal: &Journal) -> CallError {
    let exchanges = journal.exchanges();
    CallError::from_exchanges(
        &exchanges,
        calls::problem_of(complaint, !exchanges.is_empty()),
    )
}

#[async_trait]
impl OnePassword for Account {
    async fn vaults(&self) -> Answer<Vec<Vault>> {
        self.ask(calls::vaults(), calls::read_vaults).await
    }

    async fn items(&self, vault: &VaultId) -> Answer<Vec<ItemOverview>> {
        self.ask(calls::items(vault), calls::read_items).await
    }

    async fn item(&self, vault: &VaultId, item: &ItemId) -> Answer<Item> {
        self.ask(calls::item(vault, item), calls::read_item).await
    }

    async fn share_policy(&self, vault: &VaultId, item: &ItemId) -> Answer<SharePolicy> {
        self.ask(calls::share_policy(vault, item), calls::read_share_policy)
            .await
    }

    async fn share(
        &self,
        item: &Item,
        policy: &SharePolicy,
        terms: &ShareTerms,
    ) -> Answer<ShareUrl> {
        let journal = self.journal();
        let work = async {
            if let Some(refusal) = ruled_out(policy, terms) {
                return Err(CallError::unsent(Problem::Refused(refusal)));
            }
            let mut session = self.session(&journal).await?;
            let result = session.share(item, policy, terms).await;
            session.finish(result)
        };
        self.bounded(work, &journal).await
    }
}

impl Session<'_> {
    async fn share(
        &mut self,
        item: &Item,
        policy: &SharePolicy,
        terms: &ShareTerms,
    ) -> Result<ShareUrl, CallError> {
        let validated = match policy.admitted(&terms.recipients) {
            Some(validated) => validated,
            None => self.validate(policy, terms).await?,
        };
        let created = self
            .invoke_or(
                calls::create_share(item, policy, &validated, terms),
                calls::problem_of_share,
            )
            .await;
        let url =
            created.and_then(|output| calls::read_share_url(&output).ok_or_else(|| self.misread()));
        match &url {
            Ok(_) => policy.admit(terms.recipients.clone(), validated),
            Err(_) => policy.forget(),
        }
        url
    }

    /// The core's JSON for the recipients, after 1Password has admitted each of them.
    async fn validate(
        &mut self,
        policy: &SharePolicy,
        terms: &ShareTerms,
    ) -> Result<String, CallError> {
        let output = self
            .invoke(calls::validate(policy, &terms.recipients))
            .await?;
        calls::read_validated(&output, &terms.recipients).ok_or_else(|| self.misread())
    }
}

/// A task that empties the slot after the idle time. Dropping it cancels it.
struct IdleEnd(JoinHandle<()>);

impl IdleEnd {
    fn after(idle: Duration, slot: Weak<Slot>) -> Self {
        Self(tokio::spawn(async move {
            tokio::time::sleep(idle).await;
            if let Some(slot) = slot.upgrade() {
                slot.lock().await.take();
            }
        }))
    }
}

impl Drop for IdleEnd {
    fn drop(&mut self) {
        self.0.abort();
    }
}
