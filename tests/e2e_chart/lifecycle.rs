//! Loans outlive upgrades and the charts themselves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;
use std::{fs, io};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use keyloan::api::{
    ACCEPTED, AccessFlowSpec, AccessGrant, AccessRecord, EndReason, RENEW_ANNOTATION,
};
use keyloan::manifests::{Boundary, files};
use keyloan_cluster::{Chart, wait_until};
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, ResourceExt, discovery};
use serde_json::{Value, json};

use crate::installed::{FIRST, Installed};
use crate::world::{Ask, PLATFORM, Say, TEAM, World, condition, needs_approval};

/// The first release of a chart, as `helm package` made it. This operator lends under no policies but those of now.
fn first_release(chart: Chart) -> PathBuf {
    // Unpacked once for all tests.
    static UNPACKED: LazyLock<PathBuf> = LazyLock::new(|| unpacked("first-release").unwrap());
    UNPACKED.join(chart.name())
}

/// The same with the kinds and policies of now and the rights that go with them, as one would be that leaves them as they were.
fn earlier_release(chart: Chart) -> PathBuf {
    static UNPACKED: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = unpacked("earlier-release").unwrap();
        take_kinds_and_policies_of_now(&folder).unwrap();
        folder
    });
    UNPACKED.join(chart.name())
}

fn unpacked(name: &str) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder)?;
    for chart in Chart::ALL {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(format!("{}-0.1.0.tgz", chart.name()));
        let mut tar = Command::new("tar");
        let done = tar.arg("-xzf").arg(package).arg("-C").arg(&folder).status();
        assert!(done?.success());
    }
    Ok(folder)
}

