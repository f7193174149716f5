//! Loans outlive upgrades and the charts themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use keyloan::api::{AccessGrant, AccessRecord, EndReason};
use keyloan_cluster::Chart;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::installed::Installed;
use crate::world::{Ask, PLATFORM, TEAM, World};

/// The first release of a chart, as `helm package` made it, but with the policies of now: this operator lends under no others.
fn first_release(chart: Chart) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(format!("{}-0.1.0.tgz", chart.name()));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-release");
    fs::create_dir_all(&folder).unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(package)
        .arg("-C")
        .arg(&folder)
        .status();
    assert!(unpacked.unwrap().success());
    let unpacked = folder.join(chart.name());
    for template in fs::read_dir(chart.folder().join("templates")).unwrap() {
        let template = template.unwrap();
        let name = template.file_name().into_string().unwrap();
        if name.starts_with("policy-") {
            fs::copy(template.path(), unpacked.join("templates").join(name)).unwrap();
        }
    }
    unpacked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_goes_on_through_an_upgrade_of_both_charts() {
    let mut installed = Installed::from(first_release, json!({})).await;
    let grant = lend(&installed.world).await;
    let before = installed.world.read_link("alice", &grant).await.unwrap();
    let kinds = kinds(&installed.world).await;

    installed.install().await;
    let world = &installed.world;
    assert_eq!(self::kinds(world).await, kinds, "no kind was made anew");
    // The operator that runs now lends, so it has looked at everything.
    let next = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&next).await;
    let grant = world.until_active(&grant).await;
    let after = world.read_link("alice", &grant).await.unwrap();
    assert_eq!(after, before, "the same link");
    let opened = world.control.open(&after["url"], "alice@example.com").await;
    assert_eq!(
        opened.unwrap().value("password"),
        Some("correct-horse-battery-staple")
    );
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
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&grant).await
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
