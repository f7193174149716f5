//! Loans outlive upgrades and the charts themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use keyloan::api::{
    ACCEPTED, AccessFlowSpec, AccessGrant, AccessRecord, EndReason, RENEW_ANNOTATION,
};
use keyloan::manifests::{Boundary, files};
use keyloan_cluster::{Chart, apply_yaml, wait_until};
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, ResourceExt, discovery};
use serde_json::{Value, json};

use crate::chart::installed::{FIRST, Installed};
use crate::world::{Ask, PLATFORM, Say, TEAM, World, condition, needs_approval};

/// The kinds and policies of the first release, as `helm package` made them, which kept links in the namespaces of requests; and the
/// operator of now.
fn first_kinds(chart: Chart) -> PathBuf {
    static UNPACKED: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-release");
        fs::create_dir_all(&folder).unwrap();
        let package =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keyloan-crds-0.1.0.tgz");
        let mut tar = Command::new("tar");
        let done = tar.arg("-xzf").arg(package).arg("-C").arg(&folder).status();
        assert!(done.unwrap().success());
        folder
    });
    match chart {
        Chart::Crds => UNPACKED.join(chart.name()),
        Chart::Operator | Chart::Config => chart.folder(),
    }
}

/// A release before this one, which has the same kinds and policies.
fn earlier_release(chart: Chart) -> PathBuf {
    static COPIED: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("earlier-release");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).unwrap();
        for chart in Chart::ALL {
            let mut copy = Command::new("cp");
            let done = copy.arg("-R").arg(chart.folder()).arg(&folder).status();
            assert!(done.unwrap().success());
            let about = folder.join(chart.name()).join("Chart.yaml");
            let text = fs::read_to_string(&about).unwrap();
            let earlier = text.replace("ersion: 0.1.0", "ersion: 0.0.9");
            assert_ne!(earlier, text);
            fs::write(&about, earlier).unwrap();
        }
        folder
    });
    COPIED.join(chart.name())
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
    assert_eq!(self::kinds(world).await, kinds, "no kind was created again");
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

/// Links used to lie in the namespaces of requests. The operator of now does not touch them: what is still there is for people to delete.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_release_one_command_lists_what_stays_readable_with_teams() {
    let mut installed = Installed::from(first_kinds, json!({})).await;
    installed.world.let_people_ask().await;
    installed.install().await;
    let world = &installed.world;
    are_of_this_release(world, &Boundary::default()).await;
    until_next_second(world).await;
    let grant = lend(world).await;

    let uid = "0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69";
    let left = format!("keyloan-link-{uid}");
    let marks = format!("{{keyloan.dev/secret: link, keyloan.dev/grant-uid: {uid}}}");
    let meta = format!("metadata: {{name: {left}, namespace: {TEAM}, labels: {marks}}}");
    let rbac = "rbac.authorization.k8s.io";
    let role = format!("{{apiGroup: {rbac}, kind: Role, name: {left}}}");
    let objects = [
        format!("{{apiVersion: v1, kind: Secret, {meta}, type: keyloan.dev/link}}"),
        format!("{{apiVersion: {rbac}/v1, kind: Role, {meta}, rules: []}}"),
        format!("{{apiVersion: {rbac}/v1, kind: RoleBinding, {meta}, roleRef: {role}}}"),
    ];
    let objects = objects.join("\n---\n");
    apply_yaml(&world.admin, &objects).await.unwrap();
    let page = include_str!("../../../docs/install.md");
    let command = page
        .lines()
        .find_map(|line| line.strip_prefix("kubectl get secrets,roles,rolebindings "))
        .expect("the page has the command");
    let listed = Command::new(world.cluster.binaries().kubectl())
        .arg("--kubeconfig")
        .arg(world.cluster.kubeconfig("admin"))
        .args(["get", "secrets,roles,rolebindings", "--output", "name"])
        .args(command.split(' ').map(|word| word.replace('\'', "")))
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let expected = [
        format!("secret/{left}"),
        format!("role.{rbac}/{left}"),
        format!("rolebinding.{rbac}/{left}"),
    ];
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
    end(world, &grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lent_and_what_guards_it_stays_when_the_charts_go() {
    let mut installed = Installed::from(|chart| chart.folder(), json!({})).await;
    let grant = lend(&installed.world).await;
    let before = kinds(&installed.world).await;
    assert_eq!(before.len(), 6);

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
    // A person who could delete a record could make the operator forget its residual.
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
pub async fn lend(world: &World) -> AccessGrant {
    world.let_people_ask().await;
    world.integration("prod", "lender").await;
    let databases = json!({ "include": [{ "vault": "Infra", "titles": ["db *"] }] });
    let databases = |flow: &mut AccessFlowSpec| {
        flow.items = serde_json::from_value(databases).unwrap();
    };
    world.flow("oncall", databases).await;
    lend_once_more(world).await
}

pub async fn lend_once_more(world: &World) -> AccessGrant {
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
pub async fn end(world: &World, grant: &AccessGrant) {
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
    let has_mutating = world.cluster.has_mutating_policies();
    let is_mutating = |wanted: &&Value| {
        let kind = wanted["kind"].as_str();
        kind.is_some_and(|kind| kind.starts_with("MutatingAdmissionPolicy"))
    };
    for wanted in objects.iter().filter(|o| has_mutating || !is_mutating(o)) {
        let types = serde_json::from_value(wanted.clone()).unwrap();
        let kind = GroupVersionKind::try_from(&types).unwrap();
        let kind = discovery::pinned_kind(&world.admin, &kind).await.unwrap().0;
        let api: Api<DynamicObject> = Api::all_with(world.admin.clone(), &kind);
        let name = wanted["metadata"]["name"].as_str().unwrap();
        let there = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
        assert!(
            holds(&there, wanted),
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