fn take_kinds_and_policies_of_now(folder: &Path) -> io::Result<()> {
    let templates = folder.join(Chart::Crds.name()).join("templates");
    for template in fs::read_dir(Chart::Crds.folder().join("templates"))? {
        let template = template?;
        if template.file_name().to_string_lossy().ends_with(".yaml") {
            fs::copy(template.path(), templates.join(template.file_name()))?;
        }
    }
    let rights = Path::new("templates/rights-boundary.yaml");
    let operator = folder.join(Chart::Operator.name());
    fs::copy(Chart::Operator.folder().join(rights), operator.join(rights)).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn loans_and_requests_go_on_through_an_upgrade_of_both_charts() {
    let mut installed = Installed::from(earlier_release, json!({})).await;
    let grant = lend(&installed.world).await;
    let before = installed.world.read_link("alice", &grant).await.unwrap();
    let waiting = half_approved(&installed.world).await;
    let kinds = kinds(&installed.world).await;

    installed.install().await;
    let world = &installed.world;
    assert_eq!(self::kinds(world).await, kinds, "no kind was made anew");
    are_of_this_release(world, &Boundary::default()).await;
    // The approval of before counts on.
    world.decide("bob", &waiting, Say::approve(&waiting)).await;
    world.until_active(&waiting).await;
    let after = world.read_link("alice", &grant).await.unwrap();
    assert_eq!(after, before, "the same link");
    let opened = world.control.open(&after["url"], "alice@example.com").await;
    assert_eq!(
        opened.unwrap().value("password"),
        Some("correct-horse-battery-staple")
    );
    take_over(&mut installed).await;
    renew(&installed.world, &grant, 2).await;
    end(&installed.world, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_upgrade_changes_the_policies_loans_go_on_and_requests_are_made_again() {
    let mut installed = Installed::from(earlier_release, json!({})).await;
    let grant = lend(&installed.world).await;
    let before = installed.world.read_link("alice", &grant).await.unwrap();
    let waiting = half_approved(&installed.world).await;

    let changed = Boundary {
        email: "string(request.userInfo.username).lowerAscii()".into(),
        ..Boundary::default()
    };
    installed.policies = json!({ "email": changed.email });
    installed.install().await;
    let world = &installed.world;
    are_of_this_release(world, &changed).await;
    world
        .until(&waiting, unaccepted("IdentityUnverified"))
        .await;
    until_next_second(world).await;
    let again = ask_for_approval(world).await;
    for who in ["carol", "bob"] {
        world.decide(who, &again, Say::approve(&again)).await;
    }
    world.until_active(&again).await;
    let after = world.read_link("alice", &grant).await.unwrap();
    assert_eq!(after, before, "the same link");
    take_over(&mut installed).await;
    renew(&installed.world, &grant, 2).await;
    end(&installed.world, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_release_to_this_one_and_back_and_on_again_a_loan_goes_on() {
    let mut installed = Installed::from(first_release, json!({})).await;
    let world = &installed.world;
    world.let_people_ask().await;
    let early = is_held_up(world).await;

    installed.install().await;
    let world = &installed.world;
    are_of_this_release(world, &Boundary::default()).await;
    world.until(&early, unaccepted("IdentityUnverified")).await;
    until_next_second(world).await;
    let grant = lend(world).await;
    let before = world.read_link("alice", &grant).await.unwrap();

    // The kinds and policies alone: an operator that can no longer vouch for people still does what it owes them.
    installed.roll_back_policies().await;
    let world = &installed.world;
    let meanwhile = is_held_up(world).await;
    let after = world.read_link("alice", &grant).await.unwrap();
    assert_eq!(after, before, "the same link");
    take_over(&mut installed).await;
    let world = &installed.world;
    renew(world, &grant, 2).await;

    installed.install_policies().await;
    are_of_this_release(world, &Boundary::default()).await;
    world
        .until(&meanwhile, unaccepted("IdentityUnverified"))
        .await;
    until_next_second(world).await;
    let another = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&another).await;
    renew(world, &grant, 3).await;
    end(world, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lent_and_what_guards_it_stays_when_the_charts_go() {
    let mut installed = Installed::from(|chart| chart.folder(), json!({})).await;
    let grant = lend(&installed.world).await;
    let before = kinds(&installed.world).await;
    assert_eq!(before.len(), 5);

    let said = installed.uninstall().await;
    assert!(said.contains("kept due to the resource policy"), "{said}");
    let world = &installed.world;
    assert_eq!(kinds(world).await, before);
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    let status = grants.get(&grant.name_any()).await.unwrap().status;
    assert_eq!(status, grant.status);
    let records: Api<AccessRecord> = Api::namespaced(world.admin.clone(), PLATFORM);
    let record = records.get(&grant.uid().unwrap()).await.unwrap();
    assert_eq!(record.spec.end, None);
    let link = world.read_link("alice", &grant).await.unwrap();
    assert!(link["url"].starts_with("http"));
    let refused = world.read_link("mallory", &grant).await.unwrap_err();
    assert!(refused.contains("Forbidden"), "{refused}");
    // Whoever could delete a record would have its residual forgotten.
    let refused = records
        .delete(&record.name_any(), &DeleteParams::default())
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("keyloan-records: "),
        "{refused}"
    );

    installed.install().await;
    end(&installed.world, &grant).await;
}

/// Alice borrows the database's password.
async fn lend(world: &World) -> AccessGrant {
    world.let_people_ask().await;
    world.integration("prod", "lender").await;
    let databases = json!({ "include": [{ "vault": "Infra", "titles": ["db *"] }] });
    let databases = |flow: &mut AccessFlowSpec| {
        flow.items = serde_json::from_value(databases).unwrap();
    };
    world.flow("oncall", databases).await;
    let ask = Ask::item("db password").lasting("3h");
    let grant = world.ask("alice", ask).await;
    world.until_active(&grant).await
}

/// She asks for what two groups have to agree to, and one of them has.
async fn half_approved(world: &World) -> AccessGrant {
    let groups = &[
        ("security", "security", 1),
        ("platform", "platform-owners", 1),
    ];
    let both = needs_approval("AllOf", groups);
    world.flow("by-approval", both).await;
    let grant = ask_for_approval(world).await;
    world.decide("carol", &grant, Say::approve(&grant)).await;
    let counted = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.decisions.len() == 1);
    world.until(&grant, counted).await
}

async fn ask_for_approval(world: &World) -> AccessGrant {
    let grant = world.ask("alice", Ask::item("web console")).await;
    let waits = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.waiting_for.is_some());
    world.until(&grant, waits).await
}

/// She asks under kinds and policies that are another release's: her request waits for this one's.
async fn is_held_up(world: &World) -> AccessGrant {
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until(&grant, unaccepted("BoundaryNotInForce")).await;
    let accepted = condition(&grant, ACCEPTED).expect("said");
    assert!(
        accepted.message.contains("older than this operator"),
        "{}",
        accepted.message
    );
    grant
}

fn unaccepted(reason: &str) -> impl Fn(&AccessGrant) -> bool {
    move |grant| {
        let accepted = condition(grant, ACCEPTED);
        accepted.is_some_and(|c| c.status != "True" && c.reason == reason)
    }
}

/// What is made in the second in which the policies change is not vouched for, either.
async fn until_next_second(world: &World) {
    let config_maps: Api<ConfigMap> = Api::namespaced(world.admin.clone(), TEAM);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut moment = ConfigMap::default();
    moment.metadata.name = Some("moment".into());
    let now = async || {
        let made = config_maps.create(&dry_run, &moment).await.unwrap();
        made.metadata.creation_timestamp
    };
    let then = now().await;
    let next = async || (now().await != then).then_some(());
    let what = "the API server's next second";
    wait_until(what, Duration::from_secs(10), next)
        .await
        .unwrap();
}

/// From now on the operator is one whose clock can be moved.
async fn take_over(installed: &mut Installed) {
    installed.start_replica_here("keyloan-1").await;
    installed.stop_replica(FIRST).await;
}

/// The operator makes the next link, when it is time.
async fn renew(world: &World, grant: &AccessGrant, sequence: u32) {
    world.advance(Duration::from_secs(55 * 60)).await;
    let now = world.now().to_string();
    world.annotate(grant, RENEW_ANNOTATION, &now).await;
    let renewed = |g: &AccessGrant| {
        let link = g.status.as_ref().and_then(|s| s.link.as_ref());
        link.is_some_and(|link| link.sequence == sequence)
    };
    let grant = world.until(grant, renewed).await;
    let link = world.read_link("alice", &grant).await.unwrap();
    let opened = world.control.open(&link["url"], "alice@example.com").await;
    assert!(opened.is_ok());
}

/// She gives it back, and the operator sees to it.
async fn end(world: &World, grant: &AccessGrant) {
    world.delete("alice", grant).await;
    let record = world.until_record(grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Deleted));
    world.until_link_gone(grant).await;
}

/// The uids of our kinds.
async fn kinds(world: &World) -> Vec<Option<String>> {
    let definitions: Api<CustomResourceDefinition> = Api::all(world.admin.clone());
    let all = definitions.list(&ListParams::default()).await.unwrap();
    let ours = all.items.iter().filter(|d| d.spec.group == "keyloan.dev");
    ours.map(ResourceExt::uid).collect()
}

/// Every kind and policy is as this release has it; the API server only adds what goes without saying.
async fn are_of_this_release(world: &World, boundary: &Boundary) {
    let files = files(boundary).unwrap();
    let objects: Vec<_> = files.into_iter().flat_map(|file| file.objects).collect();
    assert!(objects.len() > 15, "{objects:#?}");
    for wanted in objects {
        let types = serde_json::from_value(wanted.clone()).unwrap();
        let kind = GroupVersionKind::try_from(&types).unwrap();
        let kind = discovery::pinned_kind(&world.admin, &kind).await.unwrap().0;
        let api: Api<DynamicObject> = Api::all_with(world.admin.clone(), &kind);
        let name = wanted["metadata"]["name"].as_str().unwrap();
        let there = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
        assert!(
            holds(&there, &wanted),
            "{name}: {there:#}\nwanted: {wanted:#}"
        );
    }
}

fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            let there = there.get(key).unwrap_or(&Value::Null);
            holds(there, wanted)
        }),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len() && there.iter().zip(wanted).all(|(t, w)| holds(t, w))
        }
        // An empty list is left out.
        (Value::Null, Value::Array(wanted)) => wanted.is_empty(),
        _ => there == wanted,
    }
}
