//! The sweep: deletes objects that carry a link but belong to no running loan, such as leftovers of
//! a crash, and schedules passes for records whose retention has ended.
//!
//! It touches only objects with this installation's labels, in this installation's links namespace,
//! and trusts no cache: it reads each object and each record from the API server before it deletes
//! anything.

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
    ApiError, ApiErrorKind, Cluster, Events, Key, Mark, Namespaced, Watched, link_objects,
};
use crate::plan::conditions::Note;
use crate::runtime::Clock;

/// The interval of the sweeps.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// The delay after a sweep that failed.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// The interval at which the clock is checked, because it may be set.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);
/// The number of records with ended retention that one sweep reads: each is in memory until it is
/// deleted.
const READ_AT_A_TIME: usize = 1_000;
/// A Role is created before its record: a younger one may belong to a request whose link is being
/// issued.
const MADE_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// Sweeps the links namespace of this install.
pub struct Sweep {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The time.
    pub clock: Clock,
    /// Events for people.
    pub events: Events,
}

impl Sweep {
    /// Sweeps now and once an hour. All records have to be known first.
    pub async fn run(self) -> Infallible {
        self.report_unserved();
        loop {
            // A clock that is set during a sweep causes another sweep.
            let began = self.clock.now();
            let wait = match self.sweep().await {
                Ok(()) => EVERY,
                Err(error) => {
                    tracing::warn!(%error, "could not look for leftovers of ended loans; retrying");
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
        // Deleting it is the receiver's task.
        let due = self.cluster.records.due_history(self.clock.now());
        for record in due.iter().take(READ_AT_A_TIME) {
            self.cluster.records.live(record).await?;
        }
        self.sweep_kind::<Secret>(SignedDuration::ZERO).await?;
        self.sweep_kind::<Role>(MADE_WITHIN).await?;
        self.sweep_kind::<RoleBinding>(MADE_WITHIN).await
    }

    /// Deletes the objects of a kind that are older than this and belong to no loan.
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
            // One page is in memory at a time, because there may be as many objects as loans.
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

    /// Whether a loan of the grant with this uid is running.
    async fn is_stood_for(&self, grant_uid: &str) -> Result<bool, ApiError> {
        let runs = |record: &AccessRecord| record.spec.end.is_none();
        let of_it = Mark::GrantUid(grant_uid.to_owned());
        let known = self.cluster.records.having(&of_it);
        if known.iter().any(|record| runs(record)) {
            return Ok(true);
        }
        // A watch may lag behind. Only namespaces of this installation can have a record that is
        // not known yet.
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
                tracing::info!(kind = %K::kind(&()), object = %key, "deleted an object that \
                     belongs to no running loan");
                Ok(())
            }
            // An object that cannot be deleted must not keep the others.
            Err(error)
                if matches!(
                    error.kind,
                    ApiErrorKind::Forbidden(_) | ApiErrorKind::Invalid(_)
                ) =>
            {
                tracing::warn!(%error, "could not delete a leftover of an ended loan; the next \
                     sweep tries again");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Reports loans that run out because this installation no longer serves their integrations'
    /// namespace.
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
                "the operator no longer serves this namespace: its running loans continue to their \
                 end, and nothing more is lent there. If this is not intended, add it to \
                 --integration-namespaces"
            );
        }
        let message = "the operator no longer serves this namespace: running loans continue to their \
                    end, and nothing more is lent. If this is not intended, add the namespace to \
                    the chart's integrationNamespaces";
        for integration in integrations {
            if let Some(integration) = self.cluster.integrations.get(&integration) {
                let note = Note {
                    warning: true,
                    reason: "NotServed".into(),
                    message: message.into(),
                };
                self.events.tell(integration.as_ref(), "Lend", [note]);
            }
        }
    }
}
