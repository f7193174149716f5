//! Takes a link back as far as possible: deletes its Secret, and its Role, with which the
//! RoleBinding goes.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::Role;
use kube::ResourceExt;

use crate::cluster::{ApiError, Deleted, with_retries};
use crate::plan::observed::Observed;

use crate::controllers::loan::key::LoanKey;
use crate::controllers::loan::loans::Loans;
use crate::controllers::loan::memory::Memory;
use crate::controllers::loan::observe::is_forbidden;

impl Loans {
    /// Deletes the Secret of a loan's link. A failure is remembered and is not an error: it must
    /// not keep the loan from ending.
    pub(in crate::controllers::loan) async fn delete_link(
        &self,
        key: &LoanKey,
        seen: &Observed,
        memory: &Memory,
    ) -> Result<(), ApiError> {
        if self.decided_from_an_old_record(key, seen).await? {
            return Ok(());
        }
        if let Err(error) = self.try_to_delete_link(key, memory).await {
            tracing::warn!(grant = %key.grant, %error, "could not delete the Secret of an ended \
                 link; retrying");
            memory.note_undeleted(&error.kind, self.clock.now());
        }
        Ok(())
    }

    /// Whether the record has changed and the watch has not reported it yet, for example where a
    /// replica has just taken the lead. The loan may then run on with a link that the seen record
    /// does not know. The next pass sees the current record.
    async fn decided_from_an_old_record(
        &self,
        key: &LoanKey,
        seen: &Observed,
    ) -> Result<bool, ApiError> {
        let version = match &seen.record {
            // The end of a loan is never taken back.
            Some(record) if record.spec.end.is_some() => return Ok(false),
            Some(record) => record.resource_version(),
            None => None,
        };
        match self.cluster.records.live(&key.record()).await {
            Ok(live) => Ok(live.is_some_and(|live| live.resource_version() != version)),
            // A link is taken back even if the record cannot be read again.
            Err(error) if seen.record.is_some() => {
                tracing::debug!(grant = %key.grant, %error, "could not read a record again");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes the Secret first, so that nobody can read the link any longer; then its Role, with
    /// which the RoleBinding goes. If the Secret stays, its Role is deleted nevertheless, because
    /// it lets the requester read the Secret.
    async fn try_to_delete_link(&self, key: &LoanKey, memory: &Memory) -> Result<(), ApiError> {
        let secret = with_retries(|| self.delete_secret(key, memory)).await;
        if let Err(error) = with_retries(|| self.delete_role(key)).await {
            // The Role no longer lets anyone read anything, and the sweep deletes it later.
            tracing::warn!(grant = %key.grant, %error, "could not delete the Role of an ended \
                 link; the next sweep tries again");
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
        // The watch may not have reported the Secret yet, or its end.
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
