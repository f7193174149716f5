//! Every fault at every request of a sign-in and of a discovery.

use futures::future::{join, join_all};
use keyloan::api::{Condition, OnePasswordIntegration, READY};
use kube::Api;
use kube::runtime::wait::await_condition;

use super::places::{Places, integration};
use super::table::{Cell, Recovery, hold};
use crate::world::{PLATFORM, World};

/// The requests, with their names in the table.
const REQUESTS: [(&str, &str); 8] = [
    ("auth/start", "POST /api/v3/auth/start"),
    ("auth", "POST /api/v2/auth"),
    ("auth/confirm-key", "POST /api/v2/auth/confirm-key"),
    ("auth/complete", "POST /api/v2/auth/complete"),
    ("keysets", "GET /api/v2/account/keysets"),
    ("vaults", "GET /api/v1/vaults"),
    ("items", "GET /api/v1/vault/{vault}/items/overviews"),
    ("policy", "GET /api/v4/itemshare/preflight/{vault}/{item}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_discovery_is_told_and_passes() {
    let places = Places::open().await;
    let mut cells = Vec::new();
    for (row, (request, route)) in REQUESTS.into_iter().enumerate() {
        let prefix = format!("d{row}");
        places.disturb(route).await;
        let told = (0..places.places.len()).map(async |at| {
            let name = integration(&prefix, at);
            ready(&places.world, &name, is_known).await
        });
        // They look from the start: the next try may follow within seconds.
        let (told, ()) = join(join_all(told), places.connect(&prefix)).await;
        places.each_was_met(route).await;

        places.wait_for_the_next_try().await;
        for (at, told) in told.iter().enumerate() {
            let name = integration(&prefix, at);
            let recovery = if told.status == "True" {
                Recovery::Unnoticed
            } else {
                Recovery::ByItself
            };
            ready(&places.world, &name, |c| c.status == "True").await;
            cells.push(Cell {
                request,
                fault: places.places[at].name,
                told: told.reason.clone(),
                recovery,
                nobodys: 0,
            });
        }
        places.disconnect(&prefix).await;
    }
    hold("faults of a discovery", &cells);
}

fn is_known(condition: &Condition) -> bool {
    !matches!(condition.reason.as_str(), "SigningIn" | "Discovering")
}

/// Waits until an integration's condition Ready is so.
async fn ready(world: &World, name: &str, is_so: impl Fn(&Condition) -> bool) -> Condition {
    let api: Api<OnePasswordIntegration> = Api::namespaced(world.admin.clone(), PLATFORM);
    let ready = |seen: &OnePasswordIntegration| {
        let conditions = seen.status.as_ref().map_or(&[][..], |s| &s.conditions);
        conditions.iter().find(|c| c.type_ == READY).cloned()
    };
    let wanted =
        |seen: Option<&OnePasswordIntegration>| seen.and_then(ready).is_some_and(|c| is_so(&c));
    let seen = await_condition(api.clone(), name, wanted);
    let seen = tokio::time::timeout(super::places::PATIENCE, seen).await;
    let Ok(seen) = seen else {
        let shows = api.get(name).await.expect("readable").status;
        panic!("waited in vain for {name}: {shows:#?}");
    };
    let seen = seen.expect("watched").expect("it is there");
    ready(&seen).expect("Ready")
}
