//! The cluster as one person sees it: with their own kubeconfig and their own rights.
//!
//! A command that makes a few calls and ends does not need the operator's caches, back-off and
//! metrics.

mod access;
mod certificate;
mod objects;
mod refused;
mod survey;

use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client, Resource};

use super::Namespaced;
use crate::api::{GROUP, Identity, LONGEST_GROUP, MOST_GROUPS, PrincipalName, VERSION};
use certificate::OwnCertificate;

pub use access::PersonAccess;
pub use objects::{Change, Link, Page, Scope};
pub use refused::{CallError, Refused};
pub use survey::ServiceAccount;

/// The default timeout of a call.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One person's access to the cluster.
#[derive(Clone)]
pub struct Person {
    client: Client,
    namespace: String,
    /// The timeout of a call.
    timeout: Duration,
    /// The client certificate that the person signs in with, if any.
    certificate: Option<OwnCertificate>,
}

/// What the API server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    /// The version of Kubernetes, such as `v1.37.2`.
    pub kubernetes: String,
    /// Whether Keyloan's kinds are installed.
    pub keyloan: bool,
}

impl Person {
    /// The namespace that the person named, or that of their context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Who this person is to the API server, without the system's groups (`system:...`), which say
    /// nothing about a person.
    pub async fn identity(&self) -> Result<Identity, CallError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (parameters, review) = (PostParams::default(), SelfSubjectReview::default());
        let call = api.create(&parameters, &review);
        let review = self.bounded("find out", "who you are", call).await?;
        let user = review.status.and_then(|s| s.user_info).unwrap_or_default();
        let groups = user.groups.unwrap_or_default();
        Ok(Identity {
            username: user.username.unwrap_or_default(),
            groups: named(groups),
            email: None,
        })
    }

    /// Whether this person may use a verb on one object.
    pub async fn may<K: Namespaced>(
        &self,
        verb: &str,
        namespace: &str,
        name: &str,
    ) -> Result<bool, CallError> {
        let asked = ResourceAttributes {
            group: Some(GROUP.into()),
            resource: Some(K::plural(&()).into_owned()),
            verb: Some(verb.into()),
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(asked),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let parameters = PostParams::default();
        let call = api.create(&parameters, &review);
        let answer = self.bounded("find out", "what you may do", call).await?;
        Ok(answer.status.is_some_and(|s| s.allowed))
    }

    /// The versions of Kubernetes and Keyloan.
    pub async fn server_version(&self) -> Result<ServerVersion, CallError> {
        let call = self.client.apiserver_version();
        let info = self
            .bounded("read", "the API server's version", call)
            .await?;
        let group_version = format!("{GROUP}/{VERSION}");
        let call = self.client.list_api_group_resources(&group_version);
        let keyloan = match self.bounded("look up", "Keyloan's kinds", call).await {
            Ok(_) => true,
            Err(error) if is_unknown(&error.refused) => false,
            Err(error) => return Err(error),
        };
        Ok(ServerVersion {
            kubernetes: info.git_version,
            keyloan,
        })
    }

    fn api<K: Namespaced>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn bounded<T>(
        &self,
        verb: &'static str,
        object: impl Into<String>,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, CallError> {
        let object = object.into();
        let answer = tokio::time::timeout(self.timeout, call).await;
        let is_answered = matches!(answer, Ok(Ok(_)));
        tracing::debug!(verb, object, is_answered, "called the API server");
        let refused = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => match (Refused::of(error), self.certificate) {
                (Refused::NotSignedIn(why), Some(certificate)) => {
                    Refused::NotSignedIn(format!("{why}; {}", certificate.told()))
                }
                (refused, _) => refused,
            },
            Err(_) => Refused::Timeout,
        };
        Err(CallError {
            verb,
            object,
            refused,
        })
    }
}

/// The groups of an identity, as the admission policy counts them. If there are more than an
/// identity may hold, none is sent: then the policy's message explains the problem, instead of the
/// schema's.
fn named(groups: Vec<String>) -> Vec<PrincipalName> {
    let own = groups.into_iter().filter(|group| {
        let length = group.chars().count();
        (1..=LONGEST_GROUP).contains(&length) && !group.starts_with("system:")
    });
    let mut own: Vec<_> = own.map(PrincipalName).collect();
    if own.len() > MOST_GROUPS {
        own.clear();
    }
    own
}

/// Whether the API server reports that there is no such thing; other errors say nothing about that.
fn is_unknown(refused: &Refused) -> bool {
    matches!(refused, Refused::NotFound | Refused::NotInstalled)
}

/// The name of an object in messages: `AccessGrant team-a/alice-db`.
fn called<K: Resource<DynamicType = ()>>(namespace: &str, name: &str) -> String {
    format!("{} {namespace}/{name}", K::kind(&()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_no_rule_can_name_are_left_out() {
        let longest = "ö".repeat(LONGEST_GROUP);
        let groups = vec![
            "engineering".into(),
            "system:authenticated".into(),
            longest.clone(),
            format!("{longest}x"),
            String::new(),
        ];
        let own = ["engineering".into(), longest].map(PrincipalName);
        assert_eq!(named(groups), own);
        let many = |n: usize| (0..n).map(|n| format!("group-{n}")).collect();
        assert_eq!(named(many(MOST_GROUPS)).len(), MOST_GROUPS);
        assert!(named(many(MOST_GROUPS + 1)).is_empty());
    }
}
