//! A cluster with Keyloan's kinds, policies and rights.

use std::path::Path;
use std::process::{Command, Output};

use keyloan_cluster::{ControlPlane, LINKS_NAMESPACE, Options, apply_yaml};

/// What the operator may do in an ordinary namespace: verb, resource, and whether it may.
const RIGHTS: &[(&str, &str, bool)] = &[
    ("get", "secrets", false),
    ("list", "secrets", false),
    ("watch", "secrets", false),
    ("create", "secrets", false),
    ("patch", "secrets", false),
    ("delete", "secrets", false),
    ("create", "roles.rbac.authorization.k8s.io", false),
    ("create", "rolebindings.rbac.authorization.k8s.io", false),
    ("escalate", "roles.rbac.authorization.k8s.io", false),
    ("bind", "roles.rbac.authorization.k8s.io", false),
    ("bind", "clusterroles.rbac.authorization.k8s.io", false),
    ("list", "onepasswordintegrations.keyloan.dev", true),
    ("patch", "onepasswordintegrations.keyloan.dev", false),
    ("patch", "accessgrants.keyloan.dev/status", true),
    ("patch", "accessgrants.keyloan.dev", false),
    ("delete", "accessgrants.keyloan.dev", true),
    // Allowed only in the operator's own namespace, where it makes dry runs.
    ("create", "accessgrants.keyloan.dev", false),
    ("patch", "accessrecords.keyloan.dev", true),
    ("create", "accessdecisions.keyloan.dev", false),
    (
        "watch",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        true,
    ),
    (
        "patch",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        false,
    ),
    ("create", "events.events.k8s.io", true),
    ("create", "pods", false),
    ("impersonate", "users", false),
];

/// The same for the namespace where the operator keeps links.
const RIGHTS_OVER_LINKS: &[(&str, &str, bool)] = &[
    ("get", "secrets", true),
    ("watch", "secrets", true),
    ("create", "secrets", true),
    ("patch", "secrets", true),
    ("delete", "secrets", true),
    ("update", "secrets", false),
    ("create", "roles.rbac.authorization.k8s.io", true),
    ("create", "rolebindings.rbac.authorization.k8s.io", true),
    ("escalate", "roles.rbac.authorization.k8s.io", false),
    ("bind", "roles.rbac.authorization.k8s.io", false),
];

const LINK: &str = "
apiVersion: v1
kind: Secret
metadata: {name: keyloan-link-0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69, namespace: keyloan-system-links, labels: {keyloan.dev/secret: link}}
type: keyloan.dev/link
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: keyloan-link-0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69, namespace: keyloan-system-links}
rules: [{apiGroups: [''], resources: [secrets], resourceNames: [keyloan-link-0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: keyloan-link-0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69, namespace: keyloan-system-links}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: keyloan-link-0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice@example.com}]
";

fn kubectl(cluster: &ControlPlane, kubeconfig: &Path, arguments: &[&str]) -> Output {
    let mut kubectl = Command::new(cluster.binaries().kubectl());
    kubectl
        .env("KUBECONFIG", kubeconfig)
        .args(arguments)
        .output()
        .unwrap()
}

#[tokio::test]
async fn the_operator_has_the_rights_that_it_needs_and_no_others() {
    let options = Options {
        mutating_policies: true,
        ..Options::default()
    };
    let cluster = ControlPlane::start(options.with_keyloan().unwrap())
        .await
        .unwrap();
    let operator = cluster.operator_kubeconfig().await.unwrap();
    let anywhere = RIGHTS.iter().map(|right| ("default", right));
    let over_links = RIGHTS_OVER_LINKS
        .iter()
        .map(|right| (LINKS_NAMESPACE, right));
    let wrong: Vec<_> = anywhere
        .chain(over_links)
        .filter(|(namespace, (verb, resource, expected))| {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let subresource = format!("--subresource={subresource}");
            let asked = [
                "auth",
                "can-i",
                verb,
                resource,
                &subresource,
                "-n",
                namespace,
            ];
            let answer = kubectl(&cluster, &operator, &asked);
            match String::from_utf8_lossy(&answer.stdout).trim() {
                "yes" => !expected,
                "no" => *expected,
                _ => panic!("{answer:?}"),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");

    // The operator may grant the right to read a Secret without `escalate` or `bind`, because it
    // holds that right itself.
    let file = cluster.dir().join("link.yaml");
    std::fs::write(&file, LINK).unwrap();
    let created = kubectl(
        &cluster,
        &operator,
        &["create", "-f", file.to_str().unwrap()],
    );
    assert!(created.status.success(), "{created:?}");
    let alice = kubectl(
        &cluster,
        &cluster.kubeconfig("alice"),
        &[
            "get",
            "secret",
            "-n",
            LINKS_NAMESPACE,
            "keyloan-link-0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69",
        ],
    );
    assert!(alice.status.success(), "{alice:?}");
    let mallory = kubectl(
        &cluster,
        &cluster.kubeconfig("mallory"),
        &[
            "get",
            "secret",
            "-n",
            LINKS_NAMESPACE,
            "keyloan-link-0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69",
        ],
    );
    assert!(!mallory.status.success(), "{mallory:?}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_kinds_are_served_and_the_policies_in_force() {
    let options = Options {
        mutating_policies: true,
        ..Options::default()
    };
    let cluster = ControlPlane::start(options.with_keyloan().unwrap())
        .await
        .unwrap();
    let admin = cluster.client("admin").await.unwrap();
    let request = "
        {apiVersion: v1, kind: Namespace, metadata: {name: team-a}}
        \n---\n
        apiVersion: keyloan.dev/v1alpha1
        kind: AccessGrant
        metadata: {name: db-password, namespace: team-a}
        spec:
          integration: {name: prod, namespace: keyloan}
          item: {vault: Infra, item: db password}
          duration: 1h
          notAfter: 2999-01-01T00:00:00Z
          requester: {username: somebody@example.com}";
    let request = request.replace("\n        ", "\n");
    let applied = apply_yaml(&admin, &request).await.unwrap();
    assert_eq!(
        applied[1].data["spec"]["requester"]["username"], "admin",
        "the forged requester is replaced"
    );
    cluster.shutdown().await;
}
