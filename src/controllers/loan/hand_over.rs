//! Handing a link over: the Secret with its URL, the Role and RoleBinding that let the requester read it, and the record's word for it.

use backon::{ExponentialBuilder, Retryable};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

use crate::api::{AccessRecord, LinkOutcome, LinkRecord, Time};
use crate::cluster::link_objects::{self, LinkFacts};
use crate::cluster::{ApiError, Deleted, Key, Namespaced, SecretMark, Trouble};
use crate::onepassword::ShareUrl;
use crate::plan::observed::LinkSeen;

use super::issue::Issuing;

impl Issuing<'_> {
    /// The URL exists only here until the Secret is written, so the API server's bad moments are waited out.
    pub(super) async fn hand_over(
        &self,
        record: &AccessRecord,
        url: &ShareUrl,
        facts: &LinkFacts,
    ) -> Result<(), ApiError> {
        let patience = ExponentialBuilder::default()
            .with_min_delay(std::time::Duration::from_millis(200))
            .with_max_delay(std::time::Duration::from_secs(5))
            .with_max_times(8);
        let secret = (|| self.write_secret(record, url, facts))
            .retry(patience)
            .when(|error| matches!(error.trouble, Trouble::Timeout | Trouble::Unavailable(_)))
            .await?;
        let uid = secret.uid().unwrap_or_default();
        self.let_requester_read(record, &uid).await?;
        let (issued_at, expires_at) = (Time(facts.issued_at), Time(facts.expires_at));
        self.close_issued(
            record,
            facts.sequence,
            issued_at,
            expires_at,
            facts.item_version,
        )
        .await
    }

    async fn write_secret(
        &self,
        record: &AccessRecord,
        url: &ShareUrl,
        facts: &LinkFacts,
    ) -> Result<SecretMark, ApiError> {
        let verbs = &self.loans.cluster.verbs;
        let grant = &record.spec.grant;
        match &self.seen.link {
            LinkSeen::Present { .. } => {
                let live = verbs.get_metadata::<Secret>(&self.key.link()).await?;
                match live.and_then(|mark| mark.uid()) {
                    Some(uid) => {
                        let patch = link_objects::secret_patch(&uid, url.expose(), facts);
                        verbs.patch_unread::<Secret>(&self.key.link(), &patch).await
                    }
                    None => {
                        verbs
                            .create_unread::<Secret>(&link_objects::secret(
                                grant,
                                url.expose(),
                                facts,
                            ))
                            .await
                    }
                }
            }
            _ => match verbs
                .create_unread::<Secret>(&link_objects::secret(grant, url.expose(), facts))
                .await
            {
                Ok(secret) => Ok(secret),
                // An answer that got lost before: the Secret is there, with this very link.
                Err(error) if error.trouble == Trouble::AlreadyExists => {
                    let live = verbs.get_metadata::<Secret>(&self.key.link()).await?;
                    live.filter(|s| matches!(link_objects::seen(&s.metadata, &grant.uid), LinkSeen::Present { sequence, .. } if sequence == facts.sequence))
                        .ok_or(error)
                }
                Err(error) => Err(error),
            },
        }
    }

    pub(super) async fn let_requester_read(
        &self,
        record: &AccessRecord,
        secret_uid: &str,
    ) -> Result<(), ApiError> {
        let grant = &record.spec.grant;
        let role = link_objects::role(grant, secret_uid);
        self.put(&role, link_objects::is_same_role).await?;
        let binding = link_objects::role_binding(grant, secret_uid, &record.spec.requester);
        self.put(&binding, link_objects::is_same_binding).await
    }

    /// Creates an object. One of its name that is there and is not just it, left by a former Secret or planted, has to go first.
    async fn put<K: Namespaced>(
        &self,
        wanted: &K,
        is_same: fn(&K, &K) -> bool,
    ) -> Result<(), ApiError> {
        let verbs = &self.loans.cluster.verbs;
        let taken = match verbs.create(wanted).await {
            Ok(_) => return Ok(()),
            Err(error) if error.trouble == Trouble::AlreadyExists => error,
            Err(error) => return Err(error),
        };
        let key = Key::of(wanted);
        if let Some(there) = verbs.get::<K>(&key).await? {
            if is_same(&there, wanted) {
                return Ok(());
            }
            tracing::warn!(
                object = taken.object,
                "one that is not this link's is in its place; it is deleted"
            );
            let uid = there.uid().unwrap_or_default();
            if verbs.delete::<K>(&key, &uid).await? == Deleted::Going {
                return Err(ApiError {
                    trouble: Trouble::InTheWay,
                    ..taken
                });
            }
        }
        verbs.create(wanted).await.map(drop)
    }

    /// Notes in the record that a link is in its Secret.
    pub(super) async fn close_issued(
        &self,
        record: &AccessRecord,
        sequence: u32,
        issued_at: Time,
        expires_at: Time,
        item_version: u32,
    ) -> Result<(), ApiError> {
        let note = |link: &mut LinkRecord| {
            link.outcome = Some(LinkOutcome::Issued);
            link.issued_at = Some(issued_at.clone());
            link.expires_at = Some(expires_at.clone());
            link.item_version = Some(item_version);
        };
        self.close(record, sequence, note).await
    }

    /// Closes an intent: notes in the record what became of it.
    pub(super) async fn close(
        &self,
        record: &AccessRecord,
        sequence: u32,
        note: impl Fn(&mut LinkRecord),
    ) -> Result<(), ApiError> {
        let mut links = record.spec.links.clone();
        let closed = links.iter_mut().filter(|l| l.sequence == sequence);
        closed.for_each(note);
        self.loans
            .cluster
            .records
            .swap(record, json!({ "spec": { "links": links } }))
            .await
            .map(drop)
    }
}
