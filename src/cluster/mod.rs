//! The Kubernetes cluster: the only place that makes clients and `Api`s.
//!
//! * `connect` makes a client that bounds the time of each call; `install` says where it may touch
//!   Secrets; `claim` checks that no other install uses the links namespace.
//! * `cache`: the objects that are known, from watches and from our own writes. `streams` feeds it, `received` decodes objects,
//!   `metadata_filter` drops metadata that nobody reads, and `index` finds objects by what they have in common, in order (`partition`).
//! * `verbs`: writes and live reads; `kinds` combines them with a cache for each of our kinds.
//! * `labeled_secret`: the Secrets of integrations and notifiers.
//! * `events`: what people see in `kubectl describe`.
//! * `policies`: our admission policies and what the operator stores about them; [`probe`] checks
//!   that they are enforced.
//! * [`link_objects`]: the Secret, Role and RoleBinding that carry a link.
//! * [`person`]: the cluster as one person sees it, for the plugin.

mod cache;
mod claim;
mod connect;
mod errors;
mod events;
mod index;
mod install;
mod key;
mod kinds;
mod kubeconfig;
mod labeled_secret;
pub mod link_objects;
mod merge_patch;
mod metadata_filter;
mod partition;
pub mod person;
mod policies;
pub mod probe;
mod received;
mod streams;
mod verbs;
mod wiped;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};

use crate::api::{
    AccessDecision, AccessFlow, AccessGrant, AccessNotifier, AccessRecord, OnePasswordIntegration,
    SECRET_LABEL,
};
use crate::plan::boundary::PolicyKey;
use crate::plan::ended_loan::history;
use crate::runtime::{Clock, Tasks};
use crate::telemetry::Metrics;

use index::Marks;
use metadata_filter::MetadataFilter;
use received::Received;

pub use cache::Cache;
pub use claim::{ClaimError, LINKS_LEASE};
pub use connect::{ConnectError, KubeAccess, connect, install_tls};
pub use errors::{ApiError, ApiErrorKind, with_retries};
pub use events::Events;
pub use index::{Mark, decided_by, flow_mark, ledger_of, rank_of, unlent_to};
pub use install::Install;
pub use key::Key;
pub use kinds::Kind;
pub use kubeconfig::{KubeconfigProblem, Overrides, UnusableKubeconfig};
pub use labeled_secret::SecretValues;
pub use metadata_filter::Watched;
pub use partition::{QueueCounts, Rank};
pub use policies::{Kept, Policies};
pub use verbs::{API_TIMEOUT, Deleted, Namespaced, Verbs};
pub use wiped::{Wipe, Wiped};

/// A leader that has not renewed its lease for this long is no longer the leader. After a crash,
/// another replica takes over that much later.
const LEASE_DURATION: Duration = Duration::from_secs(10);
/// A leader that cannot renew its lease for this long gives up.
const RENEWED_WITHIN: Duration = Duration::from_secs(7);
/// The leader renews the lease, and the others check it, at this interval. After a planned stop,
/// another replica takes over within it.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// The timeout of each call about the lease.
const LEASE_CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a start waits for the namespaces.
const NAMESPACES_WITHIN: Duration = Duration::from_secs(30);

/// The metadata of one of our Secrets: labels, annotations, version. The Secret itself is not read.
pub type SecretMetadata = PartialObjectMeta<Secret>;

#[cfg(test)]
impl Cluster {
    /// A cluster whose API server never answers. It knows only what a test makes known.
    pub(crate) fn out_of_touch() -> Self {
        let never = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
        });
        let client = Client::new(never, "default");
        Self::new(
            client,
            Install::default(),
            Clock::system(),
            Arc::new(Metrics::new()),
        )
    }
}

