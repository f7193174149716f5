//! Starts the operator: connects, watches, serves health, and runs the controllers' passes.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_controller::LeaderElection;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::health;
use super::settings::Settings;
use crate::cluster::{ClaimError, Cluster, ConnectError, Key, connect};
use crate::controllers::boundary::Boundary;
use crate::controllers::decision::Decisions;
use crate::controllers::flow::Flows;
use crate::controllers::gauges::Gauges;
use crate::controllers::integration::Integrations;
use crate::controllers::loan::{LINK_HELD_FOR, LoanKey, Loans};
use crate::controllers::loan_events::LoanEvents;
use crate::controllers::notices;
use crate::controllers::notices::delivery::Delivering;
use crate::controllers::notices::journal::Journal;
use crate::controllers::notices::notifiers::Notifiers;
use crate::controllers::quota_store::QuotaStore;
use crate::controllers::registry::Registry;
use crate::controllers::sweep::Sweep;
use crate::manifests::{ManifestError, Releases};
use crate::network::NetworkError;
use crate::notify::Courier;
use crate::onepassword::Accounts;
use crate::onepassword::core::{ArtifactError, CoreAccounts, CoreError, artifact};
use crate::runtime::http_server::ListenError;
use crate::runtime::{Class, PassPanicked, Supervisor, TaskError, Tasks, Urgency, WorkQueue};
use crate::telemetry::Metrics;

