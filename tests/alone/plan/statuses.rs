//! What people read: whole statuses, with every message, in the main states of a loan.

use keyloan::api::*;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::observed::LinkSeen;
use keyloan::plan::status::of_failed_pass;
use rstest::rstest;

use super::deciders::{bob, carol, dave};
use super::executor::{Reached, fail_to_issue, issue_link};
use super::world::*;

fn status(world: &World, minute: i64) -> AccessGrantStatus {
    world.plan_at(minute).status.expect("a status")
}

fn detailed() -> World {
    World::asked().with(|w| {
        w.flow().spec.access_details = Some(AccessDetails("psql -h db.example.com".into()));
        let mut closed = flow("nightly");
        closed.spec.items.include[0].tags = vec![Tag("night".into())];
        closed.metadata.name = Some("a-nightly".into());
        w.seen.flows.push(closed.into());
    })
}

#[test]
fn pending_while_the_item_is_looked_for() {
    let world = World::asked().with(|w| w.asks_for("Infra", "nothing"));
    insta::assert_yaml_snapshot!(status(&world, 0));
}

#[test]
fn failed_by_an_unknown_item() {
    let world = World::asked()
        .with(|w| w.asks_for("Infra", "nothing"))
        .settled(0);
    insta::assert_yaml_snapshot!(status(&world, 1));
}

#[test]
fn failed_by_the_rules_of_the_flow() {
    let world = detailed().with(|w| w.grant().spec.duration = Some(span("9h")));
    insta::assert_yaml_snapshot!(status(&world, 0));
}

#[test]
fn issuing_the_first_link() {
    insta::assert_yaml_snapshot!(status(&detailed(), 0));
}

#[test]
fn issuing_while_1password_does_not_answer() {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = fail_to_issue(issued(&plan), world.seen, Failure::Unavailable, at(0));
    insta::assert_yaml_snapshot!(status(&World { seen }, 0));
}

#[test]
fn active() {
    let world = detailed().settled(0);
    insta::assert_yaml_snapshot!(status(&world, 10));
}

#[test]
fn active_with_the_link_ended() {
    let world = detailed().settled(0);
    insta::assert_yaml_snapshot!(status(&world, 70));
}

#[test]
fn active_with_the_secret_deleted_by_hand() {
    let world = World::lent().with(|w| w.seen.link = LinkSeen::Absent);
    insta::assert_yaml_snapshot!(status(&world, 10));
}

#[test]
fn ending_with_a_residual() {
    let world = detailed().settled(0).with(World::block_alice).settled(20);
    insta::assert_yaml_snapshot!(status(&world, 20));
}

#[test]
fn ended() {
    insta::assert_yaml_snapshot!(status(&World::ended(), 241));
}

#[test]
fn failed_because_1password_refused() {
    let world = World::asked();
    let plan = world.plan_at(0);
    let seen = fail_to_issue(issued(&plan), world.seen, Failure::Refused, at(0));
    insta::assert_yaml_snapshot!(status(&World { seen }.settled(0), 1));
}

/// What there is to mend is said as long as the request exists, also by an operator that has not asked 1Password itself.
#[test]
fn what_to_mend_in_an_item_is_still_said_after_the_end() {
    const WHY: &str = "this item cannot be shared: it has files";
    let world = World::asked();
    let plan = world.plan_at(0);
    let refused = Failure::NotShareable(WHY.into());
    let seen = fail_to_issue(issued(&plan), world.seen, refused, at(0));
    let mut world = World { seen }.settled(0);
    for _ in 0..2 {
        let status = status(&world, 1);
        let said = status.conditions.iter().filter(|c| c.message == WHY);
        let said: Vec<_> = said.map(|c| (&*c.type_, &*c.reason)).collect();
        let everywhere = [ACTIVE, ENDED, STALLED].map(|type_| (type_, "NotIssued"));
        assert_eq!(said, everywhere, "{:?}", status.conditions);
        world.grant().status = Some(status);
        world.seen.attempt = None;
    }
}

#[test]
fn lapsed() {
    let world = World::asked().with(|w| w.integration().spec.suspend = true);
    insta::assert_yaml_snapshot!(status(&world, 24 * 60));
}

