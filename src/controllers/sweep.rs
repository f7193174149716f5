//! The sweep: deletes what carries a link and for which no loan stands that runs, such as what a crash has left behind; and has records
//! looked at whose retention is over.
//!
//! It touches only what this install's labels are on, in this install's links namespace, and believes no cache: each object and each record
//! is read from the API server itself before anything is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;

use crate::api::AccessRecord;
use crate::cluster::{
    ApiError, ApiErrorKind, Cluster, Events, Key, Mark, Namespaced, Notice, Watched, link_objects,
};
use crate::runtime::Clock;

/// How often it sweeps.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// After a sweep that failed, the next one comes so soon.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// The clock may be set: it is looked at so often.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);
/// So many records whose retention is over are read in one sweep: each is in memory until it is deleted.
const READ_AT_A_TIME: usize = 1_000;
/// A Role is made before its record: one that is younger may be of a request whose link is being made.
const MADE_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// Sweeps the links namespace of this install.
pub struct Sweep {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The time.
    pub clock: Clock,
    /// What people are told.
    pub events: Events,
}

impl Sweep {
    /// Sweeps now and once an hour. All records have to be known by then.
    pub async fn run(self) -> Infallible {
        self.report_unserved();
        loop {
            // A clock that is set while it sweeps has it sweep again.
            let began = self.clock.now();
            let wait = match self.sweep().await {
                Ok(()) => EVERY,
                Err(error) => {
                    tracing::warn!(%error, "what ended loans have left behind could not be looked for; it is tried again");
                    AGAIN_AFTER
                }
            };
            self.until(began.saturating_add(wait).unwrap_or(Timestamp::MAX))
                .await;
        }
    }

    async fn until(&self, due: Timestamp) {
        let mut jumps = self.clock.jumps();
        while self.clock.now() < due {
            tokio::select! {
                () = tokio::time::sleep(LOOKED_AT_EVERY) => {}
                Ok(()) = jumps.changed() => {}
            }
        }
    }

    async fn sweep(&self) -> Result<(), ApiError> {
        // Whoever takes it in has it deleted.
        let due = self.cluster.records.due_history(self.clock.now());
        for record in due.iter().take(READ_AT_A_TIME) {
            self.cluster.records.live(record).await?;
        }
        self.sweep_kind::<Secret>(SignedDuration::ZERO).await?;
        self.sweep_kind::<Role>(MADE_WITHIN).await?;
        self.sweep_kind::<RoleBinding>(MADE_WITHIN).await
    }

    /// Deletes the objects of a kind that are older and for which no loan stands.
    async fn sweep_kind<K: Namespaced>(&self, older_than: SignedDuration) -> Result<(), ApiError>
    where
        PartialObjectMeta<K>: Watched,
    {
        let (install, verbs) = (&self.cluster.install, &self.cluster.verbs);
        let selector = link_objects::selector(install);
        let mut next = None;
        loop {
            let page =
                verbs.page_of_metadata::<K>(&install.links_namespace, &selector, next.as_deref());
            // One page is in memory at a time: there may be as many objects as there are loans.
            let (objects, then) = page.await?;
            self.sweep_page(objects, older_than).await?;
            match then {
                Some(_) => next = then,
                None => return Ok(()),
            }
        }
    }

    async fn sweep_page<K: Namespaced>(
        &self,
        objects: Vec<PartialObjectMeta<K>>,
        older_than: SignedDuration,
    ) -> Result<(), ApiError> {
        let install = &self.cluster.install;
        for object in objects {
            let made = object.creation_timestamp().map(|time| time.0);
            let age = made.map_or(SignedDuration::MAX, |made| {
                self.clock.now().duration_since(made)
            });
            let Some(uid) = link_objects::grant_uid(&object.metadata, install) else {
                continue;
            };
            if age < older_than || self.is_stood_for(uid).await? {
                continue;
            }
            self.remove::<K>(uid).await?;
        }
        Ok(())
    }

    /// Whether a loan of the grant with this uid runs.
    async fn is_stood_for(&self, grant_uid: &str) -> Result<bool, ApiError> {
        let runs = |record: &AccessRecord| record.spec.end.is_none();
        let of_it = Mark::GrantUid(grant_uid.to_owned());
        let known = self.cluster.records.having(&of_it);
        if known.iter().any(|record| runs(record)) {
            return Ok(true);
        }
        // A watch may lag behind. Only where we lend can a record be that is not known.
        for namespace in &self.cluster.install.integration_namespaces {
            let record = Key::new(namespace, grant_uid);
            if self
                .cluster
                .records
                .live(&record)
                .await?
                .is_some_and(|record| runs(&record))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn remove<K: Namespaced>(&self, grant_uid: &str) -> Result<(), ApiError> {
        let (install, verbs) = (&self.cluster.install, &self.cluster.verbs);
        let key = install.link(grant_uid);
        let there = verbs.get_metadata::<K>(&key).await?;
        let Some(there) = there.filter(|o| link_objects::is_ours(&o.metadata, install, grant_uid))
        else {
            return Ok(());
        };
        let uid = there.uid().unwrap_or_default();
        match verbs.delete::<K>(&key, &uid).await {
            Ok(_) => {
                tracing::info!(kind = %K::kind(&()), object = %key, "deleted: no loan stands for it that runs");
                Ok(())
            }
            // One that somebody does not let go must not keep the others.
            Err(error)
                if matches!(
                    error.kind,
                    ApiErrorKind::Forbidden(_) | ApiErrorKind::Invalid(_)
                ) =>
            {
                tracing::warn!(%error, "what an ended loan has left behind stays for now");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Says where loans run out because their integrations' namespace is served no more.
    fn report_unserved(&self) {
        let install = &self.cluster.install;
        let run_out = self.cluster.records.select(|record| {
            let namespace = record.namespace().unwrap_or_default();
            record.spec.end.is_none()
                && record.spec.install.as_ref() == Some(&install.name)
                && !install.serves(&namespace)
        });
        let mut loans: BTreeMap<String, usize> = BTreeMap::new();
        let mut integrations = BTreeSet::new();
        for record in &run_out {
            let namespace = record.namespace().unwrap_or_default();
            *loans.entry(namespace.clone()).or_default() += 1;
            integrations.insert(Key::new(namespace, &record.spec.terms.integration.name));
        }
        for (namespace, loans) in loans {
            tracing::warn!(
                namespace,
                loans,
                "this namespace is not among the integration namespaces any more: its loans run out, and nothing more is lent there"
            );
        }
        let note = "the operator does not serve this namespace any more: loans that run go on to their end, and nothing more is lent. Add the namespace to the chart's integrationNamespaces if that is not meant";
        for integration in integrations {
            if let Some(integration) = self.cluster.integrations.get(&integration) {
                let notice = Notice {
                    warning: true,
                    reason: "NotServed".into(),
                    action: "Lend",
                    note: note.into(),
                };
                self.events.publish(integration.as_ref(), notice);
            }
        }
    }
}
