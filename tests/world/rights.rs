//! Taking rights away from the operator, and giving them back: so each step can be made to fail on a real API server.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::Api;
use kube::api::PostParams;

use super::waits::{A_MOMENT, patiently};
use super::{TEAM, World};

/// The roles that have all the operator's rights in all namespaces.
const ROLES: [&str; 2] = ["keyloan", "keyloan-enrolled"];

impl World {
    /// Takes one right away; returns when the API server knows it.
    pub async fn take_right(&mut self, resource: &str, verb: &str) {
        let roles: Api<ClusterRole> = Api::all(self.admin.clone());
        let mut group = None;
        for name in ROLES {
            let mut role = roles.get(name).await.expect("there");
            let rules = role.rules.take().expect("rules");
            if !self.rights.iter().any(|(of, _)| of == name) {
                self.rights.push((name.into(), rules.clone()));
            }
            let mut left = Vec::new();
            for rule in rules {
                if rule.resources.iter().flatten().any(|r| r == resource) {
                    group = rule.api_groups.iter().flatten().next().cloned();
                }
                left.extend(without(rule, resource, verb));
            }
            role.rules = Some(left);
            roles
                .replace(name, &PostParams::default(), &role)
                .await
                .expect("replaced");
        }
        let group = group.expect("a rule about the resource");
        self.until_allowed(&group, resource, verb, false).await;
        self.taken.push((group, resource.into(), verb.into()));
    }

    /// Gives back all that was taken.
    pub async fn give_rights_back(&mut self) {
        let roles: Api<ClusterRole> = Api::all(self.admin.clone());
        for (name, rules) in std::mem::take(&mut self.rights) {
            let mut role = roles.get(&name).await.expect("there");
            role.rules = Some(rules);
            roles
                .replace(&name, &PostParams::default(), &role)
                .await
                .expect("replaced");
        }
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
        let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
        let what = ResourceAttributes {
            group: Some(group.into()),
            resource: Some(resource.into()),
            verb: Some(verb.into()),
            namespace: Some(namespace.into()),
            ..ResourceAttributes::default()
        };
        self.until_may(&user, what, allowed).await;
    }

    /// Waits until somebody may do something, or may no more.
    pub(super) async fn until_may(&self, user: &str, what: ResourceAttributes, allowed: bool) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.admin.clone());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.into()),
                resource_attributes: Some(what),
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
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently("a right to change", known).await;
    }
}

/// A rule less one verb on one resource.
fn without(rule: PolicyRule, resource: &str, verb: &str) -> Vec<PolicyRule> {
    let (concerned, others): (Vec<String>, Vec<String>) = rule
        .resources
        .iter()
        .flatten()
        .cloned()
        .partition(|r| r == resource);
    if concerned.is_empty() {
        return vec![rule];
    }
    let verbs = rule.verbs.iter().filter(|v| *v != verb).cloned().collect();
    let mut rules = vec![PolicyRule {
        resources: Some(concerned),
        verbs,
        ..rule.clone()
    }];
    if !others.is_empty() {
        rules.push(PolicyRule {
            resources: Some(others),
            ..rule
        });
    }
    rules
}
