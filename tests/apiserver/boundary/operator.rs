//! What an operator shows of each flaw: on its page, in the integrations, and once.

use jiff::SignedDuration;
use k8s_openapi::api::rbac::v1::ClusterRole;
use keyloan::api::{AccessGrant, OnePasswordIntegration};
use keyloan::cluster::connect;
use keyloan_cluster::{OPERATOR_NAMESPACE, admission_version};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::breaking::{BINDING, Flaw, POLICY, api, mend};
use super::{count, until};
use crate::support::{PLATFORM, World, message, said};

#[tokio::test(flavor = "multi_thread")]
async fn each_flaw_in_the_policies_is_named_until_it_is_mended() {
    let world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &token).await;
    world.put_integration("prod", json!({})).await;
    let prod = world.integration("prod", "Ready", "True Ready").await;
    let conditions = prod.status.expect("a status").conditions;
    assert_eq!(said(&conditions, "BoundaryInForce"), "True BoundaryInForce");
    assert_eq!(readyz(&world).await, (200, "ok".into()));
    assert!(
        world
            .metrics()
            .await
            .contains("keyloan_boundary_in_force 1")
    );
    world.onepassword.reset_requests().await.expect("reset");

    let selective = json!({ "namespaceSelector": { "matchLabels": { "guarded": "yes" } } });
    let flaws = [
        (POLICY, "keyloan-status", Flaw::Deleted, "is missing"),
        (
            BINDING,
            "keyloan-grant-identity",
            Flaw::Member("/validationActions", json!(["Audit"])),
            r#"spec.validationActions is ["Audit"] instead of ["Deny"]"#,
        ),
        (
            BINDING,
            "keyloan-token",
            Flaw::Member("/matchResources", selective),
            "spec.matchResources",
        ),
        (
            POLICY,
            "keyloan-status",
            Flaw::Member("/variables/0/expression", json!("['another']")),
            "does not know system:serviceaccount:keyloan-system:keyloan as Keyloan's operator",
        ),
        (
            "MutatingAdmissionPolicy",
            "keyloan-grant-identity",
            Flaw::Member("/reinvocationPolicy", json!("Never")),
            "spec.reinvocationPolicy is \"Never\"",
        ),
    ];
    // The operator knows no other version than v1.
    let flaws = flaws
        .into_iter()
        .filter(|(kind, ..)| admission_version(kind) == "v1");
    for (kind, name, flaw, says) in flaws {
        flaw.make(&world, kind, name).await;
        let broken = world
            .integration("prod", "BoundaryInForce", "False BoundaryNotInForce")
            .await;
        let conditions = broken.status.expect("a status").conditions;
        let text = message(&conditions, "BoundaryInForce");
        assert!(text.contains(says), "{text}");
        assert!(text.starts_with(&format!("The {kind} {name} ")), "{text}");
        assert!(text.contains("helm upgrade keyloan-crds"), "{text}");
        assert_eq!(said(&conditions, "Ready"), "False BoundaryNotInForce");
        assert_eq!(said(&conditions, "CredentialsValid"), "True TokenAccepted");
        let (status, page) = readyz(&world).await;
        assert_eq!(status, 503);
        assert!(
            text.to_lowercase().starts_with(&page.to_lowercase()),
            "{page}: {text}"
        );

        mend(&world, kind, name).await;
        world.integration("prod", "Ready", "True Ready").await;
        assert_eq!(readyz(&world).await, (200, "ok".into()));
    }
    assert_eq!(world.requests().await, 0, "nobody is signed out by that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaw_is_written_once_however_often_it_is_looked_at() {
    let world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &token).await;
    world.put_integration("prod", json!({})).await;
    world.integration("prod", "Ready", "True Ready").await;
    Flaw::Deleted.make(&world, POLICY, "keyloan-status").await;
    let broken = world
        .integration("prod", "Ready", "False BoundaryNotInForce")
        .await;
    for _ in 0..3 {
        let before = counted(&world, r#"boundary_checks_total{outcome="guarded"}"#).await;
        let passes = counted(
            &world,
            r#"passes_total{controller="integration",outcome="waiting"}"#,
        )
        .await;
        // The clock's jump has all of it looked at again.
        world.clock.advance(SignedDuration::from_mins(11));
        until("another look", async || {
            counted(&world, r#"boundary_checks_total{outcome="guarded"}"#).await > before
                && counted(
                    &world,
                    r#"passes_total{controller="integration",outcome="waiting"}"#,
                )
                .await
                    > passes
        })
        .await;
    }
    let integrations = world.namespaced::<OnePasswordIntegration>(PLATFORM);
    let now = integrations.get("prod").await.expect("there");
    assert_eq!(now.resource_version(), broken.resource_version());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_policy_that_signs_for_others_gets_nothing_past_ours() {
    let world = World::new().await;
    until_ready(&world).await;
    let version = format!(
        "admissionregistration.k8s.io/{}",
        admission_version("MutatingAdmissionPolicy")
    );
    let policy = json!({
        "apiVersion": version, "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": "a-forger" },
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": ["keyloan.dev"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["accessgrants"],
            }] },
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression":
                "[JSONPatch{op: 'add', path: '/spec/requester', value: dyn({'username': dyn('bob@example.com')})}, \
                  JSONPatch{op: 'add', path: '/metadata/labels', value: dyn({'forged': dyn('yes')})}]" } }],
        },
    });
    let binding = json!({
        "apiVersion": version, "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": "a-forger" }, "spec": { "policyName": "a-forger" },
    });
    for object in [policy, binding] {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        let object = serde_json::from_value(object).expect("an object");
        let created = api(&world, &kind)
            .create(&PostParams::default(), &object)
            .await;
        created.expect("created");
    }
    let grants: Api<AccessGrant> = world.namespaced(OPERATOR_NAMESPACE);
    let grant: AccessGrant = serde_json::from_value(json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
        "metadata": { "generateName": "honest-" },
        "spec": {
            "integration": { "name": "prod" }, "item": { "vault": "Infra", "item": "db password" },
            "notAfter": "2999-01-01T00:00:00Z",
        },
    }))
    .expect("a grant");
    until("the forger acts", async || {
        match grants.create(&PostParams::default(), &grant).await {
            // Ours had the last word.
            Ok(stored) => {
                let requester = stored.spec.requester.clone().expect("signed");
                assert_eq!(requester.username, "admin");
                stored.labels().contains_key("forged")
            }
            Err(kube::Error::Api(refusal)) => refusal
                .message
                .contains("denied request: keyloan-identity: "),
            Err(other) => panic!("{other}"),
        }
    })
    .await;
    assert_eq!(
        readyz(&world).await,
        (200, "ok".into()),
        "no name can be forged"
    );
}

