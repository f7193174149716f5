//! Tells the audit log when 1Password's word on an integration's token changes, and when the
//! admission policies cease or begin to guard requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt as _;

use crate::api::{BOUNDARY_IN_FORCE, CREDENTIALS_VALID, Condition, OnePasswordIntegration};
use crate::cluster::Cluster;
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
        let (of, install) = (Arc::downgrade(&told), cluster.install.clone());
        cluster.integrations.subscribe(move |integration| {
            let served = integration
                .namespace()
                .is_some_and(|namespace| install.serves(&namespace));
            if let (true, Some(told)) = (served, of.upgrade()) {
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
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.insert((uid, type_), says.clone());
        before.is_some_and(|before| before != says) && self.leads.load(Ordering::Relaxed)
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
