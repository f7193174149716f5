//! Hands a link over: writes the Secret with its URL to the prepared place, and notes it in the
//! record.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

use crate::api::{AccessRecord, AccessRecordSpec, URL_KEY};
use crate::cluster::link_objects::{self, Content, SecretVersion};
use crate::cluster::{ApiError, ApiErrorKind};
use crate::onepassword::ShareUrl;
use crate::plan::delivery::closing::Closing;
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::steps::{HandOver, LinkFacts};
use crate::plan::observed::LinkSeen;

use super::issuing::{InHand, Issuing, LinkPlace};

/// How long an issued link is held while the API server does not answer; nobody else has it.
pub const LINK_HELD_FOR: Duration = Duration::from_secs(300);

impl Issuing {
    /// Writes the Secret. The URL exists only here until then, so a short failure of the API server
    /// is waited out. The error means that there is no Secret with the URL.
    pub(super) async fn hand_over(&self, step: &HandOver<InHand>) -> Result<(), Failure> {
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .without_max_times();
        let clock = &self.loans.clock;
        let began = clock.stopwatch();
        let written = (|| async {
            // By now another replica may lead, which counts this link as lost.
            self.intent_stands(&step.record).await?;
            self.write_secret(&step.place, &step.link, &step.facts)
                .await
        })
        .retry(patience)
        .when(|error| error.kind.may_pass() && began.elapsed() < LINK_HELD_FOR)
        .await;
        written.map_err(|error| {
            tracing::warn!(grant = %self.key.grant, %error, "1Password issued a link, but the operator cannot hand it over");
            // Each attempt is one more link that may open: the next one has to wait.
            Failure::NotKept(error.kind.quote())
        })
    }

    /// Whether the loan runs and its links are the same as when the intent was written: another
    /// leader changes them before it shares.
    async fn intent_stands(&self, record: &AccessRecord) -> Result<(), ApiError> {
        let key = self.key.record();
        let records = self.loans.cluster.records.urgent();
        let stands = |live: &AccessRecord| {
            live.uid() == record.uid()
                && live.spec.end.is_none()
                && live.spec.links == record.spec.links
        };
        match records.live(&key).await?.is_some_and(|live| stands(&live)) {
            true => Ok(()),
            false => Err(ApiError {
                verb: "hand over the link of",
                object: format!("AccessRecord {key}"),
                kind: ApiErrorKind::Conflict,
            }),
        }
    }

    /// Writes the Secret as it was when the place was made or, if it was changed since, as it is
    /// now. A Secret with a later link is not changed.
    async fn write_secret(
        &self,
        place: &LinkPlace,
        url: &ShareUrl,
        facts: &LinkFacts,
    ) -> Result<(), ApiError> {
        let role = &place.role_uid;
        let changed = match self.put_link(place.secret.as_ref(), role, url, facts).await {
            Err(error)
                if matches!(
                    error.kind,
                    ApiErrorKind::NotFound | ApiErrorKind::Conflict | ApiErrorKind::AlreadyExists
                ) =>
            {
                error
            }
            answer => return answer,
        };
        let link = self.loans.link(&self.key);
        let verbs = &self.loans.cluster.verbs.urgent();
        let Some(there) = verbs.get_metadata::<Secret>(&link).await? else {
            return self.put_link(None, role, url, facts).await;
        };
        let install = &self.loans.cluster.install;
        match link_objects::seen(&there.metadata, install, &self.key.uid) {
            // An earlier answer was lost: the Secret holds this very link.
            LinkSeen::Present { sequence, .. } if sequence == facts.sequence => Ok(()),
            LinkSeen::Present { sequence, .. } if sequence < facts.sequence => {
                let version = SecretVersion::of(&there.metadata);
                self.put_link(Some(&version), role, url, facts).await
            }
            _ => Err(changed),
        }
    }

    /// Puts the link into this version of the Secret or, without one, into a new Secret.
    async fn put_link(
        &self,
        version: Option<&SecretVersion>,
        role: &str,
        url: &ShareUrl,
        facts: &LinkFacts,
    ) -> Result<(), ApiError> {
        let verbs = &self.loans.cluster.verbs.urgent();
        let (install, uid) = (&self.loans.cluster.install, &self.key.uid);
        let content = Content {
            key: URL_KEY,
            text: url.expose(),
        };
        match version {
            Some(version) => {
                let patch = link_objects::secret_patch(uid, role, version, content, facts);
                let link = self.loans.link(&self.key);
                verbs.patch_unread::<Secret>(&link, &patch).await
            }
            None => {
                let secret = link_objects::secret(install, uid, role, content, facts);
                verbs.create_unread::<Secret>(&secret).await.map(drop)
            }
        }
    }

    /// Closes an intent: writes into the record what has become of it.
    pub(super) async fn close(
        &self,
        record: &AccessRecord,
        closing: &Closing,
    ) -> Result<(), ApiError> {
        let AccessRecordSpec {
            links,
            granted_at,
            expires_at,
            ..
        } = closing.applied(&record.spec);
        let change = json!({ "spec": {
            "links": links, "grantedAt": granted_at, "expiresAt": expires_at,
        } });
        self.loans
            .cluster
            .records
            .urgent()
            .swap(record, change)
            .await
            .map(drop)
    }
}
