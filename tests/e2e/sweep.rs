//! Leftovers are deleted: of loans that end while no operator runs, of crashes, of namespaces that
//! are no longer served. The objects of a running loan stay, and so do those of another
//! installation.

use std::time::Duration;

use crate::world::{Ask, LINKS, PLATFORM, TEAM, World};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use keyloan::api::{AccessGrant, EndReason, Identity, Phase, RENEW_ANNOTATION, link_name};
use keyloan::cluster::link_objects::{self, NO_URL};
use keyloan::cluster::{Install, LINKS_LEASE};
use keyloan::operator::start;
use keyloan::plan::delivery::steps::LinkFacts;
use kube::api::{DeleteParams, PostParams, PropagationPolicy};
use kube::{Api, ResourceExt};

const UID: &str = "5af1b1e5-253d-4248-bfcb-ecf3b5ae084b";
const MINUTE: Duration = Duration::from_secs(60);

/// Deletes a grant so that what it owns is orphaned.
async fn delete_as_orphan(world: &World, grant: &AccessGrant) {
    let alice = world.cluster.client("alice").await.expect("a client");
    let grants: Api<AccessGrant> = Api::namespaced(alice, TEAM);
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let deleted = grants.delete(&grant.name_any(), &orphan).await;
    deleted.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_deletes_a_request_and_asks_for_its_orphans_leaves_none() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    for is_away in [false, true] {
        let grant = world.ask("alice", Ask::item("db password")).await;
        let grant = world.until_active(&grant).await;
        if is_away {
            world.crash_operator();
        }
        delete_as_orphan(&world, &grant).await;
        if is_away {
            world.restart_operator().await;
        }
        let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
        assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Deleted));
        world.until_link_gone(&grant).await;
    }
}

fn facts(world: &World) -> LinkFacts {
    LinkFacts {
        sequence: 1,
        issued_at: world.now(),
        expires_at: world.now(),
        item_version: 1,
        access_details: None,
    }
}

/// What a crash leaves behind, as this install makes it: the Secret with its Role and RoleBinding, of a grant of this uid.
async fn leave_behind(world: &World, install: &Install, uid: &str) {
    let operator = world.as_operator().await;
    let params = PostParams::default();
    let facts = facts(world);
    let roles: Api<Role> = Api::namespaced(operator.clone(), LINKS);
    let role = roles
        .create(&params, &link_objects::role(install, uid))
        .await;
    let role_uid = role.expect("created").uid().expect("one");
    let alice = Identity {
        username: "alice@example.com".into(),
        ..Identity::default()
    };
    let bindings: Api<RoleBinding> = Api::namespaced(operator.clone(), LINKS);
    let binding = link_objects::role_binding(install, uid, &role_uid, &alice);
    bindings.create(&params, &binding).await.expect("created");
    let secrets: Api<Secret> = Api::namespaced(operator, LINKS);
    let secret = link_objects::secret(install, uid, &role_uid, NO_URL, &facts);
    secrets.create(&params, &secret).await.expect("created");
}

/// How many of the three objects of a link are there.
async fn left(world: &World, uid: &str) -> usize {
    let name = link_name(uid);
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), LINKS);
    let roles: Api<Role> = Api::namespaced(world.admin.clone(), LINKS);
    let bindings: Api<RoleBinding> = Api::namespaced(world.admin.clone(), LINKS);
    let there = [
        secrets.get_opt(&name).await.expect("readable").is_some(),
        roles.get_opt(&name).await.expect("readable").is_some(),
        bindings.get_opt(&name).await.expect("readable").is_some(),
    ];
    there.into_iter().filter(|is_there| *is_there).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_loan_stands_for_is_swept_at_the_start_and_every_hour_and_nothing_else_is() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let ask = Ask::item("db password").lasting("8h");
    let running = world.until_active(&world.ask("alice", ask).await).await;
    let ours = world.settings.install.clone();
    let other = Install {
        name: "other".into(),
        ..ours.clone()
    };
    let of_other = "00000000-0000-4000-8000-000000000001";
    leave_behind(&world, &other, of_other).await;
    for at_start in [true, false] {
        leave_behind(&world, &ours, UID).await;
        world.advance(61 * MINUTE).await;
        if at_start {
            world.restart_operator().await;
        }
        world.until_none_left(UID).await;
    }
    assert_eq!(left(&world, of_other).await, 3, "another install's");
    let uid = running.uid().expect("one");
    assert_eq!(left(&world, &uid).await, 3, "a running loan's");
}

