//! How it is looked at: what a look sees, what it cannot be fooled by, and who gets its answer.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use keyloan::api::AccessGrant;
use keyloan::cluster::probe::{probe_false_identity, who_am_i};
use keyloan::cluster::{Cluster, Install, connect};
use keyloan::controllers::boundary::Boundary;
use keyloan::manifests::Releases;
use keyloan::plan::boundary::{Verdict, verdict};
use keyloan::runtime::Supervisor;
use keyloan::telemetry::Metrics;
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::breaking::{BINDING, Flaw, POLICY, api, change, mend};
use super::{count, until};
use crate::support::World;
use crate::support::looked::check;

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_gets_the_answer_of_a_look_that_began_later() {
    let world = World::without_operator().await;
    let client = connect(&world.settings.kube).await.expect("a client");
    let metrics = Arc::new(Metrics::new());
    let cluster = Arc::new(Cluster::new(
        client,
        Install::default(),
        keyloan::runtime::Clock::system(),
        metrics.clone(),
    ));
    let supervisor = Supervisor::new();
    let policies = Releases::known().expect("the policies");
    let (cluster, clock) = (cluster.clone(), world.clock.clone());
    let boundary = Boundary::new(
        cluster,
        None,
        world.settings.install.links_namespace.clone(),
        &policies,
        clock,
        metrics.clone(),
    );
    let boundary = boundary.expect("a boundary");
    let broken = boundary.seen().broken.expect("nobody has looked");
    assert!(broken.contains("is still checking"), "{broken}");
    let (told, mut tellings) = tokio::sync::mpsc::unbounded_channel();
    boundary.subscribe(move || told.send(()).expect("somebody listens"));
    boundary.start(&supervisor.tasks());
    boundary.looked().await;
    assert_eq!(boundary.seen().broken, None);
    tellings.recv().await.expect("it was told");
    let changed_at = || boundary.seen().changed_at.expect("it is kept");
    let installed = changed_at();

    let looks = |metrics: &Metrics| {
        count(
            &metrics.encode(),
            r#"boundary_checks_total{outcome="guarded"}"#,
        )
    };
    let before = looks(&metrics);
    let all = futures::future::join_all((0..50).map(|_| check(&boundary))).await;
    assert_eq!(all, vec![Ok(()); 50]);
    let looked = looks(&metrics) - before;
    // One that was under way already, the one that all wait for, and another for who asked late.
    assert!(
        (1.0..=3.0).contains(&looked),
        "50 askers share {looked} looks"
    );
    let in_force_again = async || {
        until("it is in force again", async || {
            check(&boundary).await.is_ok()
        })
        .await;
    };

    let guards = "keyloan-grant-identity";
    Flaw::Deleted.make(&world, BINDING, guards).await;
    until("it is noticed", async || boundary.seen().broken.is_some()).await;
    let refusal = check(&boundary).await.expect_err("broken");
    assert!(
        refusal.contains(&format!("{guards} is missing")),
        "{refusal}"
    );
    mend(&world, BINDING, guards).await;
    in_force_again().await;
    let restored = changed_at();
    assert!(restored > installed, "{installed} {restored}");

    // What was changed and changed back before the watch told of it is seen by the next look.
    let policies = api(&world, POLICY);
    let policy = policies.get(guards).await.expect("there");
    let shipped = policy.data["spec"]["failurePolicy"].clone();
    for value in [json!("Ignore"), shipped] {
        let change_to = json!({ "spec": { "failurePolicy": value } });
        change(&policies, guards, change_to).await;
    }
    check(&boundary).await.expect("in force");
    let changed_back = changed_at();
    assert!(changed_back > restored, "{restored} {changed_back}");

    // A right that is missing shows nothing of the policies: it holds up what is new, and makes nothing void.
    let bindings: Api<RoleBinding> = world.namespaced(OPERATOR_NAMESPACE);
    let mut right = bindings.get("keyloan-boundary").await.expect("there");
    world
        .delete::<RoleBinding>(OPERATOR_NAMESPACE, "keyloan-boundary")
        .await;
    until("the right is gone", async || {
        check(&boundary).await.is_err()
    })
    .await;
    let refusal = boundary.seen().broken.expect("broken");
    assert!(
        refusal.contains("let the operator create AccessGrants in its own namespace"),
        "{refusal}"
    );
    right.metadata.resource_version = None;
    bindings
        .create(&PostParams::default(), &right)
        .await
        .expect("given back");
    in_force_again().await;
    assert_eq!(changed_at(), changed_back, "what was made meanwhile counts");
    supervisor.run(async {}).await.expect("no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_policies_that_act_from_those_that_do_not() {
    let world = World::without_operator().await;
    let client = connect(&world.settings.kube).await.expect("a client");
    let cluster = Cluster::new(
        client,
        Install::default(),
        keyloan::runtime::Clock::system(),
        Arc::new(Metrics::new()),
    );
    let own = who_am_i(&cluster.verbs).await.expect("an answer");
    assert_eq!(
        own.identity.username,
        "system:serviceaccount:keyloan-system:keyloan"
    );
    assert_eq!(
        (own.namespace(), own.identity.groups.len()),
        (Some(OPERATOR_NAMESPACE), 0)
    );
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let shown = async || {
        let answer = probe_false_identity(&cluster.verbs, OPERATOR_NAMESPACE, &own.identity, now);
        verdict(&answer.await)
    };
    // Unsigned ones are stored where names are written by the API server.
    let grants = world.namespaced::<AccessGrant>(OPERATOR_NAMESPACE);
    let is_stamped = async || {
        let grant = json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant", "metadata": { "name": "unsigned" },
            "spec": {
                "integration": { "name": "prod" }, "item": { "vault": "v", "item": "i" },
                "notAfter": "2999-01-01T00:00:00Z",
            },
        });
        let grant = serde_json::from_value(grant).expect("a grant");
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        grants.create(&dry_run, &grant).await.is_ok()
    };
    let guards = "keyloan-grant-identity";
    // Right after the kinds were made, the API server does not know them everywhere.
    until("names are written", is_stamped).await;
    for stamped in [true, false] {
        if !stamped {
            Flaw::Deleted
                .make(&world, "MutatingAdmissionPolicyBinding", guards)
                .await;
            until("no names are written", async || !is_stamped().await).await;
        }
        let audit = Flaw::Member("/validationActions", json!(["Audit"]));
        for (kind, flaw) in [(POLICY, Flaw::Deleted), (BINDING, audit)] {
            assert_eq!(shown().await, Verdict::Guarded, "stamped: {stamped}");
            flaw.make(&world, kind, guards).await;
            until("it passes", async || {
                matches!(shown().await, Verdict::Open(why) if why.contains("accepts a request that"))
            })
            .await;
            mend(&world, kind, guards).await;
            until("it is refused again", async || {
                shown().await == Verdict::Guarded
            })
            .await;
        }
    }
}
