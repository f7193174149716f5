//! The decision controller: tidies away decisions on requests that are gone. What counted of them is in the loan's record.

use std::sync::Arc;

use jiff::SignedDuration;
use kube::ResourceExt;

use crate::api::AccessDecision;
use crate::cluster::{Cluster, Key};
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
    /// Has each decision looked at. That its request has gone is seen when it is looked at again, as everything is now and then.
    pub fn subscribe(cluster: &Cluster, passes: &Passes<Key>) {
        let ask = passes.clone();
        cluster
            .decisions
            .subscribe(move |decision| ask.ask(Key::of(decision)));
    }

    /// Looks at one decision once.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        let Some(decision) = self.cluster.decisions.get(&key) else {
            return Outcome::Gone;
        };
        if !self.is_left_over(&decision) {
            return Outcome::Waiting(None);
        }
        match self.cluster.decisions.delete(decision.as_ref()).await {
            Ok(()) => Outcome::Applied,
            Err(error) => {
                tracing::warn!(decision = %key, %error, "a decision on a request that is gone was not deleted; it is tried again");
                Outcome::Failed
            }
        }
    }

    fn is_left_over(&self, decision: &AccessDecision) -> bool {
        let made = decision.creation_timestamp().map(|time| time.0);
        let old = made.is_some_and(|made| self.clock.now().duration_since(made) >= KEPT_FOR);
        let namespace = decision.namespace().unwrap_or_default();
        let request = Key::new(namespace, &decision.spec.grant);
        // A loan whose request is gone is ended from its record, and its decisions may still say by whom.
        let runs = |uid: &String| {
            let records = self
                .cluster
                .records
                .select(|record| record.spec.grant.uid == *uid && record.spec.end.is_none());
            !records.is_empty()
        };
        old && self.cluster.grants.get(&request).is_none() && !runs(&decision.spec.grant_uid)
    }
}
