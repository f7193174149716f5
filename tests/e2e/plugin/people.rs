//! People with the chart's own roles and no other rights, bound as a platform team would: so each command is tried with exactly these.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use keyloan_cluster::{ControlPlane, Options, apply_yaml, wait_until};
use kube::Api;
use kube::api::PostParams;

use crate::world::{PLATFORM, TEAM, World, simulator};

/// Engineers ask in their team's namespace, where the platform's owners decide and dave may end any loan. The security people decide
/// everywhere. The rules are dave's.
const BINDINGS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ask, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-requester}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: engineering}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: decide, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-approver}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: platform-owners}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: erin@example.com}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: security-decides}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-approver}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: security}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: end-any-loan, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave@example.com}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: make-rules, namespace: keyloan}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave@example.com}]
"#;

/// By what it shows that a binding is known, for each of them.
const KNOWN_BY: [(&str, &str, &str, &str); 6] = [
    ("alice", "create", "accessgrants", TEAM),
    ("bob", "create", "accessdecisions", TEAM),
    ("erin", "create", "accessdecisions", TEAM),
    ("carol", "create", "accessdecisions", "team-b"),
    ("dave", "revoke", "accessgrants", TEAM),
    ("dave", "get", "accessflows", PLATFORM),
];

/// A world with an operator, in which people have these rights.
pub async fn world() -> World {
    let mut world = world_without_operator().await;
    world.restart_operator().await;
    world
}

/// The same, for an operator of the test's own.
pub async fn world_without_operator() -> World {
    let options = Options {
        audit_log: true,
        ..Options::default()
    };
    let options = options.with_keyloan();
    let options = options.expect("the project's manifests");
    let cluster = ControlPlane::start(options).await.expect("a control plane");
    let world = World::in_cluster(cluster, simulator()).await;
    apply_yaml(&world.admin, BINDINGS).await.expect("applied");
    for (who, verb, resource, namespace) in KNOWN_BY {
        until_allowed(&world, who, verb, resource, namespace).await;
    }
    world
}

/// The API server sees a binding a moment after it was made.
pub async fn until_allowed(world: &World, who: &str, verb: &str, resource: &str, namespace: &str) {
    let client = world.cluster.client(who).await.expect("a client");
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client);
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some("keyloan.dev".into()),
                resource: Some(resource.into()),
                verb: Some(verb.into()),
                namespace: Some(namespace.into()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let allowed = async || {
        let answer = reviews.create(&PostParams::default(), &review).await;
        let status = answer.expect("an answer").status;
        status.is_some_and(|s| s.allowed).then_some(())
    };
    let waited = wait_until("a right", Duration::from_secs(60), allowed).await;
    waited.unwrap_or_else(|_| panic!("{who} may not {verb} {resource} in {namespace}"));
}
