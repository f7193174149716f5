//! Taking a link back as far as that goes: deleting its Secret, and its Role, with which the RoleBinding goes.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::Role;
use kube::ResourceExt;

use crate::cluster::{ApiError, Deleted, with_retries};
use crate::plan::observed::Observed;

use super::memory::Memory;
use super::observe::is_forbidden;
use super::{LoanKey, Loans};

impl Loans {
    /// Deletes the Secret of a loan's link. That it cannot be deleted is remembered and is no error: it must not keep the loan from ending.
    pub(super) async fn delete_link(
        &self,
        key: &LoanKey,
        seen: &Observed,
        memory: &Memory,
    ) -> Result<(), ApiError> {
        // A record that only the watch has not told of yet knows the link.
        let is_unknown = seen.record.is_none();
        if is_unknown && self.cluster.records.live(&key.record()).await?.is_some() {
            return Ok(());
        }
        if let Err(error) = self.try_to_delete_link(key, memory).await {
            tracing::warn!(grant = %key.grant, %error, "the Secret of a link that is over stays for now; its deletion is tried again");
            memory.note_undeleted(&error.kind, self.clock.now());
        }
        Ok(())
    }

    /// First the Secret, so that nobody reads the link any more; then its Role, with which the RoleBinding goes. Where the Secret stays, its
    /// Role goes nevertheless: it is what lets the requester read it.
    async fn try_to_delete_link(&self, key: &LoanKey, memory: &Memory) -> Result<(), ApiError> {
        let secret = with_retries(|| self.delete_secret(key, memory)).await;
        if let Err(error) = with_retries(|| self.delete_role(key)).await {
            // It lets nobody read anything any more, and the sweep comes by.
            tracing::warn!(grant = %key.grant, %error, "the Role of a link that is over stays for now");
        }
        secret
    }

    async fn delete_role(&self, key: &LoanKey) -> Result<(), ApiError> {
        let (link, verbs) = (self.link(key), self.cluster.verbs.urgent());
        let Some(role) = verbs.get_metadata::<Role>(&link).await? else {
            return Ok(());
        };
        let uid = role.uid().unwrap_or_default();
        verbs.delete::<Role>(&link, &uid).await.map(drop)
    }

    async fn delete_secret(&self, key: &LoanKey, memory: &Memory) -> Result<(), ApiError> {
        let (link, verbs) = (self.link(key), self.cluster.verbs.urgent());
        // The watch may not have told of the Secret yet, or not of its end.
        let live = verbs.get_metadata::<Secret>(&link).await;
        if is_forbidden(&live) {
            memory.note_reach(false);
            return Ok(());
        }
        let (uid, outcome) = match live? {
            Some(mark) => {
                let uid = mark.uid().unwrap_or_default();
                let outcome = verbs.delete::<Secret>(&link, &uid).await?;
                (uid, outcome)
            }
            None => {
                let told = self.cluster.secrets.get(&link);
                let uid = told.and_then(|mark| mark.uid());
                (uid.unwrap_or_default(), Deleted::Gone)
            }
        };
        memory.note_deleted(uid, outcome);
        Ok(())
    }
}