/// One line for each condition: type, status, reason and message.
pub fn lines(world: &World, minute: i64) -> String {
    let line = |c: Condition| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message);
    let conditions = status(world, minute).conditions.into_iter();
    conditions.map(line).collect::<Vec<_>>().join("\n")
}

/// What is said of each way for a first link to fail.
#[rstest]
#[case::not_connected(Failure::NotConnected)]
#[case::unauthorized(Failure::Unauthorized)]
#[case::forbidden(Failure::Forbidden)]
#[case::not_found(Failure::NotFound)]
#[case::archived(Failure::Archived)]
#[case::rate_limited(Failure::RateLimited { until: at(7) })]
#[case::refused(Failure::Refused)]
#[case::opens_once(Failure::OpensOnce)]
#[case::unavailable(Failure::Unavailable)]
#[case::not_kept(Failure::NotKept("403 Forbidden".into()))]
#[case::no_place(no_place(true))]
#[case::no_record(no_record(true))]
#[case::item_differs(Failure::ItemDiffers)]
#[case::limit_reached(Failure::LimitReached)]
#[case::secret_taken(Failure::SecretTaken(planted()))]
fn what_is_said_of_a_failed_attempt(#[case] failure: Failure) {
    let name = format!("attempt_{}", name_of(&failure));
    let world = World::asked().with(|w| w.failed(0, failure));
    insta::assert_snapshot!(name, lines(&world, 0));
}

fn name_of(failure: &Failure) -> String {
    let debug = format!("{failure:?}");
    let name = debug.split([' ', '(']).next();
    name.unwrap_or_default().to_owned()
}

/// What is said of each way to end.
#[rstest]
#[case(EndReason::Expired)]
#[case(EndReason::Revoked)]
#[case(EndReason::Deleted)]
#[case(EndReason::ItemChanged)]
#[case(EndReason::Blocked)]
#[case(EndReason::LinkEnded)]
#[case(EndReason::NotIssued)]
fn what_is_said_of_an_end(#[case] reason: EndReason) {
    let world = World::ended().with(|w| {
        w.record().spec.end.as_mut().expect("an end").reason = reason;
    });
    insta::assert_snapshot!(format!("end_{reason:?}"), lines(&world, 241));
}

/// What is said of a loan whose next link is wanted and not issued.
#[rstest]
#[case("integration_gone", |w: &mut World| w.seen.integration = None)]
#[case("integration_replaced", |w: &mut World| w.integration().metadata.uid = Some("another".into()))]
#[case("another_account", |w: &mut World| w.integration().status.as_mut().expect("a status").account = Some("other@1password.com".into()))]
#[case("integration_suspended", |w: &mut World| w.integration().spec.suspend = true)]
#[case("flow_suspended", |w: &mut World| w.flow().spec.suspend = true)]
#[case("flow_gone", |w: &mut World| w.seen.flows.clear())]
#[case("secret_taken", |w: &mut World| w.seen.link = LinkSeen::Foreign)]
#[case("out_of_reach", |w: &mut World| w.seen.link = LinkSeen::OutOfReach)]
#[case("throttled", |w: &mut World| w.integration_seen().throttled_until = Some(at(200)))]
#[case("no_time_left", |_: &mut World| {})]
fn what_is_said_of_a_link_that_is_not_renewed(#[case] name: &str, #[case] hinder: fn(&mut World)) {
    let world = World::lent().with(|w| w.asks_to_renew(181)).with(hinder);
    insta::assert_snapshot!(format!("renewal_{name}"), lines(&world, 181));
}

