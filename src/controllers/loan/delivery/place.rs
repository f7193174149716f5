//! The place of a link, made before the link: a share cannot be undone, so nothing is shared that
//! cannot be handed over.
//!
//! The Role and the RoleBinding are really created. The Secret is tried without the URL in a dry
//! run, which the API server answers as it would answer the real write, including quotas, policies
//! and webhooks.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::api::Identity;
use crate::cluster::link_objects::{self, NO_URL, SecretVersion};
use crate::cluster::{ApiError, ApiErrorKind, Deleted, Key, Namespaced, with_retries};
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::steps::LinkFacts;
use crate::plan::observed::LinkSeen;

use super::issuing::{Issuing, LinkPlace};

impl Issuing {
    /// Makes a place for a link with this content. The inner error says what refuses it.
    pub(super) async fn make_place(
        &self,
        requester: &Identity,
        facts: &LinkFacts,
    ) -> Result<Result<LinkPlace, Failure>, ApiError> {
        let place = async {
            let role_uid = self.let_requester_read(requester).await?;
            let secret = with_retries(|| self.try_secret(&role_uid, facts)).await?;
            Ok(LinkPlace { role_uid, secret })
        };
        let error: ApiError = match place.await {
            Ok(place) => return Ok(Ok(place)),
            Err(error) => error,
        };
        tracing::warn!(grant = %self.key.grant, %error, "could not prepare the objects for a link, so no link is issued");
        let links_namespace = &self.loans.cluster.install.links_namespace;
        match &error.kind {
            // Only the Secret is tried; existing objects of the other kinds are compared.
            ApiErrorKind::AlreadyExists if error.verb == "dry-run" => {
                let secret = self.seen.secret_of(&self.key.uid);
                Ok(Err(Failure::SecretTaken(secret)))
            }
            // The cached object was stale: the loan is looked at again.
            ApiErrorKind::Conflict | ApiErrorKind::AlreadyExists => Err(error),
            ApiErrorKind::NotFound => Ok(Err(Failure::NoPlace {
                why: format!("write to namespace {links_namespace}: it does not exist"),
                refused: true,
            })),
            trouble => Ok(Err(Failure::NoPlace {
                why: format!("write {}: {}", error.object, trouble.quote()),
                refused: trouble.is_refusal(),
            })),
        }
    }

    /// Ensures that the Role and the RoleBinding exist; returns the Role's uid.
    pub(super) async fn let_requester_read(
        &self,
        requester: &Identity,
    ) -> Result<String, ApiError> {
        let (install, uid) = (&self.loans.cluster.install, &self.key.uid);
        let role = link_objects::role(install, uid);
        let role_uid = with_retries(|| self.put(&role, link_objects::is_same_role)).await?;
        let binding = link_objects::role_binding(install, uid, &role_uid, requester);
        with_retries(|| self.put(&binding, link_objects::is_same_binding)).await?;
        Ok(role_uid)
    }

    /// Tries whether the Secret could be written; returns the version of an existing one.
    async fn try_secret(
        &self,
        role_uid: &str,
        facts: &LinkFacts,
    ) -> Result<Option<SecretVersion>, ApiError> {
        let verbs = &self.loans.cluster.verbs;
        let (install, uid) = (&self.loans.cluster.install, &self.key.uid);
        let link = self.loans.link(&self.key);
        if let LinkSeen::Present { .. } = self.seen.link
            && let Some(there) = verbs.get_metadata::<Secret>(&link).await?
        {
            let version = SecretVersion::of(&there.metadata);
            let patch = link_objects::secret_patch(uid, role_uid, &version, NO_URL, facts);
            verbs.dry_run_patch::<Secret>(&link, &patch).await?;
            return Ok(Some(version));
        }
        let secret = link_objects::secret(install, uid, role_uid, NO_URL, facts);
        verbs.dry_run::<Secret>(&secret).await?;
        Ok(None)
    }

    /// Creates an object, or finds it; returns its uid. A different object with its name, left by
    /// an earlier attempt or planted, has to go first.
    async fn put<K: Namespaced>(
        &self,
        wanted: &K,
        is_same: fn(&K, &K) -> bool,
    ) -> Result<String, ApiError> {
        let verbs = &self.loans.cluster.verbs;
        let taken = match verbs.create_unread(wanted).await {
            Ok(uid) => return Ok(uid),
            Err(error) if error.kind == ApiErrorKind::AlreadyExists => error,
            Err(error) => return Err(error),
        };
        let key = Key::of(wanted);
        if let Some(there) = verbs.get::<K, K>(&key).await? {
            let uid = there.uid().unwrap_or_default();
            if is_same(&there, wanted) {
                return Ok(uid);
            }
            tracing::warn!(
                object = taken.object,
                "an object with this name does not belong to this link; deleting it"
            );
            if verbs.delete::<K>(&key, &uid).await? == Deleted::Going {
                return Err(ApiError {
                    kind: ApiErrorKind::InTheWay,
                    ..taken
                });
            }
        }
        verbs.create_unread(wanted).await
    }
}
