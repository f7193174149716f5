//! Is the boundary in force? The admission policies of a real API server are broken, one way after the other, and mended.

mod support;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use keyloan::api::{AccessGrant, OnePasswordIntegration};
use keyloan::cluster::probe::{ask_under_a_false_name, who_am_i};
use keyloan::cluster::{Cluster, Enrolled, connect};
use keyloan::controllers::boundary::Boundary;
use keyloan::manifests;
use keyloan::plan::boundary::{Verdict, verdict};
use keyloan::runtime::Supervisor;
use keyloan::telemetry::Metrics;
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use support::{DEADLINE, PLATFORM, World, message, said};

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

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
        metrics(&world)
            .await
            .contains("keyloan_boundary_in_force 1")
    );
    world.onepassword.reset_requests().await.expect("reset");

    let selective = json!({ "namespaceSelector": { "matchLabels": { "guarded": "yes" } } });
    let flaws = [
        (POLICY, "keyloan-status", Flaw::Deleted, "is missing"),
        (BINDING, "keyloan-records", Flaw::Deleted, "is missing"),
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
            "keyloan-decision-identity",
            Flaw::Member("/validations/0/expression", json!("true")),
            "spec.validations differs",
        ),
        (
            POLICY,
            "keyloan-link-roles",
            Flaw::Member("/failurePolicy", json!("Ignore")),
            r#"spec.failurePolicy is "Ignore""#,
        ),
        (
            POLICY,
            "keyloan-status",
            Flaw::Member(
                "/variables/0/expression",
                json!("[request.userInfo.username]"),
            ),
            "its variable operators is no list of usernames",
        ),
        (
            POLICY,
            "keyloan-status",
            Flaw::Member("/variables/0/expression", json!("['another']")),
            "does not know system:serviceaccount:keyloan:keyloan as Keyloan's operator",
        ),
        (
            "MutatingAdmissionPolicy",
            "keyloan-grant-identity",
            Flaw::Member("/reinvocationPolicy", json!("Never")),
            "spec.reinvocationPolicy is \"Never\"",
        ),
    ];
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

/// A way to break a policy or a binding.
enum Flaw {
    Deleted,
    Member(&'static str, Value),
}

impl Flaw {
    async fn make(self, world: &World, kind: &str, name: &str) {
        let api = api(world, kind);
        let (path, value) = match self {
            Self::Deleted => {
                let deleted = api.delete(name, &DeleteParams::default()).await;
                return drop(deleted.expect("deleted"));
            }
            Self::Member(path, value) => (path, value),
        };
        let mut spec = api.get(name).await.expect("there").data["spec"].take();
        let (parent, member) = path.rsplit_once('/').expect("a path");
        let parent = spec.pointer_mut(parent).expect("there");
        match member.parse::<usize>() {
            Ok(index) => parent[index] = value,
            Err(_) => parent[member] = value,
        }
        change(&api, name, json!({ "spec": spec })).await;
    }
}

/// By a patch: the API server's own controller writes the status at any time.
async fn change(api: &Api<DynamicObject>, name: &str, change: Value) {
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(change));
    let changed = api.patch(name, &parameters, &patch);
    changed.await.expect("changed");
}

/// Makes a policy or a binding as it is shipped again.
async fn mend(world: &World, kind: &str, name: &str) {
    let files = manifests::files(&manifests::Boundary::default()).expect("manifests");
    let mut objects = files.into_iter().flat_map(|file| file.objects);
    let shipped = objects.find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    let mut shipped = shipped.expect("shipped");
    let api = api(world, kind);
    let Some(there) = api.get_opt(name).await.expect("an answer") else {
        let object = serde_json::from_value(shipped).expect("an object");
        let created = api.create(&PostParams::default(), &object).await;
        return drop(created.expect("created"));
    };
    // What is not shipped is taken out.
    let mut spec = shipped["spec"].take();
    for member in there.data["spec"].as_object().expect("a spec").keys() {
        if spec.get(member).is_none() {
            spec[member.as_str()] = Value::Null;
        }
    }
    change(&api, name, json!({ "spec": spec })).await;
}

fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(world.admin.clone(), &ApiResource::from_gvk(&kind))
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
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
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
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
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
        "spec": { "integration": { "name": "prod" }, "item": { "vault": "Infra", "item": "db password" } },
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

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_gets_the_answer_of_a_look_that_began_later() {
    let world = World::without_operator().await;
    let client = connect(&world.settings.kube).await.expect("a client");
    let metrics = Arc::new(Metrics::new());
    let cluster = Arc::new(Cluster::new(client, Enrolled::All, metrics.clone()));
    let supervisor = Supervisor::new();
    let new = Boundary::new(cluster.clone(), None, world.clock.clone(), metrics.clone());
    let boundary = new.expect("a boundary");
    let broken = boundary.seen().broken.expect("nobody has looked");
    assert!(broken.contains("is being checked"), "{broken}");
    let (told, mut tellings) = tokio::sync::mpsc::unbounded_channel();
    boundary.subscribe(move || told.send(()).expect("somebody listens"));
    boundary.start(&supervisor.tasks());
    boundary.looked().await;
    assert_eq!(boundary.seen().broken, None);
    tellings.recv().await.expect("it was told");
    let installed = boundary.seen().changed_at.expect("they were made");

    let looks = |metrics: &Metrics| {
        count(
            &metrics.encode(),
            r#"boundary_checks_total{outcome="guarded"}"#,
        )
    };
    let before = looks(&metrics);
    let all = futures::future::join_all((0..50).map(|_| boundary.check())).await;
    assert_eq!(all, vec![Ok(()); 50]);
    let looked = looks(&metrics) - before;
    assert!(
        (1.0..=2.0).contains(&looked),
        "50 askers share {looked} looks"
    );

    Flaw::Deleted
        .make(&world, BINDING, "keyloan-grant-identity")
        .await;
    until("it is noticed", async || boundary.seen().broken.is_some()).await;
    let refusal = boundary.check().await.expect_err("broken");
    assert!(
        refusal.contains("keyloan-grant-identity is missing"),
        "{refusal}"
    );
    mend(&world, BINDING, "keyloan-grant-identity").await;
    until("it is in force again", async || {
        boundary.check().await.is_ok()
    })
    .await;
    let restored = boundary.seen().changed_at.expect("it was");
    let made = api(&world, BINDING)
        .get("keyloan-grant-identity")
        .await
        .expect("there");
    let made = made.creation_timestamp().expect("a time").0;
    assert!(
        restored >= made && restored >= installed,
        "{installed} {made} {restored}"
    );

    // Who hides when they changed a policy gains nothing.
    let policies = api(&world, POLICY);
    let policy = policies.get("keyloan-metadata").await.expect("there");
    let mut validations = policy.data["spec"]["validations"].clone();
    let shipped = validations.clone();
    validations[0]["message"] = json!("changed");
    let loosened = json!({ "spec": { "validations": validations } });
    change(&policies, "keyloan-metadata", loosened).await;
    until("it is noticed", async || boundary.seen().broken.is_some()).await;
    let hidden =
        json!({ "spec": { "validations": shipped }, "metadata": { "managedFields": [{}] } });
    change(&policies, "keyloan-metadata", hidden).await;
    until("it is in force again", async || {
        boundary.check().await.is_ok()
    })
    .await;
    assert!(boundary.seen().changed_at.expect("it was") >= restored);

    // What was changed and changed back before the watch told of it is seen by the next look.
    let before = boundary.seen().changed_at.expect("it was");
    let policies = api(&world, POLICY);
    let shipped = policies
        .get("keyloan-grant-identity")
        .await
        .expect("there")
        .data["spec"]["failurePolicy"]
        .clone();
    for value in [json!("Ignore"), shipped] {
        change(
            &policies,
            "keyloan-grant-identity",
            json!({ "spec": { "failurePolicy": value } }),
        )
        .await;
    }
    let changed = policies.get("keyloan-grant-identity").await.expect("there");
    let times = changed.metadata.managed_fields.unwrap_or_default();
    let changed = times
        .into_iter()
        .filter(|entry| entry.subresource.is_none())
        .filter_map(|entry| entry.time)
        .max()
        .expect("a time")
        .0;
    boundary.check().await.expect("in force");
    let now = boundary.seen().changed_at.expect("it was");
    assert!(now >= changed && now >= before, "{before} {changed} {now}");

    // A right that is missing is no policy that acts.
    let answer = who_am_i(&cluster.verbs).await.expect("an answer");
    let before = answer.at.expect("the API server's time");
    let bindings: Api<RoleBinding> = world.namespaced(OPERATOR_NAMESPACE);
    let right = bindings.get("keyloan-boundary").await.expect("there");
    world
        .delete::<RoleBinding>(OPERATOR_NAMESPACE, "keyloan-boundary")
        .await;
    until("the right is gone", async || {
        boundary.check().await.is_err()
    })
    .await;
    let refusal = boundary.seen().broken.expect("broken");
    assert!(
        refusal.contains("let the operator create AccessGrants in its own namespace"),
        "{refusal}"
    );
    let mut right = right;
    right.metadata.resource_version = None;
    bindings
        .create(&PostParams::default(), &right)
        .await
        .expect("given back");
    until("it is in force again", async || {
        boundary.check().await.is_ok()
    })
    .await;
    let since = boundary.seen().changed_at.expect("it was");
    assert!(
        since >= before,
        "nobody vouches for what was made meanwhile"
    );
    supervisor.run(async {}).await.expect("no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_policies_that_act_from_those_that_do_not() {
    let world = World::without_operator().await;
    let client = connect(&world.settings.kube).await.expect("a client");
    let cluster = Cluster::new(client, Enrolled::All, Arc::new(Metrics::new()));
    let own = who_am_i(&cluster.verbs).await.expect("an answer");
    assert_eq!(
        own.identity.username,
        "system:serviceaccount:keyloan:keyloan"
    );
    assert_eq!(
        (own.namespace(), own.identity.groups.len()),
        (Some(OPERATOR_NAMESPACE), 0)
    );
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let shown = async || {
        let answer = ask_under_a_false_name(&cluster.verbs, OPERATOR_NAMESPACE, &own.identity, now);
        verdict(&answer.await, &own.identity)
    };
    // Right after the kinds were made, the API server does not know them everywhere.
    until("it is shown", async || {
        !matches!(shown().await, Verdict::Unknown(_))
    })
    .await;
    assert_eq!(shown().await, Verdict::Guarded, "it is stamped");
    let remove = async |kind: &str| {
        let api = api(&world, kind);
        let deleted = api
            .delete("keyloan-grant-identity", &DeleteParams::default())
            .await;
        deleted.expect("deleted");
    };
    remove("MutatingAdmissionPolicyBinding").await;
    let before = world.namespaced::<AccessGrant>(OPERATOR_NAMESPACE);
    until("nothing is stamped any more", async || {
        let grant = json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant", "metadata": { "name": "unsigned" },
            "spec": { "integration": { "name": "prod" }, "item": { "vault": "v", "item": "i" } },
        });
        let grant = serde_json::from_value(grant).expect("a grant");
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        before.create(&dry_run, &grant).await.is_err()
    })
    .await;
    assert_eq!(shown().await, Verdict::Guarded, "it is refused");
    remove(BINDING).await;
    until("nothing is refused any more", async || {
        matches!(shown().await, Verdict::Open(why) if why.contains("lets a request with a false name pass"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_cannot_read_the_policies_says_so() {
    let mut world = World::without_operator().await;
    let roles: Api<ClusterRole> = Api::all(world.admin.clone());
    let role = roles.get("keyloan").await.expect("there");
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
        .replace("keyloan", &PostParams::default(), &less)
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
            .contains("the operator cannot read each ValidatingAdmissionPolicy")
    })
    .await;
    let mut again = role;
    again.metadata.resource_version = less.metadata.resource_version;
    roles
        .replace("keyloan", &PostParams::default(), &again)
        .await
        .expect("given back");
    until_ready(&world).await;
}

async fn until_ready(world: &World) {
    until("it is ready", async || {
        readyz(world).await == (200, "ok".into())
    })
    .await;
}

async fn readyz(world: &World) -> (u16, String) {
    let answer = reqwest::get(format!("{}/readyz", world.health()))
        .await
        .expect("an answer");
    (
        answer.status().as_u16(),
        answer.text().await.expect("a text"),
    )
}

async fn metrics(world: &World) -> String {
    let answer = reqwest::get(format!("{}/metrics", world.health()))
        .await
        .expect("an answer");
    answer.text().await.expect("a text")
}

async fn counted(world: &World, metric: &str) -> f64 {
    count(&metrics(world).await, metric)
}

fn count(page: &str, metric: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(&format!("keyloan_{metric} ")));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, waiting).await;
    assert!(in_time.is_ok(), "not within {DEADLINE:?}: {what}");
}
