//! Two questions to the API server: who are we, and does it refuse a request from us under a false
//! name?

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::ObjectMeta;

use super::errors::{ApiError, ApiErrorKind, with_retries};
use super::verbs::Verbs;
use crate::api::{
    AccessGrant, AccessGrantSpec, Identity, IntegrationName, IntegrationRef, ItemRef,
    PrincipalName, Time, TitleOrId,
};
use crate::plan::boundary::ProbeAnswer;

/// A username that belongs to nobody.
const FALSE_NAME: &str = "keyloan:nobody";

/// Who the operator is to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnIdentity {
    /// The username, and the groups without the system's.
    pub identity: Identity,
    /// The API server's time in the response, if given.
    pub at: Option<Timestamp>,
}

impl OwnIdentity {
    /// The namespace of the operator's ServiceAccount, if it runs as one.
    pub fn namespace(&self) -> Option<&str> {
        let account = self
            .identity
            .username
            .strip_prefix("system:serviceaccount:")?;
        account.split_once(':').map(|(namespace, _)| namespace)
    }
}

/// Asks the API server who we are.
pub async fn who_am_i(verbs: &Verbs) -> Result<OwnIdentity, ApiError> {
    let question = SelfSubjectReview::default();
    let review: SelfSubjectReview = with_retries(|| verbs.review(&question)).await?;
    let user = review
        .status
        .and_then(|status| status.user_info)
        .unwrap_or_default();
    let groups = user.groups.unwrap_or_default();
    let identity = Identity {
        username: user.username.unwrap_or_default(),
        groups: groups
            .into_iter()
            .filter(|group| !group.starts_with("system:"))
            .map(PrincipalName)
            .collect(),
        email: None,
    };
    Ok(OwnIdentity {
        identity,
        at: review.metadata.creation_timestamp.map(|time| time.0),
    })
}

/// Dry-runs a grant that is correct except for its requester's username. Our policy refuses that
/// username. If a mutating policy first replaces it with the true name, our policy refuses the
/// operator, which cannot request items.
pub async fn probe_false_identity(
    verbs: &Verbs,
    namespace: &str,
    own: &Identity,
    now: Timestamp,
) -> ProbeAnswer {
    let grant = grant(namespace, own, now);
    match with_retries(|| verbs.dry_run(&grant)).await {
        Ok(_) => ProbeAnswer::Passed,
        Err(error) => match error.kind {
            ApiErrorKind::Timeout | ApiErrorKind::Unavailable(_) => {
                ProbeAnswer::None(error.to_string())
            }
            ApiErrorKind::Forbidden(message) | ApiErrorKind::Invalid(message) => {
                ProbeAnswer::Refused(message)
            }
            ApiErrorKind::NotFound
            | ApiErrorKind::AlreadyExists
            | ApiErrorKind::Conflict
            | ApiErrorKind::InTheWay => ProbeAnswer::Refused(error.to_string()),
        },
    }
}

fn grant(namespace: &str, own: &Identity, now: Timestamp) -> AccessGrant {
    // A dry run stores nothing; if the grant were stored, it would be void at once.
    let void = now
        .saturating_sub(SignedDuration::from_hours(1))
        .unwrap_or(now);
    let void = Timestamp::from_second(void.as_second()).unwrap_or(void);
    let requester = Identity {
        username: FALSE_NAME.into(),
        ..own.clone()
    };
    AccessGrant {
        metadata: ObjectMeta {
            generate_name: Some("keyloan-boundary-".into()),
            namespace: Some(namespace.into()),
            ..ObjectMeta::default()
        },
        spec: AccessGrantSpec {
            integration: IntegrationRef {
                name: IntegrationName("boundary".into()),
                namespace: None,
            },
            item: ItemRef {
                vault: TitleOrId("none".into()),
                item: TitleOrId("none".into()),
            },
            duration: None,
            recipients: None,
            view_once: None,
            justification: Some(
                "a dry run by which the operator checks that the admission policies are enforced"
                    .into(),
            ),
            flow: None,
            not_after: Some(Time(void)),
            requester: Some(requester),
        },
        status: None,
    }
}
