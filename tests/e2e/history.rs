//! Loans that are over: the operator forgets what their records say, and nothing else of what it owes them.

use std::time::Duration;

use crate::world::{Ask, PLATFORM, Say, TEAM, World};
use keyloan::api::{AccessGrant, AccessRecord, Phase};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn is_over(grant: &AccessGrant) -> bool {
    let status = grant.status.as_ref();
    status.is_some_and(|s| s.phase == Some(Phase::Ended) && s.residual_until.is_none())
}

async fn until_gone<K>(api: &Api<K>, name: &str, uid: &str)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let gone = await_condition(api.clone(), name, is_deleted(uid));
    let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
    gone.expect("it goes").expect("watched");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_kept_told_of_and_deleted_in_its_time_also_after_a_restart() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    let one_at_a_time = |flow: &mut keyloan::api::AccessFlowSpec| {
        flow.limits.active_per_requester = 1;
    };
    world.flow("oncall", one_at_a_time).await;
    let expires = world.ask("alice", Ask::item("db password")).await;
    let expires = world.until_active(&expires).await;
    world.advance(Duration::from_secs(5 * HOUR)).await;
    world.until(&expires, is_over).await;
    // Nobody counts it any more.
    let deleted = world.ask("alice", Ask::item("db password")).await;
    let deleted = world.until_active(&deleted).await;
    world.delete("alice", &deleted).await;
    world
        .until_record(&deleted, |record| record.spec.end.is_some())
        .await;
    world.advance(Duration::from_secs(5 * HOUR)).await;

    // What is said of it afterwards is heard: why it does not count.
    let hears = async |world: &World, many: usize| {
        world.decide("carol", &expires, Say::deny(&expires)).await;
        let heard = |grant: &AccessGrant| {
            let status = grant.status.as_ref();
            status.is_some_and(|s| s.ignored_decisions.len() == many)
        };
        let grant = world.until(&expires, heard).await;
        assert!(is_over(&grant));
    };
    hears(&world, 1).await;
    world.restart_operator().await;
    hears(&world, 2).await;
    let runs = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&runs).await;

    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    let uid = |grant: &AccessGrant| grant.uid().expect("one");
    world.advance(Duration::from_secs(8 * DAY)).await;
    until_gone(&grants, &expires.name_any(), &uid(&expires)).await;

    let records: Api<AccessRecord> = Api::namespaced(world.admin.clone(), PLATFORM);
    let all = records.list(&Default::default()).await.expect("readable");
    assert_eq!(all.items.len(), 3, "their time has not come");
    world.advance(Duration::from_secs(83 * DAY)).await;
    for record in all {
        if record.name_any() != uid(&runs) {
            let record_uid = record.uid().expect("one");
            until_gone(&records, &record.name_any(), &record_uid).await;
        }
    }
    let left = records.list(&Default::default()).await.expect("readable");
    assert_eq!(left.items.len(), 1, "of the last one");
}
