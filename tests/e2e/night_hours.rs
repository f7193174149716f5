//! A flow that lends at night, over both changes of the clocks, on real parts.
//!
//! Berlin's clocks go from 02:00 to 03:00 in spring and from 03:00 to 02:00 in autumn. The API server stamps requests by its
//! own clock, which a test cannot move: so they are put into those nights in etcd, before an operator sees them.

use crate::world::{Ask, World, condition};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use keyloan::api::*;
use serde_json::json;

const ZONE: &str = "Europe/Berlin";

/// When Berlin's clocks change next, to this distance from UTC.
fn next_change(after: Timestamp, to: Offset) -> Timestamp {
    let zone = TimeZone::get(ZONE).expect("a zone");
    let mut changes = zone.following(after);
    changes
        .find(|change| change.offset() == to)
        .expect("the clocks change each half year")
        .timestamp()
}

/// Lends on Sundays between these times.
fn on_sundays(from: &str, to: &str) -> impl FnOnce(&mut AccessFlowSpec) {
    let frame = json!({ "days": ["Sun"], "from": from, "to": to, "timeZone": ZONE });
    move |flow| flow.timeframe = serde_json::from_value(frame).expect("a timeframe")
}

impl World {
    /// Somebody asks that many minutes after a time, and an operator looks at it then.
    async fn ask_after(&mut self, change: Timestamp, minutes: i64) -> AccessGrant {
        let at = change + minutes.minutes();
        self.ask_at("alice", Ask::item("db password"), at).await
    }

    /// What is said of a request that came when the flow was closed.
    async fn until_refused_for_the_hour(&self, grant: &AccessGrant) -> String {
        let refused = |g: &AccessGrant| condition(g, STALLED).is_some_and(|c| c.status == "True");
        let grant = self.until(grant, refused).await;
        let stalled = condition(&grant, STALLED).expect("it is stalled");
        assert_eq!(stalled.reason, "OutsideTimeframe", "{}", stalled.message);
        stalled.message.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeframe_follows_the_local_clock_through_the_nights_in_which_it_changes() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;

    // 02:30 does not come that night: what would be 02:30 is 03:30, half an hour after the clocks went forward.
    let forward = next_change(world.now(), Offset::constant(2));
    world.flow("at-night", on_sundays("02:30", "04:00")).await;
    let early = world.ask_after(forward, -30).await;
    let said = world.until_refused_for_the_hour(&early).await;
    let opens = forward + 30.minutes();
    assert!(said.contains(&format!("closed until {opens}")), "{said}");
    let still_early = world.ask_after(forward, 29).await;
    world.until_refused_for_the_hour(&still_early).await;
    let lent = world.ask_after(forward, 31).await;
    world.until_active(&lent).await;
    let late = world.ask_after(forward, 60).await;
    world.until_refused_for_the_hour(&late).await;
    world.remove_flow("at-night").await;

    // 02:30 comes twice that night: from the first one, which is half an hour before the clocks go back, until 03:30 it is
    // two hours.
    let back = next_change(world.now(), Offset::constant(1));
    world.flow("at-night", on_sundays("02:30", "03:30")).await;
    let early = world.ask_after(back, -31).await;
    let said = world.until_refused_for_the_hour(&early).await;
    let opens = back - 30.minutes();
    assert!(said.contains(&format!("closed until {opens}")), "{said}");
    for minutes in [-29, 1, 89] {
        let lent = world.ask_after(back, minutes).await;
        world.until_active(&lent).await;
    }
    let late = world.ask_after(back, 90).await;
    world.until_refused_for_the_hour(&late).await;
}