/// The operator's role in the whole cluster.
const ROLE: &str = "keyloan-system.keyloan";

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_cannot_read_the_policies_says_so() {
    let mut world = World::without_operator().await;
    let roles: Api<ClusterRole> = Api::all(world.admin.clone());
    let role = roles.get(ROLE).await.expect("there");
    let mut less = role.clone();
    let is_of_policies = |groups: &Option<Vec<String>>| {
        let mut groups = groups.iter().flatten();
        groups.any(|group| group == "admissionregistration.k8s.io")
    };
    less.rules
        .as_mut()
        .expect("rules")
        .retain(|rule| !is_of_policies(&rule.api_groups));
    let less = roles
        .replace(ROLE, &PostParams::default(), &less)
        .await
        .expect("replaced");
    let operator = connect(&world.settings.kube).await.expect("a client");
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", POLICY);
    let policies: Api<DynamicObject> = Api::all_with(operator, &ApiResource::from_gvk(&kind));
    until("the right is gone", async || {
        policies.list(&Default::default()).await.is_err()
    })
    .await;

    world.start_operator().await;
    until("it has looked", async || {
        readyz(&world)
            .await
            .1
            .contains("the operator cannot read the admission policies")
    })
    .await;
    let mut again = role;
    again.metadata.resource_version = less.metadata.resource_version;
    roles
        .replace(ROLE, &PostParams::default(), &again)
        .await
        .expect("given back");
    until_ready(&world).await;
}

pub async fn until_ready(world: &World) {
    until("it is ready", async || {
        readyz(world).await == (200, "ok".into())
    })
    .await;
}

pub async fn readyz(world: &World) -> (u16, String) {
    let answer = reqwest::get(format!("{}/readyz", world.health()))
        .await
        .expect("an answer");
    (
        answer.status().as_u16(),
        answer.text().await.expect("a text"),
    )
}

async fn counted(world: &World, metric: &str) -> f64 {
    count(&world.metrics().await, metric)
}
