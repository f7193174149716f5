//! Kinds and records of the release before or after this operator's: nothing new is lent, what runs goes on and ends, and the
//! fields that this operator does not know stay.

use std::time::Duration;

use keyloan::api::*;
use keyloan::plan::boundary::{fields_of, fields_served};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, Request};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::world::{Ask, PLATFORM, Say, TEAM, World, condition, needs_approval};

/// Two of security have to agree.
const TWO: &[(&str, &str, u32)] = &[("security", "security", 2)];

/// The operator looks at the kinds at least so often.
const LOOKED_AT: Duration = Duration::from_secs(11 * 60);

/// A field that the next release might have, and what its operator would write there.
const ADDED: &str = "addedLater";
const WRITTEN: &str = "by the next release";

#[tokio::test(flavor = "multi_thread")]
async fn under_the_kinds_of_the_next_release_loans_go_on_and_what_it_has_written_stays() {
    let world = World::start().await;
    let half_way = half_way(&world).await;
    let this = definitions(&world).await;
    let mut next = this.clone();
    for (kind, part) in PARTS_ADDED_TO {
        fields(&mut next, kind, part)[ADDED] = json!({ "type": "string" });
    }
    install(&world, &next).await;
    write_as_the_next_operator(&world, &half_way.runs).await;
    goes_on_and_ends(&world, &half_way).await;

    let grant = object(&world, "AccessGrant", TEAM, &half_way.runs.name_any()).await;
    let record = object(
        &world,
        "AccessRecord",
        PLATFORM,
        &half_way.runs.uid().unwrap(),
    )
    .await;
    let flow = object(&world, "AccessFlow", PLATFORM, "reviewed").await;
    let integration = object(&world, "OnePasswordIntegration", PLATFORM, "prod").await;
    for kept in [
        &grant["status"],
        &record["spec"],
        &flow["spec"],
        &flow["status"],
        &integration["status"],
    ] {
        assert_eq!(kept[ADDED], WRITTEN, "{kept:#}");
    }
    // The chart of this release again, as by a rollback.
    install(&world, &this).await;
    is_lent(&world, &half_way).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_kinds_of_the_release_before_loans_go_on_and_nothing_new_is_lent_until_the_upgrade()
 {
    let world = World::start().await;
    let half_way = half_way(&world).await;
    let this = definitions(&world).await;
    let mut before = this.clone();
    for (kind, part, field) in PARTS_TAKEN_FROM {
        let members = fields(&mut before, kind, part).as_object_mut();
        members.expect("members").remove(field).expect(field);
    }
    install(&world, &before).await;
    goes_on_and_ends(&world, &half_way).await;
    let record = object(
        &world,
        "AccessRecord",
        PLATFORM,
        &half_way.runs.uid().unwrap(),
    )
    .await;
    assert_eq!(record["spec"]["install"], Value::Null, "the kind lacks it");

    install(&world, &this).await;
    is_lent(&world, &half_way).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loan_of_an_operator_of_the_release_before_is_taken_over_renewed_and_ended() {
    let mut world = World::start().await;
    let half_way = half_way(&world).await;
    world.crash_operator();
    // What records did not have from the beginning.
    let records: Api<AccessRecord> = Api::namespaced(world.as_operator().await, PLATFORM);
    let name = half_way.runs.uid().expect("one");
    let mut links = records.get(&name).await.expect("there").spec.links;
    for link in &mut links {
        (link.attempt, link.item_version) = (None, None);
    }
    let older = json!({ "spec": { "install": null, "outcome": null, "links": links } });
    let (params, older) = (PatchParams::default(), Patch::Merge(&older));
    let patched = records.patch(&name, &params, &older).await;
    patched.expect("patched");

    world.restart_operator().await;
    renewed_and_revoked(&world, &half_way.runs).await;
    is_lent(&world, &half_way).await;
}

/// Where the next release has a field more: the schema of a kind, and a part of it.
const PARTS_ADDED_TO: [(&str, &str); 5] = [
    ("AccessGrant", "status"),
    ("AccessRecord", "spec"),
    ("AccessFlow", "spec"),
    ("AccessFlow", "status"),
    ("OnePasswordIntegration", "status"),
];

/// Where the release before lacks a field: fields that came later, and are not in a rule.
const PARTS_TAKEN_FROM: [(&str, &str, &str); 2] = [
    ("AccessRecord", "spec", "install"),
    ("AccessGrant", "status", "earlierDenials"),
];

/// What there is when the kinds change.
struct HalfWay {
    runs: AccessGrant,
    /// One of two has approved it.
    approved: AccessGrant,
}

async fn half_way(world: &World) -> HalfWay {
    world.integration("prod", "lender").await;
    world.flow("reviewed", needs_approval("AllOf", TWO)).await;
    let runs = waiting(world).await;
    for who in ["carol", "dave"] {
        world.decide(who, &runs, Say::approve(&runs)).await;
    }
    let runs = world.until_active(&runs).await;
    let approved = waiting(world).await;
    let yes = Say::approve(&approved);
    world.decide("carol", &approved, yes).await;
    let counts = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.decisions.len() == 1);
    let approved = world.until(&approved, counts).await;
    HalfWay { runs, approved }
}

async fn waiting(world: &World) -> AccessGrant {
    let ask = Ask::item("db password").lasting("4h");
    let grant = world.ask("alice", ask).await;
    let waits = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.waiting_for.is_some());
    world.until(&grant, waits).await
}

