//! Every fault at every request of a loan's first link.

use futures::future::join_all;
use keyloan::api::{ACCEPTED, ACTIVE, AccessGrant, AccessRecord, Condition, ENDED, LinkOutcome};

use super::places::{Places, integration};
use super::table::{Cell, Recovery, hold};
use crate::world::{Ask, condition, outcomes};

/// The requests, with their names in the table.
const REQUESTS: [(&str, &str); 4] = [
    ("item", "GET /api/v1/vault/{vault}/item/{item}"),
    ("policy", "GET /api/v4/itemshare/preflight/{vault}/{item}"),
    ("recipients", "POST /api/v4/itemshare/validate-recipients"),
    ("share", "POST /api/v4/itemshare"),
];

const PREFIX: &str = "prod";

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_share_is_told_and_passes_and_each_link_is_counted() {
    let places = Places::open().await;
    places.connect(PREFIX).await;
    let all = 0..places.places.len();
    for at in all.clone() {
        let name = integration(PREFIX, at);
        places.world.until_integration(&name, "True").await;
        let by = |flow: &mut keyloan::api::AccessFlowSpec| flow.integration.0 = name.clone();
        places.world.flow(&name, by).await;
    }
    let mut cells = Vec::new();
    for (request, route) in REQUESTS {
        places.disturb(route).await;
        let mut before = Vec::new();
        for place in &places.places {
            before.push(place.control.shares().await.expect("shares").len());
        }
        let told = all.clone().map(async |at| {
            let name = integration(PREFIX, at);
            let ask = Ask::item("db password").of(&name).lasting("8h");
            let grant = places.world.ask("alice", ask).await;
            let settled = places.world.until(&grant, |g| told(g).is_some()).await;
            (told(&settled).expect("settled").clone(), settled)
        });
        let told = join_all(told).await;
        places.each_was_met(route).await;

        places.until_signed_in().await;
        places.wait_for_the_next_try().await;
        for (at, (told, grant)) in told.iter().enumerate() {
            let is_over = condition(grant, ENDED).is_some_and(|c| c.status == "True");
            let recovery = if is_over {
                Recovery::NewRequest
            } else if told.status == "True" {
                Recovery::Unnoticed
            } else if told.reason == "OnePasswordUnauthorized" {
                places.renew_token(PREFIX, at).await;
                Recovery::NewToken
            } else {
                Recovery::ByItself
            };
            let is_whole = |record: &AccessRecord| {
                is_over || outcomes(record).last() == Some(&Some(LinkOutcome::Issued))
            };
            let record = places.world.until_record(grant, is_whole).await;
            let of = |outcome| {
                let links = outcomes(&record);
                links.iter().filter(|o| **o == Some(outcome)).count()
            };
            let place = &places.places[at];
            let shares = place.control.shares().await.expect("shares").len() - before[at];
            let nobodys = shares - of(LinkOutcome::Issued);
            assert!(
                nobodys <= of(LinkOutcome::Lost),
                "{request}, {}: {nobodys} links that nobody has, {:?}",
                place.name,
                outcomes(&record)
            );
            cells.push(Cell {
                request,
                fault: place.name,
                told: told.reason.clone(),
                recovery,
                nobodys,
            });
            places.world.delete("alice", grant).await;
        }
    }
    hold("faults of a share", &cells);
}

/// That the link opens, or why there is none.
fn told(grant: &AccessGrant) -> Option<&Condition> {
    let working = ["NotStarted", "NotApproved", "NotIssued", "Issuing"];
    let over = condition(grant, ENDED).filter(|c| c.status == "True");
    let refused =
        condition(grant, ACCEPTED).filter(|c| c.status == "False" && c.reason != "LookingForItem");
    let active = condition(grant, ACTIVE).filter(|c| !working.contains(&c.reason.as_str()));
    over.or(refused).or(active)
}
