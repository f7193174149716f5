//! Loans that people give back while Keyloan is uninstalled: only the link's own end limits them, until Keyloan is back.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use keyloan::api::{AccessGrant, EndReason, link_name};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::chart::installed::Installed;
use crate::chart::lifecycle::{lend, lend_once_more};
use crate::world::{LINKS, Say, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_while_keyloan_is_uninstalled_ends_once_it_is_back_and_only_the_link_ends_before()
 {
    let mut installed = Installed::from(|chart| chart.folder(), json!({})).await;
    let world = &installed.world;
    let deleted = lend(world).await;
    let revoked = lend_once_more(world).await;
    let kept = lend_once_more(world).await;

    installed.uninstall().await;
    let world = &installed.world;
    world.delete("alice", &deleted).await;
    world.decide("alice", &revoked, Say::revoke(&revoked)).await;
    for given_back in [&deleted, &revoked] {
        nobody_ends_it(world, given_back).await;
        assert!(opens(world, given_back).await);
    }
    world.advance(Duration::from_secs(61 * 60)).await;
    for given_back in [&deleted, &revoked] {
        nobody_ends_it(world, given_back).await;
        assert!(!opens(world, given_back).await, "the link has its own end");
    }

    installed.install().await;
    let world = &installed.world;
    for (given_back, why) in [
        (&deleted, EndReason::Deleted),
        (&revoked, EndReason::Revoked),
    ] {
        let record = world.until_record(given_back, |r| r.spec.end.is_some());
        assert_eq!(record.await.spec.end.map(|e| e.reason), Some(why));
        world.until_link_gone(given_back).await;
    }
    // Which nobody has given back.
    nobody_ends_it(world, &kept).await;
}

/// The record knows of no end, the requester can read the link, and nothing that carries it hangs on what could be deleted by the requester.
async fn nobody_ends_it(world: &World, grant: &AccessGrant) {
    let record = world.until_record(grant, |_| true).await;
    assert_eq!(record.spec.end, None);
    world.read_link("alice", grant).await.unwrap();
    let name = link_name(&grant.uid().unwrap());
    let roles: Api<Role> = Api::namespaced(world.admin.clone(), LINKS);
    let role = roles.get(&name).await.unwrap();
    assert_eq!(role.owner_references(), []);
    let bindings: Api<RoleBinding> = Api::namespaced(world.admin.clone(), LINKS);
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), LINKS);
    for owners in [
        bindings.get(&name).await.unwrap().metadata.owner_references,
        secrets.get(&name).await.unwrap().metadata.owner_references,
    ] {
        let owners = owners.unwrap_or_default().into_iter();
        let owners: Vec<_> = owners.map(|owner| Some(owner.uid)).collect();
        assert_eq!(owners, [role.uid()]);
    }
}

/// Whether the link that the Secret holds still opens.
async fn opens(world: &World, grant: &AccessGrant) -> bool {
    let link = world.read_link("alice", grant).await.unwrap();
    let opened = world.control.open(&link["url"], "alice@example.com").await;
    opened.is_ok()
}