/// The operator finds the boundary broken: the second approval brings no loan. The loan that runs is renewed and revoked.
async fn goes_on_and_ends(world: &World, half_way: &HalfWay) {
    world.advance(LOOKED_AT).await;
    let broken = world.until_integration("prod", "False").await;
    assert_eq!(broken, "BoundaryNotInForce");
    let yes = Say::approve(&half_way.approved);
    world.decide("dave", &half_way.approved, yes).await;
    let is_told = |g: &AccessGrant| {
        let accepted = condition(g, ACCEPTED);
        accepted.is_some_and(|c| c.message.contains("BoundaryNotInForce"))
    };
    let told = world.until(&half_way.approved, is_told).await;
    let phase = told.status.and_then(|s| s.phase);
    assert_eq!(phase, Some(Phase::Pending));
    renewed_and_revoked(world, &half_way.runs).await;
    let shares = world.control.shares().await.expect("shares").len();
    assert_eq!(shares, 2, "the links of the loan that ran");
}

async fn renewed_and_revoked(world: &World, grant: &AccessGrant) {
    world.advance(Duration::from_secs(55 * 60)).await;
    let now = world.now().to_string();
    world.annotate(grant, RENEW_ANNOTATION, &now).await;
    let renewed = |g: &AccessGrant| {
        let link = g.status.as_ref().and_then(|s| s.link.as_ref());
        link.is_some_and(|link| link.sequence == 2)
    };
    let grant = world.until(grant, renewed).await;
    world.opens_for("alice", &grant).await;
    world.decide("alice", &grant, Say::revoke(&grant)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Revoked));
    world.until_link_gone(&grant).await;
}

/// With the right kinds, the approvals of before count.
async fn is_lent(world: &World, half_way: &HalfWay) {
    world.advance(LOOKED_AT).await;
    assert_eq!(world.until_integration("prod", "True").await, "Ready");
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    let now = grants.get(&half_way.approved.name_any()).await;
    let now = now.expect("there");
    if condition(&now, APPROVED).is_none_or(|c| c.status != "True") {
        // One who has decided already is not counted twice.
        world.decide("dave", &now, Say::approve(&now)).await;
    }
    world.until_active(&half_way.approved).await;
}

/// The definitions of our kinds, as they are now.
async fn definitions(world: &World) -> Vec<DynamicObject> {
    let all = definitions_api(world).list(&Default::default()).await;
    let mut all = all.expect("listed").items;
    all.retain(|definition| definition.name_any().ends_with(".keyloan.dev"));
    all
}

fn definitions_api(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Api::all_with(world.admin.clone(), &ApiResource::from_gvk(&kind))
}

/// The fields of a part of a kind.
fn fields<'a>(definitions: &'a mut [DynamicObject], kind: &str, part: &str) -> &'a mut Value {
    let of_kind = |d: &&mut DynamicObject| d.data["spec"]["names"]["kind"] == kind;
    let definition = definitions.iter_mut().find(of_kind).expect(kind);
    let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}/properties");
    definition.data.pointer_mut(&path).expect(part)
}

/// Replaces the definitions; returns when the API server describes the kinds as they are now.
async fn install(world: &World, definitions: &[DynamicObject]) {
    let api = definitions_api(world);
    for definition in definitions {
        let name = definition.name_any();
        let mut now = api.get(&name).await.expect("there");
        now.data = definition.data.clone();
        let replaced = api.replace(&name, &PostParams::default(), &now).await;
        replaced.expect("replaced");
    }
    let data: Vec<Value> = definitions.iter().map(|d| d.data.clone()).collect();
    let wanted = fields_of(&data);
    let described = async || {
        let request = Request::new(format!("/openapi/v3/apis/{GROUP}"));
        let request = request.get(VERSION, &Default::default()).expect("a path");
        let document: Value = world.admin.request(request).await.expect("an answer");
        let served = fields_served(&document);
        let is_described = |(kind, fields)| served.get(kind) == Some(fields);
        wanted.iter().all(is_described).then_some(())
    };
    let what = "the API server describes the kinds";
    let waited = keyloan_cluster::wait_until(what, Duration::from_secs(60), described).await;
    waited.expect(what);
}

/// In each object the field of the next release: as its operator, because admission lets nobody else write statuses and records.
async fn write_as_the_next_operator(world: &World, grant: &AccessGrant) {
    let operator = world.as_operator().await;
    let added = json!({ ADDED: WRITTEN });
    let (spec, status) = (json!({ "spec": added }), json!({ "status": added }));
    let name = grant.name_any();
    let uid = grant.uid().expect("one");
    for (client, kind, namespace, name, part) in [
        (&operator, "AccessGrant", TEAM, name.as_str(), "status"),
        (&operator, "AccessRecord", PLATFORM, uid.as_str(), "spec"),
        (&world.admin, "AccessFlow", PLATFORM, "reviewed", "spec"),
        (&operator, "AccessFlow", PLATFORM, "reviewed", "status"),
        (
            &operator,
            "OnePasswordIntegration",
            PLATFORM,
            "prod",
            "status",
        ),
    ] {
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &resource(kind));
        let params = PatchParams::default();
        let written = match part {
            "spec" => api.patch(name, &params, &Patch::Merge(&spec)).await,
            _ => {
                api.patch_status(name, &params, &Patch::Merge(&status))
                    .await
            }
        };
        let written = written.expect("written");
        assert_eq!(written.data[part][ADDED], WRITTEN);
    }
}

async fn object(world: &World, kind: &str, namespace: &str, name: &str) -> Value {
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.admin.clone(), namespace, &resource(kind));
    api.get(name).await.expect("there").data
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind))
}