/// What the operator knows about the cluster and can do in it.
pub struct Cluster {
    /// The integrations.
    pub integrations: Kind<OnePasswordIntegration>,
    /// The flows.
    pub flows: Kind<AccessFlow>,
    /// The grants.
    pub grants: Kind<AccessGrant>,
    /// The decisions.
    pub decisions: Kind<AccessDecision>,
    /// The records.
    pub records: Kind<AccessRecord>,
    /// The notifiers.
    pub notifiers: Kind<AccessNotifier>,
    /// The Secrets with our label, without their contents.
    pub secrets: Arc<Cache<SecretMetadata>>,
    /// The namespaces' names and labels.
    pub namespaces: Arc<Cache<PartialObjectMeta<Namespace>>>,
    /// The admission policies; they report changes after [`Cluster::follow_policies`] has been
    /// called.
    pub policies: Arc<Policies>,
    /// Verbs for kinds without a cache: Secrets, Roles, RoleBindings.
    pub verbs: Verbs,
    /// Where the operator may touch Secrets, and for which install.
    pub install: Install,
    client: Client,
}

impl Cluster {
    /// Starts empty: [`Cluster::follow`] starts the watches.
    pub fn new(client: Client, install: Install, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let verbs = Verbs::new(client.clone(), metrics);
        let secret_streams = install.integration_namespaces.len() + 1;
        let secrets: Arc<Cache<SecretMetadata>> = Arc::new(Cache::new(
            secret_streams,
            index::unmarked,
            MetadataFilter::SECRETS,
        ));
        let (links, of_install) = (secrets.clone(), install.clone());
        // While the Secret of an ended loan still exists, the operator has to delete it and report
        // that.
        let is_history = move |record: &AccessRecord| {
            let link = of_install.link(&record.spec.grant.uid);
            let history = history(record, clock.now());
            history.filter(|_| links.get(&link).is_none())
        };
        Self {
            integrations: Kind::new(verbs.clone(), ours(index::unmarked)),
            flows: Kind::new(verbs.clone(), ours(index::unmarked)),
            grants: Kind::new(verbs.clone(), ours(index::of_grant).thinned(index::thin)),
            decisions: Kind::new(verbs.clone(), ours(index::of_decision)),
            records: Kind::new(
                verbs.clone(),
                ours(index::of_record).archiving(Box::new(is_history)),
            ),
            notifiers: Kind::new(verbs.clone(), ours(index::unmarked)),
            secrets,
            namespaces: Arc::new(Cache::new(1, index::unmarked, MetadataFilter::NAMESPACES)),
            policies: Arc::new(Policies::new(client.clone(), verbs.clone())),
            verbs,
            install,
            client,
        }
    }

    /// Starts the watches, each with its own back-off. Subscribe first.
    pub fn follow(&self, tasks: &Tasks) {
        self.follow_kind(&self.integrations, tasks);
        self.follow_kind(&self.flows, tasks);
        self.follow_kind(&self.grants, tasks);
        self.follow_kind(&self.decisions, tasks);
        self.follow_kind(&self.records, tasks);
        self.follow_kind(&self.notifiers, tasks);
        let api = Api::<Received<PartialObjectMeta<Namespace>>>::all(self.client.clone());
        streams::follow(
            api,
            streams::watching(),
            self.namespaces.clone(),
            None,
            self.verbs.metrics(),
            tasks,
        );
        let secrets = |namespace: &str, what: &str| {
            let api: Api<Received<SecretMetadata>> =
                Api::namespaced(self.client.clone(), namespace);
            let ours = streams::watching().labels(&format!("{SECRET_LABEL} in ({what})"));
            let (cache, metrics) = (self.secrets.clone(), self.verbs.metrics());
            streams::follow(api, ours, cache, Some(namespace.to_owned()), metrics, tasks);
        };
        let served = self.install.integration_namespaces.iter();
        served.for_each(|namespace| secrets(namespace, "token,notifier"));
        secrets(&self.install.links_namespace, "link");
    }