/// The timeouts for storing the counts, and for releasing the lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest time from a link's intent to its end, besides the call to 1Password. It is longer
/// only while the API server is unreachable, and then waiting longer helps little.
const FINISHES_WITHIN: Duration = Duration::from_secs(25);
/// The longest time of a planned stop, besides a 1Password call in progress.
pub const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// Why the operator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The compiled core is missing or does not fit.
    #[error("cannot use the SDK core: {0}")]
    Artifact(#[from] ArtifactError),
    /// The core's host could not be set up.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The API server cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The links namespace cannot be used.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The admission policies of this release cannot be generated.
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    /// Notices cannot be sent.
    #[error("cannot send notices: {0}")]
    Notices(#[from] NetworkError),
    /// Health or metrics cannot be served.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Why the passes ended.
#[derive(Debug, thiserror::Error)]
enum PassesEnded {
    #[error(transparent)]
    Panicked(#[from] PassPanicked),
    #[error("another replica has become the leader: this replica exits and can be restarted")]
    Deposed,
}

/// A running operator. Dropping it has the effect of a crash.
#[derive(Debug)]
pub struct Running {
    health: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    shutdown: Option<oneshot::Sender<()>>,
    supervision: JoinHandle<Result<(), TaskError>>,
}

impl Running {
    /// The address that serves health.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health
    }

    /// The address that serves metrics.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Waits until the operator fails.
    pub async fn failed(&mut self) -> TaskError {
        match (&mut self.supervision).await {
            Ok(Err(error)) => error,
            // Without an error, it ends only through `stop`, which consumes it.
            Ok(Ok(())) | Err(_) => TaskError::Ended("supervisor".to_owned()),
        }
    }

    /// Stops the operator and waits until it has stopped.
    pub async fn stop(mut self) -> Result<(), TaskError> {
        self.shutdown.take();
        (&mut self.supervision)
            .await
            .unwrap_or_else(|_| Err(TaskError::Panicked("supervisor".to_owned())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.supervision.abort();
    }
}

/// Starts an operator. The process needs a TLS provider, such as the one that
/// [`crate::cluster::install_tls`] installs.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let core = artifact::load(&settings.core)?;
    let clock = settings.clock.clone();
    let time = Arc::new(move || clock.now());
    let accounts = CoreAccounts::new(&core, settings.core_options.clone(), time)?;
    start_with(settings, Arc::new(accounts)).await
}

/// Starts an operator with these accounts instead of the core.
pub async fn start_with(
    settings: Settings,
    accounts: Arc<dyn Accounts>,
) -> Result<Running, StartError> {
    let clock = settings.clock.clone();
    let metrics = Arc::new(Metrics::new());
    let client = connect(&settings.kube).await?;

    let supervisor = Supervisor::new()
        .finishing_within(settings.core_options.call_timeout + FINISHES_WITHIN)
        // The lease expires while the API server is unreachable; the operator may still deliver an
        // issued link once the API server is back.
        .finishing_after_failure_within(settings.core_options.call_timeout + LINK_HELD_FOR);
    let tasks = supervisor.tasks();
    let cluster = Arc::new(Cluster::new(
        client,
        settings.install.clone(),
        clock.clone(),
        metrics.clone(),
    ));
    cluster.claim_links_namespace().await?;
    let registry = Registry::new(accounts, clock.clone(), metrics.clone(), tasks.clone());
    let gauges = Gauges::new(cluster.clone(), &registry, clock.clone(), metrics.clone());
    let gauges = Arc::new(gauges);
    let election = settings.election.as_ref();
    let quota_store = Arc::new(QuotaStore::new(
        cluster.clone(),
        &registry,
        election.map(|election| election.namespace.clone()),
        clock.clone(),
    ));
    let policies = match &settings.policies {
        Some(policies) => policies.clone(),
        None => Releases::known()?,
    };
    let boundary = Boundary::new(
        cluster.clone(),
        election.map(|election| election.namespace.clone()),
        settings.install.links_namespace.clone(),
        &policies,
        clock.clone(),
        metrics,
    )?;
    let notifier_passes: WorkQueue<Key> =
        WorkQueue::new("notifier", clock.clone(), cluster.verbs.metrics());
    let delivering = Delivering {
        courier: Arc::new(Courier::new(
            &settings.core_options.network,
            settings.notice_hosts.clone(),
        )?),
        clock: clock.clone(),
        metrics: cluster.verbs.metrics(),
    };
    let journal_passes: WorkQueue<LoanKey> =
        WorkQueue::new("journal", clock.clone(), cluster.verbs.metrics());
    let notifiers = Notifiers::new(
        &cluster,
        &clock,
        &boundary,
        delivering,
        &tasks,
        &notifier_passes,
        &journal_passes,
    );
    let integrations = notices::integrations::Integrations::new(&cluster, settings.audit.clone());
    let journal = Journal::new(&cluster, &clock, settings.audit.clone(), &notifiers);
    journal.subscribe(&journal_passes);
    notifiers.subscribe();
    let telling = Telling {
        journal,
        integrations,
        notifiers: notifiers.clone(),
        notifier_passes,
        journal_passes,
    };
    // Boxed, because the future is large and is moved around.
    let controllers = Box::pin(prepare(
        &settings,
        Parts {
            cluster: cluster.clone(),
            boundary: boundary.clone(),
            registry: Arc::new(registry),
            quota_store: quota_store.clone(),
            gauges: gauges.clone(),
            telling,
        },
        &tasks,
    ));
    cluster.follow(&tasks);
    boundary.start(&tasks);
    let health = match settings.listen {
        Some(address) => {
            let (cluster, boundary) = (cluster.clone(), boundary.clone());
            Some(health::serve(address, cluster, boundary, &tasks).await?)
        }
        None => None,
    };
    let metrics = match settings.listen_metrics {
        Some(address) => Some(health::serve_metrics(address, gauges, &tasks).await?),
        None => None,
    };
    let election = settings
        .election
        .as_ref()
        .map(|election| cluster.election(&election.namespace, &election.lease, &election.identity));
    let candidate = election.clone();
    let stopping = tasks.clone();
    tasks.keep("controllers", async move {
        cluster.synced().await;
        tracing::info!(install = %cluster.install, "all watches are synced");
        // Nothing is reported as unguarded just because the boundary has not been checked yet.
        boundary.looked().await;
        let until_stopped = async move {
            tokio::select! {
                ended = controllers => ended,
                // Nothing new begins. The replica keeps the lease until its work in progress is
                // done, and then releases it.
                () = stopping.stopping() => std::future::pending().await,
            }
        };
        lead(candidate, until_stopped).await
    });
    let watched = clock.clone();
    tasks.keep("clock", async move {
        watched.watch().await;
        Ok::<(), std::convert::Infallible>(())
    });

    let (shutdown, stopped) = oneshot::channel::<()>();
    let supervision = tokio::spawn(async move {
        // Both a message and a closed channel mean stop.
        let shutdown = async move { drop(stopped.await) };
        let outcome = supervisor.run(shutdown).await;
        if outcome.is_ok() {
            // The next leader reads the counts first, and goes on with the notices where this one
            // stopped.
            let saved = async { tokio::join!(quota_store.save_last(), notifiers.save_last()) };
            tokio::time::timeout(RELEASE_TIMEOUT, saved).await.ok();
        }
        if let Some(election) = election {
            // Another replica then does not have to wait until the lease expires.
            tokio::time::timeout(RELEASE_TIMEOUT, election.release())
                .await
                .ok();
        }
        outcome
    });
    Ok(Running {
        health,
        metrics,
        shutdown: Some(shutdown),
        supervision,
    })
}

/// The parts that the controllers share.
struct Parts {
    cluster: Arc<Cluster>,
    boundary: Arc<Boundary>,
    registry: Arc<Registry>,
    quota_store: Arc<QuotaStore>,
    gauges: Arc<Gauges>,
    telling: Telling,
}

/// What tells others about requests and loans.
struct Telling {
    journal: Arc<Journal>,
    integrations: Arc<notices::integrations::Integrations>,
    notifiers: Arc<Notifiers>,
    notifier_passes: WorkQueue<Key>,
    journal_passes: WorkQueue<LoanKey>,
}

/// Sets up the controllers and subscribes them to their dependencies; the returned future runs
/// their passes.
fn prepare(
    settings: &Settings,
    parts: Parts,
    tasks: &Tasks,
) -> impl Future<Output = Result<(), PassPanicked>> + Send + 'static {
    let Parts {
        cluster,
        boundary,
        registry,
        quota_store,
        gauges,
        telling,
    } = parts;
    let (clock, metrics) = (&settings.clock, cluster.verbs.metrics());
    let integration_passes: WorkQueue<Key> =
        WorkQueue::new("integration", clock.clone(), metrics.clone());
    let flow_passes: WorkQueue<Key> = WorkQueue::new("flow", clock.clone(), metrics.clone());
    let loan_passes: WorkQueue<LoanKey> = WorkQueue::new("loan", clock.clone(), metrics.clone());
    Integrations::subscribe(&cluster, &boundary, &integration_passes);
    let decision_passes: WorkQueue<Key> = WorkQueue::new("decision", clock.clone(), metrics);
    Decisions::subscribe(&cluster, &decision_passes);
    Flows::subscribe(&cluster, &registry, &flow_passes);
    let loans = Loans::new(
        cluster.clone(),
        registry.clone(),
        boundary.clone(),
        clock.clone(),
        LoanEvents::start(&cluster, tasks),
        tasks.clone(),
    );
    loans.subscribe(&loan_passes);
    let flows = Arc::new(Flows {
        cluster: cluster.clone(),
        registry: registry.clone(),
        clock: clock.clone(),
        events: cluster.events("flow", tasks),
    });
    let integrations = Arc::new(Integrations {
        cluster: cluster.clone(),
        registry,
        boundary,
        allowed_origins: settings.allowed_origins.clone(),
        clock: clock.clone(),
        events: cluster.events("integration", tasks),
        tasks: tasks.clone(),
        passes: integration_passes.clone(),
    });
    let decisions = Arc::new(Decisions {
        cluster: cluster.clone(),
        clock: clock.clone(),
    });
    let sweep = Sweep {
        cluster: cluster.clone(),
        clock: clock.clone(),
        events: cluster.events("sweep", tasks),
    };
    let (all_loans, classified) = (loans.clone(), loans.clone());
    let (told_by, all_told) = (cluster.clone(), telling.journal.clone());
    async move {
        quota_store.load().await;
        gauges.lead();
        telling.integrations.lead();
        telling.journal.lead();
        tokio::select! {
            never = sweep.run() => match never {},
            ended = telling.journal_passes.run(
                || all_told.keys(),
                |_| Class::of(Urgency::Routine),
                move |key| {
                    let journal = telling.journal.clone();
                    async move { journal.pass(&key) }
                },
            ) => ended,
            ended = telling.notifier_passes.run(
                || told_by.notifiers.keys(),
                |_| Class::of(Urgency::Routine),
                move |key| telling.notifiers.clone().pass(key),
            ) => ended,
            never = quota_store.run() => match never {},
            ended = decision_passes.run(
                || cluster.decisions.keys(),
                |_| Class::of(Urgency::Request),
                move |key| decisions.clone().pass(key),
            ) => ended,
            ended = integration_passes.run(
                || cluster.integrations.keys(),
                |_| Class::of(Urgency::Request),
                move |key| integrations.clone().pass(key),
            ) => ended,
            ended = flow_passes.run(
                || cluster.flows.keys(),
                |_| Class::of(Urgency::Request),
                move |key| flows.clone().pass(key),
            ) => ended,
            ended = loan_passes.run(
                || all_loans.keys(),
                move |key| classified.class(key),
                move |key| loans.clone().pass(key),
            ) => ended,
        }
    }
}

/// Runs the controllers while this replica is the leader.
async fn lead(
    election: Option<LeaderElection>,
    controllers: impl Future<Output = Result<(), PassPanicked>>,
) -> Result<(), PassesEnded> {
    let Some(election) = election else {
        return Ok(controllers.await?);
    };
    match election.with_lease(controllers).await {
        Some(ended) => Ok(ended?),
        None => Err(PassesEnded::Deposed),
    }
}
