//! Kinds that are not there yet, or are of another release than the operator.

use std::sync::Arc;

use keyloan::api::{GROUP, VERSION};
use keyloan::cluster::{Cluster, Install};
use keyloan::plan::boundary::{fields_of, fields_served};
use keyloan::telemetry::Metrics;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::operator::{readyz, until_ready};
use super::{count, until};
use crate::support::log::listen;
use crate::support::{World, said};

/// All tasks run on one thread, to whose lines it listens.
#[tokio::test]
async fn an_operator_that_starts_before_its_kinds_says_so_and_begins_when_they_come() {
    let mut world = World::without_kinds().await;
    let log = listen();
    world.start_operator().await;
    until("it says so", async || {
        let (status, page) = readyz(&world).await;
        status == 503
            && page.contains(
                "the kinds of keyloan.dev are not installed: install the chart keyloan-crds",
            )
    })
    .await;
    // It asks again and again, and blames nothing else.
    let kinds = [
        "OnePasswordIntegration",
        "AccessFlow",
        "AccessGrant",
        "AccessDecision",
        "AccessRecord",
    ];
    until("it has asked again", async || {
        let page = world.metrics().await;
        let asked = |kind: &&str| count(&page, &format!("watch_errors_total{{kind=\"{kind}\"}}"));
        kinds.iter().all(|kind| asked(kind) >= 3.0)
    })
    .await;
    let lines = log.heard();
    for kind in kinds {
        let of_kind = format!("kind=\"{kind}\"");
        let warns = |line: &&String| line.starts_with("WARN") && line.contains(&of_kind);
        let warnings: Vec<_> = lines.iter().filter(warns).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("install the chart keyloan-crds"),
            "{warnings:?}"
        );
    }
    let blames_rights = |line: &&String| line.contains("role") || line.contains("may not");
    assert_eq!(lines.iter().find(blames_rights), None);
    world.apply(&World::kinds()).await;
    until_ready(&world).await;
    world.put_integration("prod", json!({})).await;
    world
        .integration("prod", "BoundaryInForce", "True BoundaryInForce")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_of_another_release_are_told_before_anything_is_written() {
    let mut world = World::without_operator().await;
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let definitions: Api<DynamicObject> =
        Api::all_with(world.admin.clone(), &ApiResource::from_gvk(&kind));
    let name = "accessrecords.keyloan.dev";
    let shipped = definitions.get(name).await.expect("there");
    let members = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let mut older = shipped.data.clone();
    let spec = older.pointer_mut(members).and_then(Value::as_object_mut);
    spec.expect("members").remove("residualUntil").expect("one");
    let mut newer = shipped.data.clone();
    newer.pointer_mut(members).expect("members")["futureField"] = json!({ "type": "string" });
    let replace = async |data: &Value| {
        let mut object = definitions.get(name).await.expect("there");
        object.data = data.clone();
        let params = PostParams::default();
        let replaced = definitions.replace(name, &params, &object);
        replaced.await.expect("replaced");
    };
    world.put_integration("prod", json!({})).await;
    for (data, says) in [
        (
            older,
            "the kind AccessRecord is older than this operator and has no spec.residualUntil: upgrade the chart keyloan-crds",
        ),
        (
            newer,
            "the kind AccessRecord is newer than this operator, which does not know its spec.futureField: upgrade the operator",
        ),
    ] {
        replace(&data).await;
        until_described(&world, &data).await;
        world.start_operator().await;
        until("it says so", async || {
            let (status, page) = readyz(&world).await;
            status == 503 && page.contains(says)
        })
        .await;
        let prod = world
            .integration("prod", "BoundaryInForce", "False BoundaryNotInForce")
            .await;
        let conditions = prod.status.expect("a status").conditions;
        // It has no token either, which comes first.
        assert_eq!(said(&conditions, "Ready"), "False SecretMissing");
        // Nothing is void for it: with the right kinds all goes on.
        replace(&shipped.data).await;
        until_ready(&world).await;
        world.stop_operator().await;
    }
}

/// The API server describes a kind as it is now a moment after that was changed.
async fn until_described(world: &World, definition: &Value) {
    let metrics = Arc::new(Metrics::new());
    let cluster = Cluster::new(
        world.admin.clone(),
        Install::default(),
        keyloan::runtime::Clock::system(),
        metrics,
    );
    let expected = fields_of(std::slice::from_ref(definition));
    until("the kind is described", async || {
        let document = cluster.verbs.schemas(GROUP, VERSION).await;
        let served = fields_served(&document.expect("an answer").expect("kinds"));
        expected
            .iter()
            .all(|(kind, fields)| served.get(kind) == Some(fields))
    })
    .await;
}
