//! The decision controller: tidies away decisions on requests that are gone. What counted of them is in the loan's record.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::AccessDecision;
use crate::cluster::{Cluster, Key, Mark};
use crate::runtime::{Clock, Outcome, Passes};

/// How long a decision is kept at the least: the watch may tell of it before it tells of its request.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// What passes over decisions share.
pub struct Decisions {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The time.
    pub clock: Clock,
}

impl Decisions {
    /// Has each decision looked at, and again when its request goes.
    pub fn subscribe(cluster: &Arc<Cluster>, passes: &Passes<Key>) {
        let ask = passes.clone();
        cluster
            .decisions
            .subscribe(move |decision| ask.ask(Key::of(decision)));
        let (ask, cluster_of) = (passes.clone(), Arc::downgrade(cluster));
        cluster.grants.subscribe(move |grant| {
            let Some(cluster) = cluster_of.upgrade() else {
                return;
            };
            if cluster.grants.get(&Key::of(grant)).is_some() {
                return;
            }
            let on_it = Mark::GrantNamed(Key::of(grant));
            let on_it = cluster.decisions.having(&on_it);
            on_it
                .iter()
                .for_each(|decision| ask.ask(Key::of(decision.as_ref())));
        });
    }

    /// Looks at one decision once.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        let Some(decision) = self.cluster.decisions.get(&key) else {
            return Outcome::Gone;
        };
        if self.is_needed(&decision) {
            return Outcome::Waiting(None);
        }
        let made = decision
            .creation_timestamp()
            .map_or(Timestamp::MIN, |time| time.0);
        let due = made.saturating_add(KEPT_FOR).unwrap_or(Timestamp::MAX);
        if self.clock.now() < due {
            return Outcome::Waiting(Some(due));
        }
        match self.cluster.decisions.delete(decision.as_ref()).await {
            Ok(()) => Outcome::Applied,
            Err(error) => {
                tracing::warn!(decision = %key, %error, "a decision on a request that is gone was not deleted; it is tried again");
                Outcome::Failed
            }
        }
    }

    /// Whether there is a request of the name that it gives, or a loan that runs without its request.
    fn is_needed(&self, decision: &AccessDecision) -> bool {
        let namespace = decision.namespace().unwrap_or_default();
        let request = Key::new(namespace, &decision.spec.grant);
        // A loan whose request is gone is ended from its record, and its decisions may still say by whom.
        let runs = |uid: &String| {
            let of_it = Mark::GrantUid(uid.clone());
            let mut records = self.cluster.records.having(&of_it).into_iter();
            records.any(|record| record.spec.end.is_none())
        };
        self.cluster.grants.get(&request).is_some() || runs(&decision.spec.grant_uid)
    }
}