/// Something that has to be written is refused: the status says so, and all else stays as it was.
#[test]
fn a_pass_that_fails_says_why_until_one_does_not() {
    let world = World::lent().settled(0);
    let grant = world.seen.grant.clone().expect("there");
    let why = "cannot patch AccessRecord keyloan/u: the API server refuses it: no";
    let failed = of_failed_pass(&grant, why, at(1));
    let others = |status: &AccessGrantStatus| {
        let conditions = status.conditions.iter().filter(|c| c.type_ != STALLED);
        conditions.cloned().collect::<Vec<_>>()
    };
    let before = grant.status.clone().expect("one");
    assert_eq!(others(&failed), others(&before));
    let stalled = failed.conditions.iter().find(|c| c.type_ == STALLED);
    let stalled = stalled.expect("said");
    assert_eq!(stalled.reason, "WriteRefused");
    assert!(stalled.message.contains(why), "{}", stalled.message);
    assert_eq!(
        AccessGrantStatus {
            conditions: vec![],
            ..failed.clone()
        },
        AccessGrantStatus {
            conditions: vec![],
            ..before.clone()
        }
    );
    let again = AccessGrant {
        status: Some(failed.clone()),
        ..(*grant).clone()
    };
    assert_eq!(of_failed_pass(&again, why, at(2)), failed, "written once");
    let world = world.with(|w| w.seen.grant = Some(again.into()));
    assert_eq!(world.plan_at(2).status, Some(before), "and taken back");
}

#[test]
fn a_pass_that_fails_says_which_version_of_the_request_it_has_read() {
    let mut world = World::lent().settled(0);
    world.grant().metadata.generation = Some(2);
    let grant = world.seen.grant.as_deref().expect("there");
    let failed = of_failed_pass(grant, "refused", at(1));
    assert_eq!(failed.observed_generation, Some(2));
}

/// What Kubernetes shows at this minute: the reason of each note, and whether it warns.
fn told(world: &World, minute: i64) -> Vec<(String, bool)> {
    let events = world.plan_at(minute).events.into_iter();
    let notes = events.flat_map(|event| event.notes);
    notes.map(|n| (n.reason, n.warning)).collect()
}

/// Each change is told once: in the pass that writes it, and in no later one.
#[test]
fn every_change_is_told_once() {
    let lent = issue_link(
        issued(&World::asked().plan_at(0)),
        World::asked().seen,
        Reached::Closed,
        at(0),
    );
    let world = World { seen: lent };
    let on_its_way = World {
        seen: World::asked().seen,
    };
    // What led to it goes without saying.
    assert_eq!(told(&on_its_way, 0), [("Issuing".to_owned(), false)]);
    assert_eq!(told(&world, 0), [("LinkIssued".to_owned(), false)]);
    let world = world.settled(0);
    assert_eq!(told(&world, 1), []);
    assert_eq!(told(&world, 60), [("LinkEnded".to_owned(), false)]);
}

#[test]
fn a_new_reason_is_told_also_where_a_condition_stays_as_it_was() {
    let none = World::asked().with(|w| w.seen.flows.clear()).settled(10);
    let flows = World::asked().with(|w| w.flow().spec.suspend = true);
    let suspended = none.with(|w| w.seen.flows = flows.seen.flows);
    let reason = "NoFlowCoversRequest".to_owned();
    assert_eq!(
        told(&suspended, 11),
        [(reason.clone(), false), (reason, true)]
    );
}

#[test]
fn the_reason_that_a_person_gave_for_ending_a_loan_is_shown() {
    let mut world = World::by_owner_and_two_of_security();
    world.decide(bob(), Decision::Approve, 1).spec.reason = Some("needed for INC-1".into());
    let mut lent = world
        .approved_by(carol(), 2)
        .approved_by(dave(), 3)
        .settled(4);
    lent.decide(bob(), Decision::Revoke, 10).spec.reason = Some("INC-1 is solved".into());
    let plan = lent.settled(11).plan_at(12);
    let (.., message) = condition(&plan, ACTIVE).expect("Active");
    assert_eq!(message, "the loan was revoked by bob: INC-1 is solved");
}

#[test]
fn a_loan_that_runs_still_says_why_other_flows_were_not_chosen() {
    let waiting = World::by_owner_and_two_of_security().with(|w| {
        let mut flow = flow("another");
        flow.spec.suspend = true;
        w.seen.flows.push(flow.into());
    });
    let lent = waiting
        .settled(0)
        .approved_by(bob(), 1)
        .approved_by(carol(), 2)
        .approved_by(dave(), 3)
        .settled(4);
    let considered = |minute| {
        let status = lent.plan_at(minute).status.expect("a status");
        let names = status.considered_flows.into_iter().map(|flow| flow.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(considered(10), ["another"]);
}
