//! Taking rights away from the operator, and giving them back: so each step can be made to fail on a real API server.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::Api;
use kube::api::PostParams;

use super::waits::patiently;
use super::{TEAM, World};

/// The role that has all the operator's rights in all namespaces.
const ROLE: &str = "keyloan";

impl World {
    /// Takes one right away; returns when the API server knows it.
    pub async fn take_right(&mut self, resource: &str, verb: &str) {
        let roles: Api<ClusterRole> = Api::all(self.admin.clone());
        let mut role = roles.get(ROLE).await.expect("there");
        self.rights
            .get_or_insert_with(|| role.rules.clone().expect("rules"));
        let mut group = String::new();
        let mut rules = Vec::new();
        for rule in role.rules.take().expect("rules") {
            let concerned = rule.resources.iter().flatten().any(|r| r == resource);
            if !concerned {
                rules.push(rule);
                continue;
            }
            group = rule
                .api_groups
                .iter()
                .flatten()
                .next()
                .cloned()
                .expect("one");
            let others = |r: &PolicyRule| {
                r.resources
                    .iter()
                    .flatten()
                    .filter(|r| *r != resource)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            if !others(&rule).is_empty() {
                rules.push(PolicyRule {
                    resources: Some(others(&rule)),
                    ..rule.clone()
                });
            }
            let verbs = rule.verbs.iter().filter(|v| *v != verb).cloned().collect();
            rules.push(PolicyRule {
                resources: Some(vec![resource.into()]),
                verbs,
                ..rule
            });
        }
        role.rules = Some(rules);
        roles
            .replace(ROLE, &PostParams::default(), &role)
            .await
            .expect("replaced");
        self.until_allowed(&group, resource, verb, false).await;
        self.taken.push((group, resource.into(), verb.into()));
    }

    /// Gives back all that was taken.
    pub async fn give_rights_back(&mut self) {
        let roles: Api<ClusterRole> = Api::all(self.admin.clone());
        let mut role = roles.get(ROLE).await.expect("there");
        role.rules = self.rights.take();
        roles
            .replace(ROLE, &PostParams::default(), &role)
            .await
            .expect("replaced");
        for (group, resource, verb) in std::mem::take(&mut self.taken) {
            self.until_allowed(&group, &resource, &verb, true).await;
        }
    }

    async fn until_allowed(&self, group: &str, resource: &str, verb: &str, allowed: bool) {
        self.until_allowed_in(TEAM, group, resource, verb, allowed)
            .await;
    }

    /// Waits until the operator has a right in a namespace, or has it no more.
    pub(super) async fn until_allowed_in(
        &self,
        namespace: &str,
        group: &str,
        resource: &str,
        verb: &str,
        allowed: bool,
    ) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.admin.clone());
        let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.into()),
                    resource: Some(resource.into()),
                    verb: Some(verb.into()),
                    namespace: Some(namespace.into()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let known = async {
            loop {
                let answer = reviews
                    .create(&PostParams::default(), &review)
                    .await
                    .expect("an answer");
                if answer.status.is_some_and(|s| s.allowed) == allowed {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        patiently("a right to change", known).await;
    }
}
