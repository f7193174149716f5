//! The objects that carry links are the operator's own; and the only rights that it gives anybody are those to read one of them.

use super::{
    Boundary,
    policy::{Policy, Rule, Scope, same},
};
use crate::api::LINK_PREFIX;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Refuse link objects by others, and any other Role or RoleBinding by the operator.
pub fn policies(boundary: &Boundary) -> Vec<Policy> {
    vec![
        secrets(boundary),
        rights(boundary, &ROLES),
        rights(boundary, &ROLE_BINDINGS),
        cluster_rights(boundary),
    ]
}

/// Roles or RoleBindings.
struct Rights {
    policy: &'static str,
    resource: &'static [&'static str],
    /// All that says who may do what.
    content: &'static [&'static str],
    /// What the content of the operator's own has to be.
    shape: &'static str,
}

const ROLES: Rights = Rights {
    policy: "keyloan-link-roles",
    resource: &["roles"],
    content: &["rules"],
    shape: "has(object.rules) && object.rules.size() == 1\n\
            && object.rules.all(rule, rule.verbs == ['get']\n\
            && has(rule.apiGroups) && rule.apiGroups == ['']\n\
            && has(rule.resources) && rule.resources == ['secrets']\n\
            && has(rule.resourceNames) && rule.resourceNames == [object.metadata.name])",
};

const ROLE_BINDINGS: Rights = Rights {
    policy: "keyloan-link-rolebindings",
    resource: &["rolebindings"],
    content: &["roleRef", "subjects"],
    shape: "object.roleRef.kind == 'Role' && object.roleRef.name == object.metadata.name\n\
            && has(object.subjects) && object.subjects.size() == 1\n\
            && object.subjects.all(subject, subject.kind in ['User', 'ServiceAccount'])",
};

fn secrets(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-link-secrets",
        scope: Scope::Kubernetes("", &["secrets"]),
        operations: &["CREATE", "UPDATE"],
        conditions: vec![(
            "is-a-link",
            format!("object.metadata.name.startsWith('{LINK_PREFIX}')"),
        )],
        variables: variables(boundary, &["data", "type", "immutable"]),
        rules: vec![operators_only("variables.isOurs")],
    }
}

fn rights(boundary: &Boundary, rights: &Rights) -> Policy {
    let mut variables = variables(boundary, rights.content);
    variables.push(("isLinkOfOne", rights.shape.into()));
    Policy {
        name: rights.policy,
        scope: Scope::Kubernetes(RBAC, rights.resource),
        operations: &["CREATE", "UPDATE"],
        conditions: vec![],
        variables,
        rules: vec![
            operators_only(&format!(
                "!object.metadata.name.startsWith('{LINK_PREFIX}') || variables.isOurs"
            )),
            Rule {
                expression: format!(
                    "!(request.userInfo.username in variables.operators)\n\
                     || (object.metadata.name.matches('^{LINK_PREFIX}[0-9a-f-]{{36}}$') && variables.isLinkOfOne)"
                ),
                message: "keyloan-link: Keyloan's operator gives nobody any right but the one to \
                          get the Secret of one link: give other rights under your own name"
                    .into(),
                message_expression: None,
            },
        ],
    }
}

fn cluster_rights(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-link-clusterroles",
        scope: Scope::Kubernetes(RBAC, &["clusterroles", "clusterrolebindings"]),
        operations: &["CREATE", "UPDATE"],
        conditions: vec![],
        variables: vec![boundary.operators_variable()],
        rules: vec![Rule {
            expression: "!(request.userInfo.username in variables.operators)".into(),
            message: "keyloan-link: Keyloan's operator gives nobody rights in the whole cluster: \
                      give them under your own name"
                .into(),
            message_expression: None,
        }],
    }
}

fn operators_only(allowed: &str) -> Rule {
    Rule {
        expression: allowed.into(),
        message: format!(
            "keyloan-link: only Keyloan's operator writes what is named {LINK_PREFIX}...: choose \
             another name, or delete it if it should go"
        ),
        message_expression: None,
    }
}

/// Garbage collection updates metadata, and who re-encrypts what is stored writes each object as it is. What has been deleted
/// may lose the finalizers that others have put there.
fn variables(boundary: &Boundary, content: &[&str]) -> Vec<(&'static str, String)> {
    let all_same = |members: &[&str]| -> String {
        let members: Vec<_> = members.iter().map(|member| same(member)).collect();
        members.join("\n&& ")
    };
    let metadata = [
        "metadata.labels",
        "metadata.annotations",
        "metadata.ownerReferences",
    ];
    let finalizers = same("metadata.finalizers");
    vec![
        boundary.operators_variable(),
        boundary.deleters_variable(),
        ("sameContent", all_same(content)),
        (
            "sameMetadata",
            format!(
                "{}\n&& (has(oldObject.metadata.deletionTimestamp)\n|| {finalizers})",
                all_same(&metadata)
            ),
        ),
        (
            "isOurs",
            "request.userInfo.username in variables.operators\n\
             || (request.operation == 'UPDATE' && variables.sameContent\n\
             && (variables.sameMetadata || request.userInfo.username in variables.deleters))"
                .into(),
        ),
    ]
}
