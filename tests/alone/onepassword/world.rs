//! What every test starts from: a simulated account, and the core's host connected to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keyloan::onepassword::core::{CompiledCore, CoreAccounts, CoreOptions, artifact};
use keyloan::onepassword::{
    Accounts, AllowedOrigins, Answer, Exchange, Item, ItemId, OnePassword, Origin, Recipients,
    Route, ServiceAccountToken, ShareLifetime, SharePolicy, ShareTerms, ShareUrl, VaultId,
};
use keyloan_simulator::{Account, Control, Fault, FaultKind, Options, Simulator};
use tokio::sync::OnceCell;

pub const ACCOUNT: &str = include_str!("../../../dev/simulator/account.example.yaml");

/// A simulator and accounts that use it.
pub struct World {
    pub control: Control,
    pub accounts: CoreAccounts,
    allowed: AllowedOrigins,
    _simulator: Simulator,
}

impl World {
    pub async fn new() -> Self {
        Self::with(CoreOptions::default()).await
    }

    pub async fn with(options: CoreOptions) -> Self {
        let account = Account::parse(ACCOUNT).expect("the example account");
        let simulator = Simulator::start(account, Options::default()).expect("a simulator");
        let origin = Origin::parse(&simulator.origin()).expect("an origin");
        let accounts =
            CoreAccounts::new(core().await, options, clock()).expect("a host for the core");
        Self {
            control: simulator.control(),
            accounts,
            allowed: AllowedOrigins::with([origin]),
            _simulator: simulator,
        }
    }

    pub async fn token(&self, service_account: &str) -> ServiceAccountToken {
        let text = self.control.token(service_account).await.expect("a token");
        ServiceAccountToken::parse(text.as_bytes(), &self.allowed)
            .expect("a token of the right shape")
    }

    /// The account as a service account sees it, not yet signed in.
    pub async fn connect(&self, service_account: &str) -> Arc<dyn OnePassword> {
        self.accounts.connect(self.token(service_account).await)
    }

    /// The account of the one that may read and share.
    pub async fn lender(&self) -> Arc<dyn OnePassword> {
        self.connect("lender").await
    }

    /// The ids of an item, by its title.
    pub async fn find(&self, title: &str) -> (VaultId, ItemId) {
        let vaults = self.control.vaults().await.expect("the vaults");
        vaults
            .into_iter()
            .find_map(|vault| {
                let item = vault.items.into_iter().find(|item| item.title == title)?;
                Some((VaultId(vault.id), ItemId(item.id)))
            })
            .expect("an item of that title")
    }

    /// Begins a call that hangs, and gives it up while it does: the client that it ran in is let go.
    pub async fn give_up_a_call(&self, account: &dyn OnePassword) {
        const VAULTS: &str = "GET /api/v1/vaults";
        let log = async || self.control.requests().await.expect("the log");
        let hang = Fault::once(VAULTS, FaultKind::Hang);
        self.control.fault(hang).await.expect("a fault");
        let before = log().await.count(VAULTS);
        let arrived = async {
            while log().await.count(VAULTS) == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = account.vaults() => panic!("it hangs"),
            () = arrived => {}
        }
    }

    /// How many requests the service has seen since this was last asked.
    pub async fn new_requests(&self) -> u64 {
        let seen = self.control.requests().await.expect("the log").total;
        self.control.reset_requests().await.expect("a new log");
        seen
    }
}

/// Real time; only tests may look at the clock themselves.
#[allow(clippy::disallowed_methods)]
fn clock() -> keyloan::onepassword::core::UnixClock {
    Arc::new(jiff::Timestamp::now)
}

/// Options by which a call is given up while the host still waits for 1Password.
pub fn calls_end_before_their_exchanges() -> CoreOptions {
    CoreOptions {
        call_timeout: Duration::from_secs(25),
        exchange_timeout: Duration::from_secs(60),
        ..CoreOptions::default()
    }
}

/// The compiled core, loaded once for all tests.
pub async fn core() -> &'static CompiledCore {
    static CORE: OnceCell<CompiledCore> = OnceCell::const_new();
    CORE.get_or_init(async || artifact::load(&compiled().await).expect("loaded"))
        .await
}

/// The compiled core as a file: kept in the cache for the next run.
pub async fn compiled() -> PathBuf {
    keyloan_core::compiled_core()
        .await
        .expect("a compiled core")
}

pub fn terms(recipients: &[&str]) -> ShareTerms {
    ShareTerms {
        recipients: Recipients::new(recipients.iter().copied()).expect("recipients"),
        lifetime: ShareLifetime::OneHour,
        view_once: false,
    }
}

/// All that a first loan asks of 1Password, in its order.
pub async fn lend(
    account: &dyn OnePassword,
    (vault, item): &(VaultId, ItemId),
    terms: &ShareTerms,
) -> (Item, SharePolicy, ShareUrl, Vec<Exchange>) {
    let mut seen = Vec::new();
    let item = keep(account.item(vault, item).await, &mut seen);
    let policy = keep(account.share_policy(vault, &item.id).await, &mut seen);
    let url = keep(account.share(&item, &policy, terms).await, &mut seen);
    (item, policy, url, seen)
}

fn keep<T>(answer: Answer<T>, seen: &mut Vec<Exchange>) -> T {
    seen.extend(answer.exchanges);
    answer.result.expect("a good answer")
}

pub fn routes(exchanges: &[Exchange]) -> Vec<Route> {
    exchanges.iter().map(|exchange| exchange.route).collect()
}
