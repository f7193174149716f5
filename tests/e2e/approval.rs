//! Requests that people approve, deny and revoke, on real parts.

use std::time::Duration;

use crate::world::{Ask, PLATFORM, Say, World, condition, needs_approval};
use keyloan::api::*;
use keyloan_simulator::{Fault, FaultKind, Reason};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use serde_json::json;

const OWNER_AND_SECURITY: &[(&str, &str, u32)] =
    &[("owner", "platform-owners", 1), ("security", "security", 2)];

/// A world in which alice's request needs the owner and two of security.
async fn reviewed() -> World {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("reviewed", needs_approval("AllOf", OWNER_AND_SECURITY))
        .await;
    world
}

async fn waiting(world: &World, ask: Ask) -> AccessGrant {
    let grant = world.ask("alice", ask).await;
    world
        .until(&grant, |g| {
            g.status.as_ref().is_some_and(|s| s.waiting_for.is_some())
        })
        .await
}

fn waiting_for(grant: &AccessGrant) -> &str {
    let status = grant.status.as_ref();
    status
        .and_then(|s| s.waiting_for.as_deref())
        .unwrap_or_default()
}

fn reason<'a>(grant: &'a AccessGrant, type_: &str) -> &'a str {
    condition(grant, type_).map_or("", |c| &c.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_costs_nothing_and_is_lent_when_all_groups_have_agreed() {
    let world = reviewed().await;
    world.control.reset_requests().await.expect("the log");
    let grant = waiting(&world, Ask::item("db password").lasting("4h")).await;
    assert!(waiting_for(&grant).starts_with("1 approval from group \"owner\" (any member of platform-owners), and 2 approvals from group \"security\" (any member of security)"));

    world.decide("carol", &grant, Say::approve(&grant)).await;
    world
        .decide(
            "bob",
            &grant,
            Say::approve(&grant).with("maxDuration", json!("2h")),
        )
        .await;
    let half = world
        .until(&grant, |g| waiting_for(g).starts_with("1 more"))
        .await;
    assert!(
        waiting_for(&half)
            .starts_with("1 more approval from group \"security\" (any member of security)")
    );
    let log = world.control.requests().await.expect("the log");
    assert_eq!(log.total, 0, "{:?}", log.by_route);

    world.decide("dave", &grant, Say::approve(&grant)).await;
    let active = world.until_active(&grant).await;
    let approved = condition(&active, APPROVED).expect("Approved");
    assert_eq!(approved.reason, "Approved");
    // Decisions of one second have no order of their own.
    let by = approved
        .message
        .strip_prefix("approved by ")
        .expect("approvals");
    let mut by: Vec<_> = by
        .split("), ")
        .map(|one| one.trim_end_matches(')'))
        .collect();
    by.sort_unstable();
    assert_eq!(
        by,
        [
            "bob@example.com (owner, for at most 2h",
            "carol@example.com (security",
            "dave@example.com (security",
        ]
    );
    let status = active.status.clone().expect("a status");
    let lasts = status
        .expires_at
        .expect("an end")
        .0
        .duration_since(status.granted_at.expect("a start").0);
    assert_eq!(lasts.as_hours(), 2, "bob shortened it");
    let url = world.read_link("alice", &grant).await.expect("alice may")["url"].clone();
    world
        .control
        .open(&url, "alice@example.com")
        .await
        .expect("it opens for alice");
    let refusal = world
        .control
        .open(&url, "bob@example.com")
        .await
        .expect_err("not for approvers");
    assert_eq!(refusal.reason, Reason::WrongRecipient);
    let record = world
        .until_record(&grant, |r| !r.spec.links.is_empty())
        .await;
    let mut users: Vec<_> = record
        .spec
        .decisions
        .iter()
        .map(|d| d.user.as_str())
        .collect();
    users.sort_unstable();
    assert_eq!(
        users,
        ["bob@example.com", "carol@example.com", "dave@example.com"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_final() {
    let world = reviewed().await;
    let grant = waiting(&world, Ask::item("db password")).await;
    world
        .decide(
            "carol",
            &grant,
            Say::deny(&grant).with("reason", json!("not now")),
        )
        .await;
    let denied = world
        .until(&grant, |g| reason(g, STALLED) == "Denied")
        .await;
    let status = denied.status.clone().expect("a status");
    assert_eq!(status.phase, Some(Phase::Denied));
    assert_eq!(
        condition(&denied, APPROVED).map(|c| c.message.as_str()),
        Some("the request was denied by carol@example.com: not now")
    );
    for who in ["bob", "carol", "dave"] {
        world.decide(who, &grant, Say::approve(&denied)).await;
    }
    // The twin, asked and approved afterwards, is lent: by then the approvals above have been looked at, too.
    let twin = waiting(&world, Ask::item("web console")).await;
    for who in ["bob", "carol", "dave"] {
        world.decide(who, &twin, Say::approve(&twin)).await;
    }
    world.until_active(&twin).await;
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);
    let still = world.until(&grant, |_| true).await;
    assert_eq!(still.status.and_then(|s| s.phase), Some(Phase::Denied));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_revokes_a_running_loan_whatever_became_of_its_flow_and_integration() {
    let world = reviewed().await;
    let grant = waiting(&world, Ask::item("db password")).await;
    for who in ["bob", "carol", "dave"] {
        world.decide(who, &grant, Say::approve(&grant)).await;
    }
    world.until_active(&grant).await;
    world.remove_flow_and_integration("reviewed", "prod").await;
    world
        .decide(
            "carol",
            &grant,
            Say::revoke(&grant).with("reason", json!("incident")),
        )
        .await;
    world.until_link_gone(&grant).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    let end = record.spec.end.clone().expect("an end");
    assert_eq!(
        (end.reason, end.by.as_deref()),
        (EndReason::Revoked, Some("carol@example.com"))
    );
    let ending = world
        .until(&grant, |g| reason(g, ACTIVE) == "Revoked")
        .await;
    assert_eq!(
        condition(&ending, ACTIVE).map(|c| c.message.as_str()),
        Some("the loan was revoked by carol@example.com: incident")
    );
    assert_eq!(
        ending.status.and_then(|s| s.phase),
        Some(Phase::Ending),
        "the link may still open"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_that_an_items_tag_names_decides_and_for_others_the_integrations_owners() {
    let world = World::start().await;
    world
        .integration_with("prod", "lender", |spec| {
            spec.owners =
                serde_json::from_value(json!([{ "kind": "Group", "name": "platform-owners" }]))
                    .expect("owners");
            spec.resource_owner = Some(
                serde_json::from_value(
                    json!({ "tagKey": "owner", "kind": "Group", "allowed": ["db-team"] }),
                )
                .expect("a rule"),
            );
        })
        .await;
    world.flow("owned", |flow| {
        let approval = json!({ "mode": "AnyOf", "groups": [{ "name": "owner", "approvers": [{ "kind": "ResourceOwner" }] }] });
        flow.approval = serde_json::from_value(approval).expect("an approval");
    }).await;
    let tagged = waiting(&world, Ask::item("db password")).await;
    let of_the_team = "1 approval from group \"owner\" (any member of db-team)";
    assert!(
        waiting_for(&tagged).starts_with(of_the_team),
        "{}",
        waiting_for(&tagged)
    );
    let untagged = waiting(&world, Ask::item("web console")).await;
    let of_the_owners = "1 approval from group \"owner\" (any member of platform-owners)";
    assert!(
        waiting_for(&untagged).starts_with(of_the_owners),
        "{}",
        waiting_for(&untagged)
    );

    // Each approves what is the other's.
    let frank = || world.impersonating("frank@example.com", vec!["db-team".into()]);
    world.decide("bob", &tagged, Say::approve(&tagged)).await;
    let franks = world.try_to_decide_as(frank().await, &untagged, Say::approve(&untagged));
    franks.await.expect("decided");
    for grant in [&tagged, &untagged] {
        let has_ignored = |g: &AccessGrant| {
            let status = g.status.as_ref();
            status.is_some_and(|s| !s.ignored_decisions.is_empty())
        };
        let seen = world.until(grant, has_ignored).await;
        let ignored = &seen.status.as_ref().expect("a status").ignored_decisions[0];
        let why = "this person is in none of the groups that approve the request";
        assert_eq!(ignored.reason, why);
    }
    assert_eq!(world.control.shares().await.expect("shares").len(), 0);

    let franks = world.try_to_decide_as(frank().await, &tagged, Say::approve(&tagged));
    franks.await.expect("decided");
    world.until_active(&tagged).await;
    world
        .decide("bob", &untagged, Say::approve(&untagged))
        .await;
    world.until_active(&untagged).await;
}

/// What a record holds is tidied away when its request is gone; what no record holds is kept as long as a record would be.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_on_a_request_that_is_gone_are_tidied_away_and_none_is_lost() {
    let world = reviewed().await;
    // No flow covers it, so it leaves no record.
    let hopeless = world.ask("erin", Ask::item("db password")).await;
    let unrecorded = world.decide("carol", &hopeless, Say::deny(&hopeless)).await;
    world.delete("erin", &hopeless).await;
    let taken_back = waiting(&world, Ask::item("db password")).await;
    let approval = Say::approve(&taken_back);
    let approved = world.decide("carol", &taken_back, approval).await;
    world.delete("alice", &taken_back).await;
    let record = world.until_record(&taken_back, |_| true).await;
    assert_eq!(record.spec.outcome, Some(RequestOutcome::TakenBack));
    let denied = waiting(&world, Ask::item("web console")).await;
    let recorded = world.decide("carol", &denied, Say::deny(&denied)).await;
    world.delete("alice", &denied).await;
    let record = world.until_record(&denied, |_| true).await;
    assert_eq!(record.spec.outcome, Some(RequestOutcome::Denied));

    let api: Api<AccessDecision> =
        Api::namespaced(world.admin.clone(), &denied.namespace().expect("one"));
    let until_gone = async |decision: &AccessDecision| {
        let gone = |seen: Option<&AccessDecision>| seen.is_none();
        let name = decision.name_any();
        let gone = await_condition(api.clone(), &name, gone);
        tokio::time::timeout(Duration::from_secs(60), gone)
            .await
            .expect("it goes")
            .expect("watched");
    };
    world.advance(Duration::from_secs(2 * 3600)).await;
    until_gone(&recorded).await;
    until_gone(&approved).await;
    let kept = api
        .get_opt(&unrecorded.name_any())
        .await
        .expect("an answer");
    assert_eq!(kept.map(|kept| kept.spec), Some(unrecorded.spec.clone()));
    let records: Api<AccessRecord> = Api::namespaced(world.admin.clone(), PLATFORM);
    let records = records.list(&Default::default()).await.expect("readable");
    assert_eq!(records.items.len(), 2, "of the denial and of the other one");
    world.advance(Duration::from_secs(90 * 24 * 3600)).await;
    until_gone(&unrecorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_of_five_hundred_groups_counts_by_the_last_of_them() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    let last = &[("many", "group-499", 1)];
    world.flow("many", needs_approval("AnyOf", last)).await;
    let grant = waiting(&world, Ask::item("db password")).await;
    let groups = (0..500).map(|n| format!("group-{n}")).collect();
    let approver = world.impersonating("grace@example.com", groups).await;
    let decision = world
        .try_to_decide_as(approver, &grant, Say::approve(&grant))
        .await;
    let approver = decision
        .expect("decided")
        .spec
        .approver
        .expect("an approver");
    assert_eq!(approver.groups.len(), 500);
    world.until_active(&grant).await;
}

/// A requester whose request is approved does not read that approvals are missing while 1Password
/// takes its time.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_says_that_its_link_is_on_its_way() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    let one = &[("security", "security", 1)];
    world.flow("reviewed", needs_approval("AnyOf", one)).await;
    let grant = waiting(&world, Ask::item("db password")).await;
    let slow = FaultKind::delay(Duration::from_secs(10));
    let slow = Fault::once("POST /api/v4/itemshare", slow);
    world.control.fault(slow).await.expect("ordered");
    world.decide("carol", &grant, Say::approve(&grant)).await;
    let is_issuing =
        |grant: &AccessGrant| grant.status.as_ref().and_then(|s| s.phase) == Some(Phase::Issuing);
    let issuing = world.until(&grant, is_issuing).await;
    assert_eq!(waiting_for(&issuing), "");
    let approved = condition(&issuing, APPROVED).expect("said");
    assert_eq!(approved.status, "True");
    world.until_active(&grant).await;
}
