//! Only the operator writes the objects that carry links, in its links namespace. It writes and
//! deletes nothing else there, and grants only the right to read one link.

use super::{
    boundary::Boundary,
    policy::{Policy, Rule, Scope, all_same, same},
};
use crate::api::{LINK_KEYS, LINK_PREFIX, LINK_TYPE, SECRET_LABEL};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Refuses link objects of others, other objects of the operator, and all other bindings in a links
/// namespace.
pub fn policies(boundary: &Boundary) -> Vec<Policy> {
    vec![
        written(boundary, &SECRETS),
        written(boundary, &ROLES),
        bindings(boundary),
        deletion(boundary),
        cluster_rights(boundary),
    ]
}

/// One kind of link object.
struct Kind {
    policy: &'static str,
    scope: &'static [(&'static str, &'static [&'static str])],
    /// The fields that must not change when somebody else writes the object.
    content: &'static [&'static str],
    /// The required content of the operator's own object, besides its name and namespace.
    shape: &'static str,
    /// The refusal of any other object of the operator.
    only: &'static str,
}

const SECRETS: Kind = Kind {
    policy: "keyloan-link-secrets",
    scope: &[("", &["secrets"])],
    content: &["data", "type", "immutable"],
    shape: "object.type == variables.linkType\n\
            && has(object.metadata.labels) && variables.secretLabel in object.metadata.labels\n\
            && object.metadata.labels[variables.secretLabel] == 'link'\n\
            && (!has(object.data) || object.data.all(key, key in variables.linkKeys))",
    only: "keyloan-link: Keyloan's operator can write only the Secrets of links, in its own links namespace: write other \
           Secrets as another user",
};

const ROLES: Kind = Kind {
    policy: "keyloan-link-roles",
    scope: &[(RBAC, &["roles"])],
    content: &["rules"],
    shape: "has(object.rules) && object.rules.size() == 1\n\
            && object.rules.all(rule, rule.verbs == ['get']\n\
            && has(rule.apiGroups) && rule.apiGroups == ['']\n\
            && has(rule.resources) && rule.resources == ['secrets']\n\
            && has(rule.resourceNames) && rule.resourceNames == [object.metadata.name])",
    only: RIGHT_TO_ONE_LINK,
};

const ROLE_BINDINGS: Kind = Kind {
    policy: "keyloan-link-rolebindings",
    scope: &[(RBAC, &["rolebindings"])],
    content: &["roleRef", "subjects"],
    shape: "object.roleRef.kind == 'Role' && object.roleRef.name == object.metadata.name\n\
            && has(object.subjects) && object.subjects.size() == 1\n\
            && object.subjects.all(subject, subject.kind in ['User', 'ServiceAccount'])",
    only: RIGHT_TO_ONE_LINK,
};

const RIGHT_TO_ONE_LINK: &str = "keyloan-link: Keyloan's operator can grant only the right to get the Secret of one link, in \
                                 its own links namespace: grant other rights as another user";

fn written(boundary: &Boundary, kind: &Kind) -> Policy {
    let mut variables = vec![
        boundary.operators_variable(),
        boundary.deleters_variable(),
        boundary.links_variable(),
        ("linkType", format!("'{LINK_TYPE}'")),
        ("linkKeys", format!("['{}']", LINK_KEYS.join("', '"))),
        ("secretLabel", format!("'{SECRET_LABEL}'")),
        ("isOperator", is_operator()),
        ("isLinksNamespace", is_links_namespace()),
        ("isLink", is_link("object")),
    ];
    variables.extend(unchanged(kind.content));
    variables.push(("isWellFormed", kind.shape.into()));
    Policy {
        name: kind.policy,
        audit: None,
        scope: Scope::Kubernetes(kind.scope),
        operations: &["CREATE", "UPDATE"],
        variables,
        rules: vec![
            Rule::new(
                format!(
                    "variables.isOperator || !variables.isLinksNamespace\n\
                     || !object.metadata.name.startsWith('{LINK_PREFIX}') || variables.isUnchanged"
                ),
                format!(
                    "keyloan-link: only Keyloan's operator can write objects named {LINK_PREFIX}... in a links namespace: \
                     choose another name, or delete the object if you no longer need it"
                ),
            ),
            Rule::new(
                "!variables.isOperator || (variables.isLink && variables.isWellFormed)",
                kind.only,
            ),
        ],
    }
}