    /// Starts to watch the admission policies and bindings for changes of those that are `ours`.
    pub fn follow_policies(
        &self,
        ours: impl Fn(&PolicyKey) -> bool + Clone + Send + Sync + 'static,
        tasks: &Tasks,
    ) {
        let metrics = self.verbs.metrics();
        policies::follow(&self.client, &self.policies, ours, &metrics, tasks);
    }

    fn follow_kind<K: Namespaced + Watched>(&self, kind: &Kind<K>, tasks: &Tasks) {
        let api = Api::<Received<K>>::all(self.client.clone());
        let (cache, metrics) = (kind.cache().clone(), self.verbs.metrics());
        streams::follow(api, streams::watching(), cache, None, metrics, tasks);
    }

    /// Whether every watch has listed its objects once.
    pub fn is_synced(&self) -> bool {
        self.unsynced().is_empty()
    }

    /// The kinds whose watches have not listed their objects yet. Notifiers do not count: a loan has
    /// to end although a cluster does not know their kind yet.
    pub fn unsynced(&self) -> Vec<&'static str> {
        [
            (
                "OnePasswordIntegration",
                self.integrations.cache().is_synced(),
            ),
            ("AccessFlow", self.flows.cache().is_synced()),
            ("AccessGrant", self.grants.cache().is_synced()),
            ("AccessDecision", self.decisions.cache().is_synced()),
            ("AccessRecord", self.records.cache().is_synced()),
            ("Secret", self.secrets.is_synced()),
            ("Namespace", self.namespaces.is_synced()),
        ]
        .into_iter()
        .filter(|(_, synced)| !synced)
        .map(|(kind, _)| kind)
        .collect()
    }

    /// Waits until every watch has listed its objects once. It waits only briefly for the
    /// namespaces: a flow that selects namespaces by label selects no unknown one, and a namespace
    /// that cannot be listed must not keep loans from ending.
    pub async fn synced(&self) {
        self.kinds_listed().await;
        self.secrets.synced().await;
        let namespaces = tokio::time::timeout(NAMESPACES_WITHIN, self.namespaces.synced()).await;
        if namespaces.is_err() {
            tracing::warn!(
                waited = ?NAMESPACES_WITHIN,
                "the namespaces are not listed yet; until they are, flows that select namespaces by label accept no requests"
            );
        }
    }

    /// Waits until the objects of each of our kinds have been listed once: before, a kind may be
    /// missing in the cluster.
    pub async fn kinds_listed(&self) {
        self.integrations.cache().synced().await;
        self.flows.cache().synced().await;
        self.grants.cache().synced().await;
        self.decisions.cache().synced().await;
        self.records.cache().synced().await;
    }

    /// A namespace's labels; none if the namespace is unknown.
    pub fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let known = self.namespaces.get(&Key::cluster_wide(namespace));
        known
            .map(|known| known.labels().clone())
            .unwrap_or_default()
    }

    /// Publishes events on behalf of one controller.
    pub fn events(&self, controller: &str, tasks: &Tasks) -> Events {
        Events::start(self.client.clone(), controller, self.verbs.metrics(), tasks)
    }

    /// The lease that decides which replica leads.
    pub fn election(
        &self,
        namespace: &str,
        lease: &str,
        identity: &str,
    ) -> k8s_controller::LeaderElection {
        // The library waits for the lease without a timeout of its own. One lost response must not
        // cost the leadership.
        let client = connect::with_call_timeout(self.client.clone(), LEASE_CALL_TIMEOUT);
        k8s_controller::LeaderElection::new(client, namespace, lease, identity)
            .with_lease_duration(LEASE_DURATION)
            .with_renew_deadline(RENEWED_WITHIN)
            .with_retry_period(LOOKED_AT_EVERY)
    }
}

/// A cache of one of our kinds.
fn ours<K: Watched>(marks: Marks<K>) -> Cache<K> {
    Cache::new(1, marks, K::FILTER)
}
