//! Tells the audit log when 1Password's word on an integration's token changes, and when the
//! admission policies cease or begin to guard requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;

use crate::api::{BOUNDARY_IN_FORCE, CREDENTIALS_VALID, Condition, OnePasswordIntegration};
use crate::cluster::{Cluster, Key};
use crate::desk::cloud_event::{CloudEvent, Data, Place};
use crate::telemetry::Audit;

/// The conditions that are told, each with the kind of its event.
const TOLD: [(&str, &str); 2] = [
    (CREDENTIALS_VALID, "token-changed"),
    (BOUNDARY_IN_FORCE, "boundary-changed"),
];

/// A condition's status and reason.
type Says = (String, String);

/// What was told of the integrations.
pub struct Integrations {
    install: String,
    audit: Audit,
    /// Whether this replica leads: no other one tells anything.
    leads: AtomicBool,
    /// The status and reason of each condition, by the integration's uid.
    known: Mutex<HashMap<(String, &'static str), Says>>,
}

impl Integrations {
    /// Follows the integrations of this cluster. Call this before the watches start.
    pub fn new(cluster: &Arc<Cluster>, audit: Audit) -> Arc<Self> {
        let told = Arc::new(Self {
            install: cluster.install.name.clone(),
            audit,
            leads: AtomicBool::new(false),
            known: Mutex::default(),
        });
        let (of, within) = (Arc::downgrade(&told), Arc::downgrade(cluster));
        cluster.integrations.subscribe(move |integration| {
            let (Some(told), Some(cluster)) = (of.upgrade(), within.upgrade()) else {
                return;
            };
            let key = Key::of(integration);
            let there = cluster.integrations.get(&key);
            if there.is_none_or(|there| there.uid() != integration.uid()) {
                told.forget(integration);
            } else if cluster.install.serves(&key.namespace) {
                told.look(integration);
            }
        });
        told
    }

    /// From now on, this replica tells what changes.
    pub fn lead(&self) {
        self.leads.store(true, Ordering::Relaxed);
    }

    fn look(&self, integration: &OnePasswordIntegration) {
        let conditions = integration
            .status
            .as_ref()
            .map_or(&[][..], |s| &s.conditions);
        for (type_, kind) in TOLD {
            let condition = conditions.iter().find(|condition| condition.type_ == type_);
            if let Some(condition) = condition.filter(|c| self.is_new(integration, type_, c)) {
                self.tell(integration, kind, condition);
            }
        }
    }

    /// Whether the condition says something else than before. The first word about an integration
    /// is not told: it was told before the operator started, or says that nothing is known yet.
    fn is_new(
        &self,
        integration: &OnePasswordIntegration,
        type_: &'static str,
        condition: &Condition,
    ) -> bool {
        let uid = integration.uid().unwrap_or_default();
        let says = (condition.status.clone(), condition.reason.clone());
        let before = self.known().insert((uid, type_), says.clone());
        before.is_some_and(|before| before != says) && self.leads.load(Ordering::Relaxed)
    }

    /// The integration is gone.
    fn forget(&self, integration: &OnePasswordIntegration) {
        let gone = integration.uid().unwrap_or_default();
        self.known().retain(|(uid, _), _| *uid != gone);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, &'static str), Says>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, integration: &OnePasswordIntegration, kind: &str, condition: &Condition) {
        let at = condition.last_transition_time.0;
        let uid = integration.uid().unwrap_or_default();
        let id = format!(
            "{uid}/{}/{}/{}",
            condition.type_,
            condition.reason,
            at.as_second()
        );
        let data = Data {
            integration: Some(Place {
                namespace: integration.namespace().unwrap_or_default(),
                name: integration.name_any(),
            }),
            reason: Some(condition.reason.clone()),
            message: Some(condition.message.clone()),
            ..Data::default()
        };
        self.audit
            .write(&CloudEvent::new(&self.install, id, kind, at, data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn an_integration_that_is_deleted_is_forgotten() {
        let cluster = Arc::new(Cluster::out_of_touch());
        let integrations = Integrations::new(&cluster, Audit::to_nowhere());
        let object = |name: &str| -> OnePasswordIntegration {
            let condition = json!({
                "type": CREDENTIALS_VALID, "status": "True", "reason": "TokenAccepted",
                "message": "", "lastTransitionTime": "2026-11-23T10:00:00Z",
            });
            let token = json!({ "secretRef": { "name": "t" } });
            serde_json::from_value(json!({
                "apiVersion": "keyloan.dev/v1alpha1", "kind": "OnePasswordIntegration",
                "metadata": {
                    "namespace": "keyloan", "name": name, "uid": name, "resourceVersion": "1",
                },
                "spec": { "auth": { "serviceAccountToken": token }, "plan": "Teams" },
                "status": { "conditions": [condition] },
            }))
            .expect("an integration")
        };
        let cache = cluster.integrations.cache();
        cache.learn(object("prod"));
        cache.learn(object("dev"));
        assert_eq!(integrations.known().len(), 2);
        cache.unlearn(object("dev"));
        let known = Vec::from_iter(integrations.known().keys().cloned());
        assert_eq!(known, [("prod".to_owned(), CREDENTIALS_VALID)]);
    }
}
