//! The integration controller: reads the token, lets the plan decide, starts discoveries, and
//! writes the status.
//!
//! A pass never waits for 1Password. Discoveries are separate jobs, so that a slow or hanging one
//! delays neither other integrations nor the reaction to its own rotated token.

mod discovery;
mod token;

use std::sync::Arc;

use crate::api::OnePasswordIntegration;
use crate::cluster::{ApiErrorKind, Cluster, Events, Key};
use crate::onepassword::AllowedOrigins;
use crate::plan::integration::{Effect, Observed, Plan, TokenSeen, plan};
use crate::runtime::{Clock, Outcome, Tasks, WorkQueue};

use super::boundary::Boundary;
use super::registry::{Entry, Registry};
use super::session::OnBehalf;
use token::{Tokens, secret_of};

/// The shared parts of passes over integrations.
pub struct Integrations {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The in-memory state of each integration.
    pub registry: Arc<Registry>,
    /// Whether the API server verifies requesters and approvers.
    pub boundary: Arc<Boundary>,
    /// The origins that tokens may use in addition to 1Password's own domains.
    pub allowed_origins: AllowedOrigins,
    /// The time.
    pub clock: Clock,
    /// Events for people.
    pub events: Events,
    /// Starts discoveries.
    pub tasks: Tasks,
    /// The queue of this controller.
    pub passes: WorkQueue<Key>,
}

impl Integrations {
    /// Schedules a pass for an integration when it or its Secret changes, and for all when the
    /// boundary does. Subscribe before the watches start.
    pub fn subscribe(cluster: &Arc<Cluster>, boundary: &Boundary, passes: &WorkQueue<Key>) {
        let (queue, cluster_of) = (passes.clone(), Arc::downgrade(cluster));
        boundary.subscribe(move || {
            let Some(cluster) = cluster_of.upgrade() else {
                return;
            };
            let all = cluster.integrations.select(|_| true);
            all.iter()
                .for_each(|integration| queue.enqueue(Key::of(integration.as_ref())));
        });
        let queue = passes.clone();
        cluster
            .integrations
            .subscribe(move |integration| queue.enqueue(Key::of(integration)));
        let (queue, cluster_of) = (passes.clone(), Arc::downgrade(cluster));
        cluster.secrets.subscribe(move |secret| {
            let Some(cluster) = cluster_of.upgrade() else {
                return;
            };
            let secret = Key::of(secret);
            let concerned = cluster
                .integrations
                .select(|integration| secret_of(integration).is_some_and(|(key, _)| key == secret));
            concerned
                .iter()
                .for_each(|integration| queue.enqueue(Key::of(integration.as_ref())));
        });
    }

    /// Runs one pass over one integration.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        // An integration that another installation serves is left to that one.
        let served = self.cluster.install.serves(&key.namespace);
        let Some(integration) = self.cluster.integrations.get(&key).filter(|_| served) else {
            self.registry.forget(&key);
            return Outcome::Gone;
        };
        let entry = self.registry.entry(&key);
        let tokens = Tokens {
            cluster: &self.cluster,
            registry: &self.registry,
            allowed_origins: &self.allowed_origins,
            passes: &self.passes,
        };
        let token = tokens.seen(&integration, &entry).await;
        let unreadable = matches!(token, TokenSeen::Unreadable { .. });
        let Plan {
            effect,
            status,
            wake,
            notes,
        } = self.decide(&integration, &entry, token);
        match effect {
            Some(Effect::Discover) => self.discover(&integration, &entry, key),
            Some(Effect::GiveUpDiscovery) => entry.give_up_discovery(),
            None => {}
        }
        let written = self
            .cluster
            .integrations
            .patch_status(&integration, &status)
            .await;
        match written {
            Ok(true) => self.events.tell(integration.as_ref(), "Discover", notes),
            Ok(false) => {}
            // The integration was deleted or created again in the meantime: the watch reports it.
            Err(error) if matches!(error.kind, ApiErrorKind::NotFound | ApiErrorKind::Conflict) => {
            }
            Err(error) => {
                tracing::warn!(%error, "could not write a status; retrying");
                return Outcome::Failed;
            }
        }
        if unreadable {
            Outcome::Failed
        } else {
            Outcome::Waiting(wake)
        }
    }

    fn decide(
        &self,
        integration: &OnePasswordIntegration,
        entry: &Entry,
        token: TokenSeen,
    ) -> Plan {
        let memory = self.registry.memory(entry, integration);
        let seen = Observed {
            integration,
            token,
            session: memory.session,
            discovery: memory.discovery.as_ref(),
            inventory: memory.inventory.as_deref(),
            discovering: memory.discovering,
            room_from: memory.room_from,
            unguarded: self.boundary.seen().broken,
        };
        plan(&seen, self.clock.now())
    }

    /// Starts a discovery, whose end schedules another pass.
    fn discover(&self, integration: &OnePasswordIntegration, entry: &Arc<Entry>, key: Key) {
        let Some(session) = entry.held().and_then(|held| held.token.ok()) else {
            return;
        };
        let (entry_of, clock) = (entry.clone(), self.clock.clone());
        let (allowed, passes) = (integration.spec.vaults.clone(), self.passes.clone());
        let name = format!("discovery of {key}");
        // The job must be known before it can end, so it waits until its entry exists.
        let (begin, begun) = tokio::sync::oneshot::channel::<()>();
        let job = self.tasks.run(name, async move {
            if begun.await.is_err() {
                return;
            }
            let known = entry_of.inventory();
            let account = OnBehalf::of_all(session.clone());
            let outcome = discovery::discover(&account, &allowed, known.as_deref(), &clock).await;
            if let Err(error) = &outcome {
                tracing::warn!(integration = %key, %error, "a discovery failed");
            }
            entry_of.discovery_ended(&session, outcome);
            passes.enqueue(key);
        });
        entry.discovery_begins(job);
        begin.send(()).ok();
    }
}