/// They are listed by pages of 500.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_are_left_behind_all_are_swept() {
    const MORE_THAN_A_PAGE: u32 = 510;
    let mut world = World::start().await;
    world.crash_operator();
    let install = world.settings.install.clone();
    let secrets: Api<Secret> = Api::namespaced(world.as_operator().await, LINKS);
    let facts = facts(&world);
    let uids: Vec<_> = (1..=MORE_THAN_A_PAGE)
        .map(|n| format!("00000000-0000-4000-8000-{n:012}"))
        .collect();
    let leaving = uids.iter().map(|uid| {
        let mut secret = (*link_objects::secret(&install, uid, "", NO_URL, &facts)).clone();
        // Otherwise the garbage collector may be faster.
        secret.metadata.owner_references = None;
        let secrets = &secrets;
        async move {
            let params = PostParams::default();
            secrets.create(&params, &secret).await.map(drop)
        }
    });
    let left = futures::stream::iter(leaving).buffer_unordered(16);
    left.try_collect::<()>().await.expect("all are created");
    world.restart_operator().await;
    // The first and the last that are listed.
    world.until_none_left(&uids[0]).await;
    world.until_none_left(&uids[uids.len() - 1]).await;
    let all = secrets.list_metadata(&Default::default()).await;
    let links = all.expect("listed").items.into_iter();
    let links = links.filter(|secret| secret.name_any().starts_with("keyloan-link-"));
    assert_eq!(links.count(), 0);
}

/// The record of a loan and its request are deleted while nobody looks, as by a restored backup: nothing is known of it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_which_neither_request_nor_record_is_left_is_swept() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    world.crash_operator();
    world.delete_record(&grant).await;
    world.delete("alice", &grant).await;
    world.advance(11 * MINUTE).await;
    world.restart_operator().await;
    world.until_link_gone(&grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loans_of_a_namespace_that_is_served_no_more_run_out_and_nothing_is_lent_there() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let ask = Ask::item("db password").lasting("2h");
    let grant = world.until_active(&world.ask("alice", ask).await).await;
    world.crash_operator();
    world.settings.install.integration_namespaces = ["elsewhere".into()].into();
    world.restart_operator().await;
    let events: Api<Event> = Api::namespaced(world.admin.clone(), PLATFORM);
    world
        .until_listed(&events, |e| e.reason.as_deref() == Some("NotServed"))
        .await;
    assert!(world.read_link("alice", &grant).await.is_ok(), "it runs");

    // Another request, and a request for the next link, are left to the installation that serves
    // the namespace.
    let asked = world.ask("alice", Ask::item("db password")).await;
    world.advance(61 * MINUTE).await;
    let now = world.now().to_string();
    world.annotate(&grant, RENEW_ANNOTATION, &now).await;
    world.advance(60 * MINUTE).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Expired));
    assert_eq!(record.spec.links.len(), 1, "no other link");
    world.until_link_gone(&grant).await;
    world
        .until(&grant, |g| {
            g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Ended)
        })
        .await;
    let untouched = world.until(&asked, |_| true).await;
    let status = untouched.status.expect("the default");
    assert_eq!(status.observed_generation, Some(-1));
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_install_holds_a_links_namespace_and_another_one_is_told_what_to_do() {
    let mut world = World::start().await;
    let mut settings = world.settings.clone();
    settings.install.name = "other".into();
    let refusal = start(settings.clone())
        .await
        .expect_err("refused")
        .to_string();
    for told in [
        LINKS,
        "\"keyloan\"",
        "\"other\"",
        "--links-namespace",
        LINKS_LEASE,
    ] {
        assert!(refusal.contains(told), "{told}: {refusal}");
    }
    // Its own holder comes back to it.
    world.restart_operator().await;
    let leases: Api<Lease> = Api::namespaced(world.admin.clone(), LINKS);
    let lease = leases.get(LINKS_LEASE).await.expect("there");
    let holder = lease.spec.and_then(|spec| spec.holder_identity);
    assert_eq!(holder.as_deref(), Some("keyloan"));

    world.crash_operator();
    let gone = leases.delete(LINKS_LEASE, &DeleteParams::default()).await;
    gone.expect("deleted");
    let other = start(settings).await.expect("it may now");
    drop(other);
    let lease = leases.get(LINKS_LEASE).await.expect("there");
    let holder = lease.spec.and_then(|spec| spec.holder_identity);
    assert_eq!(holder.as_deref(), Some("other"));
}