/// Allows the operator's own bindings, and those that name only the operator: its chart's.
/// Otherwise tools that bind a role in each new namespace would let a team read every link.
fn bindings(boundary: &Boundary) -> Policy {
    let mut policy = written(boundary, &ROLE_BINDINGS);
    policy.rules.push(Rule::new(
"variables.isOperator || !variables.isLinksNamespace || variables.isUnchanged\n\
                     || (has(object.subjects) && object.subjects.all(subject,\n\
                     subject.kind == 'ServiceAccount' && has(subject.namespace)\n\
                     && (request.namespace + '/system:serviceaccount:' + subject.namespace + ':' + subject.name) in variables.links))",
"keyloan-link: this namespace holds the links of loans, and only Keyloan's operator can let people read them: \
                  exclude the namespace from the tool that binds roles in it, or bind the role in another namespace",
));
    policy
}

fn deletion(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-link-deletion",
        audit: None,
        scope: Scope::Kubernetes(&[("", &["secrets"]), (RBAC, &["roles", "rolebindings"])]),
        operations: &["DELETE"],
        variables: vec![
            boundary.operators_variable(),
            boundary.links_variable(),
            ("isOperator", is_operator()),
            ("isLink", is_link("oldObject")),
        ],
        rules: vec![Rule::new(
            "!variables.isOperator || variables.isLink",
            format!(
                "keyloan-link: Keyloan's operator can delete only Secrets, Roles and RoleBindings named {LINK_PREFIX}... in \
                 its own links namespace: delete others as another user"
            ),
        )],
    }
}

fn cluster_rights(boundary: &Boundary) -> Policy {
    Policy {
        name: "keyloan-link-clusterroles",
        audit: None,
        scope: Scope::Kubernetes(&[(RBAC, &["clusterroles", "clusterrolebindings"])]),
        operations: &["CREATE", "UPDATE"],
        variables: vec![boundary.operators_variable()],
        rules: vec![Rule::new(
            "!(request.userInfo.username in variables.operators)",
            "keyloan-link: Keyloan's operator cannot grant rights in the whole cluster: \
                      grant them as another user",
        )],
    }
}

fn is_operator() -> String {
    "request.userInfo.username in variables.operators".into()
}

/// The links namespace of any operator: entries are `NAMESPACE/USERNAME`.
fn is_links_namespace() -> String {
    "variables.links.exists(entry, entry.startsWith(request.namespace + '/'))".into()
}

/// Whether an object has a link's name and is in this operator's own links namespace.
fn is_link(object: &str) -> String {
    format!(
        "(request.namespace + '/' + request.userInfo.username) in variables.links\n\
         && {object}.metadata.name.matches('^{LINK_PREFIX}[0-9a-f-]{{36}}$')"
    )
}

/// The garbage collector updates metadata, and tools that re-encrypt stored objects write each
/// object unchanged. A deleted object may lose finalizers that others have added.
fn unchanged(content: &[&str]) -> Vec<(&'static str, String)> {
    let metadata = [
        "metadata.labels",
        "metadata.annotations",
        "metadata.ownerReferences",
    ];
    let finalizers = same("metadata.finalizers");
    vec![
        ("sameContent", all_same(content)),
        (
            "sameMetadata",
            format!(
                "{}\n&& (has(oldObject.metadata.deletionTimestamp)\n|| {finalizers})",
                all_same(&metadata)
            ),
        ),
        (
            "isUnchanged",
            "request.operation == 'UPDATE' && variables.sameContent\n\
             && (variables.sameMetadata || request.userInfo.username in variables.deleters)"
                .into(),
        ),
    ]
}
