//! Taking rights away from the operator, and giving them back: so each step can be made to fail on a real API server.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::Api;
use kube::api::PostParams;

use super::waits::{A_MOMENT, patiently};
use super::{LINKS, PLATFORM, TEAM, World};

/// The role with the operator's rights in the whole cluster, and those with its rights in the namespace of links and in that of tokens.
const ROLES: [(Option<&str>, &str); 3] = [
    (None, "keyloan-system.keyloan"),
    (Some(LINKS), "keyloan-links"),
    (Some(PLATFORM), "keyloan-tokens"),
];

impl World {
    /// Takes one right away; returns when the API server knows it. Of those on Secrets, the one in the namespace of links.
    pub async fn take_right(&mut self, resource: &str, verb: &str) {
        let mut group = None;
        for (number, (namespace, _)) in ROLES.iter().enumerate() {
            let rules = self.rules(number).await;
            let is_here = rules.iter().any(|rule| is_about(rule, resource));
            if !is_here || *namespace == Some(PLATFORM) {
                continue;
            }
            if !self.rights.iter().any(|(of, _)| *of == number) {
                self.rights.push((number, rules.clone()));
            }
            let mut left = Vec::new();
            for rule in rules {
                if is_about(&rule, resource) {
                    group = rule.api_groups.iter().flatten().next().cloned();
                }
                left.extend(without(rule, resource, verb));
            }
            self.set_rules(number, left).await;
        }
        let group = group.expect("a rule about the resource");
        self.until_allowed(&group, resource, verb, false).await;
        self.taken.push((group, resource.into(), verb.into()));
    }

    /// Gives back all that was taken.
    pub async fn give_rights_back(&mut self) {
        for (number, rules) in std::mem::take(&mut self.rights) {
            self.set_rules(number, rules).await;
        }
        for (group, resource, verb) in std::mem::take(&mut self.taken) {
            self.until_allowed(&group, &resource, &verb, true).await;
        }
    }

    /// Takes all rights away that the operator has in the namespace of links, as where somebody has deleted it.
    pub async fn take_links_namespace(&mut self) {
        let number = 1;
        let rules = self.rules(number).await;
        self.rights.push((number, rules));
        self.set_rules(number, Vec::new()).await;
        self.until_allowed("", "secrets", "get", false).await;
        self.taken
            .push((String::new(), "secrets".into(), "get".into()));
    }

    async fn rules(&self, number: usize) -> Vec<PolicyRule> {
        let rules = match ROLES[number] {
            (None, name) => {
                let roles: Api<ClusterRole> = Api::all(self.admin.clone());
                roles.get(name).await.expect("there").rules
            }
            (Some(namespace), name) => {
                let roles: Api<Role> = Api::namespaced(self.admin.clone(), namespace);
                roles.get(name).await.expect("there").rules
            }
        };
        rules.unwrap_or_default()
    }

    async fn set_rules(&self, number: usize, rules: Vec<PolicyRule>) {
        let params = PostParams::default();
        match ROLES[number] {
            (None, name) => {
                let roles: Api<ClusterRole> = Api::all(self.admin.clone());
                let mut role = roles.get(name).await.expect("there");
                role.rules = Some(rules);
                roles.replace(name, &params, &role).await.expect("replaced");
            }
            (Some(namespace), name) => {
                let roles: Api<Role> = Api::namespaced(self.admin.clone(), namespace);
                let mut role = roles.get(name).await.expect("there");
                role.rules = Some(rules);
                roles.replace(name, &params, &role).await.expect("replaced");
            }
        }
    }

    /// Waits until the operator has a right, or no longer has it: in the links namespace if it is
    /// about a link's objects.
    async fn until_allowed(&self, group: &str, resource: &str, verb: &str, allowed: bool) {
        let namespace = match group {
            "keyloan.dev" => TEAM,
            _ => LINKS,
        };
        self.until_allowed_in(namespace, group, resource, verb, allowed)
            .await;
    }

    /// Waits until the operator has a right in a namespace, or no longer has it.
    async fn until_allowed_in(
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

    /// Waits until a user is allowed to do something, or no longer is.
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

fn is_about(rule: &PolicyRule, resource: &str) -> bool {
    rule.resources.iter().flatten().any(|r| r == resource)
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
