//! Two installs in one cluster: each serves its own namespaces, keeps its links in its own, and leaves the other's alone.

use std::collections::BTreeSet;

use crate::world::{Ask, LINKS, PLATFORM, World, condition};
use keyloan::api::{AccessFlow, AccessGrant, OnePasswordIntegration, READY};
use keyloan::cluster::{Install, KubeAccess};
use keyloan::manifests::{self, Boundary, Operator};
use keyloan::operator::{Running, start};
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, apply_yaml};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// The rights that the chart gives.
const RIGHTS: &str = include_str!("../../dev/cluster/operator-rbac.yaml");
/// Where the second install's operator is, its links, and its integrations.
const SYSTEM: &str = "other-system";
const OTHER_LINKS: &str = "other-system-links";
const OTHER: &str = "other";

/// A cluster whose policies know two operators, and rights for both.
async fn with_two_installs() -> (World, Running) {
    let mut world = World::without_operator().await;
    let other = Operator {
        username: username(SYSTEM),
        links_namespace: OTHER_LINKS.into(),
    };
    let boundary = Boundary {
        operators: vec![Operator::default(), other],
        ..Boundary::default()
    };
    for file in manifests::files(&boundary).expect("manifests") {
        if file.name.starts_with("policy-") {
            apply(&world, &file.to_yaml().expect("YAML")).await;
        }
    }
    let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {OTHER}}}}}");
    apply(&world, &namespace).await;
    let rights = RIGHTS
        .replace(LINKS, OTHER_LINKS)
        .replace(OPERATOR_NAMESPACE, SYSTEM)
        .replace(
            &format!("namespace: \"{PLATFORM}\""),
            &format!("namespace: \"{OTHER}\""),
        );
    apply(&world, &rights).await;
    world.cluster.until_in_force().await.expect("in force");
    world.restart_operator().await;

    let kubeconfig = world
        .cluster
        .service_account_kubeconfig(SYSTEM, OPERATOR_SERVICE_ACCOUNT);
    let mut settings = world.settings.clone();
    settings.kube = KubeAccess::Kubeconfig(kubeconfig.await.expect("a file"));
    settings.install = Install {
        name: OTHER.into(),
        links_namespace: OTHER_LINKS.into(),
        integration_namespaces: [OTHER.into()].into(),
        ..Install::default()
    };
    let other = start(settings).await.expect("a second operator");
    (world, other)
}

async fn apply(world: &World, yaml: &str) {
    apply_yaml(&world.admin, yaml).await.expect("applied");
}

fn username(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:{OPERATOR_SERVICE_ACCOUNT}")
}

/// An integration of the second install, and a flow that lends from it.
async fn set_up_other(world: &World) {
    let token = world.control.token("lender").await.expect("a token");
    let objects = [
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "prod-token", "namespace": OTHER,
                "labels": { "keyloan.dev/secret": "token", "keyloan.dev/integration": "prod" },
            },
            "stringData": { "token": token },
        }),
        json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "OnePasswordIntegration",
            "metadata": { "name": "prod", "namespace": OTHER },
            "spec": {
                "auth": { "serviceAccountToken": { "secretRef": { "name": "prod-token" } } },
                "vaults": ["Infra"], "recipientDomains": ["example.com"], "plan": "Business",
            },
        }),
        json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessFlow",
            "metadata": { "name": "oncall", "namespace": OTHER },
            "spec": {
                "integration": "prod", "namespaces": { "from": "All" },
                "requesters": [{ "kind": "Group", "name": "engineering" }],
                "items": { "include": [{ "vault": "Infra" }] },
                "grant": { "maxDuration": "8h" }, "approval": { "mode": "None" },
            },
        }),
    ];
    for object in objects {
        apply(world, &object.to_string()).await;
    }
    let integrations: Api<OnePasswordIntegration> = Api::namespaced(world.admin.clone(), OTHER);
    let is_ready = |integration: &OnePasswordIntegration| {
        let status = integration.status.as_ref();
        status.is_some_and(|s| {
            let mut conditions = s.conditions.iter();
            conditions.any(|c| c.type_ == READY && c.status == "True")
        })
    };
    world.until_listed(&integrations, is_ready).await;
    let flows: Api<AccessFlow> = Api::namespaced(world.admin.clone(), OTHER);
    let is_known = |flow: &AccessFlow| {
        let status = flow.status.as_ref();
        status.is_some_and(|s| s.observed_generation == flow.metadata.generation)
    };
    world.until_listed(&flows, is_known).await;
}

fn links_namespace(grant: &AccessGrant) -> &str {
    let link = grant.status.as_ref().and_then(|s| s.link.as_ref());
    &link.expect("a link").secret_ref.namespace
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installs_in_one_cluster_do_not_touch_what_is_the_others() {
    let (world, other) = with_two_installs().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    set_up_other(&world).await;

    let ours = world.ask("alice", Ask::item("db password")).await;
    let ours = world.until_active(&ours).await;
    assert_eq!(links_namespace(&ours), LINKS);
    let ask = Ask::item("db password").by_integration_in(OTHER);
    let theirs = world.ask("alice", ask).await;
    let theirs = world.until_active(&theirs).await;
    assert_eq!(links_namespace(&theirs), OTHER_LINKS);
    world.delete("alice", &theirs).await;
    let uid = theirs.uid().expect("one");
    world.until_none_left_in(OTHER_LINKS, &uid).await;
    assert!(condition(&ours, "Stalled").is_none());
    assert!(world.read_link("alice", &ours).await.is_ok());

    // By the API server's own log.
    let wrote = |namespace: &str| written_in(&world, &username(namespace));
    for (system, others) in [
        (OPERATOR_NAMESPACE, [OTHER, OTHER_LINKS]),
        (SYSTEM, [PLATFORM, LINKS]),
    ] {
        let places = wrote(system);
        assert!(!places.is_empty(), "{system} did something");
        let touched: Vec<_> = others
            .iter()
            .filter(|place| places.contains(**place))
            .collect();
        assert!(touched.is_empty(), "{system} wrote in {touched:?}");
    }
    other.stop().await.expect("stopped");
}

/// The namespaces of all objects that somebody has written.
fn written_in(world: &World, user: &str) -> BTreeSet<String> {
    let log = std::fs::read_to_string(world.cluster.audit_log()).expect("a log");
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_write = |event: &Value| {
        let verb = event["verb"].as_str().unwrap_or_default();
        event["user"]["username"] == user && ["create", "update", "patch", "delete"].contains(&verb)
    };
    let written = events.filter(is_write);
    written
        .filter_map(|event| event["objectRef"]["namespace"].as_str().map(str::to_owned))
        .collect()
}
