//! Who can still decide about a request that waits, as status says it: nobody is named who could not.

use keyloan::api::*;
use rstest::rstest;

use super::deciders::*;
use super::world::*;

const USER: ApproverKind = ApproverKind::User;
const GROUP: ApproverKind = ApproverKind::Group;

/// What is said by noon of these groups, each of which has to agree once, when these people have.
fn said(groups: &[(&str, &[(ApproverKind, &str)])], approved: &[Identity]) -> String {
    let group = |(name, who): &(&str, &[(ApproverKind, &str)])| {
        let who: Vec<_> = who.iter().map(|(kind, who)| (*kind, Some(*who))).collect();
        group(name, &who, 1)
    };
    let groups = groups.iter().map(group).collect();
    let mut world = World::asked()
        .with(|w| {
            w.flow().spec.approval = approval_by(ApprovalMode::AllOf, groups);
            w.flow().spec.grant.recipients = RecipientRule::Listed;
            w.integration().spec.recipient_domains = vec![Domain("example.com".into())];
            w.grant().spec.recipients = Some(vec![email("erin+links@example.com")]);
        })
        .settled(0);
    for (who, minute) in approved.iter().zip(1..) {
        world = world.approved_by(who.clone(), minute);
    }
    let sentence = waiting_for(&world.weighed_at(9));
    let (sentence, until) = sentence.split_once(", due ").expect("a due date");
    assert_eq!(until, "2026-11-24T10:00:00Z");
    sentence.to_owned()
}

fn elsewhere(username: &str, groups: &[&str]) -> Identity {
    Identity {
        username: format!("oidc:{username}@example.com"),
        ..person(username, groups)
    }
}

#[rstest]
#[case::nobody_approves_their_own_request(
    &[("owner", &[(USER, "alice"), (USER, "alice@example.com"), (USER, "bob")] as &[_])],
    &[],
    "1 approval from group \"owner\" (bob)"
)]
#[case::nor_a_link_that_they_receive(
    &[("owner", &[(USER, "Erin@example.com"), (USER, "bob")] as &[_])],
    &[],
    "1 approval from group \"owner\" (bob)"
)]
#[case::who_has_approved_for_one_group_does_not_for_another(
    &[("owner", &[(USER, "carol")] as &[_]), ("security", &[(USER, "carol"), (GROUP, "security")])],
    &[carol()],
    "1 approval from group \"security\" (any member of security)"
)]
#[case::also_by_another_name(
    &[("owner", &[(GROUP, "db-team")] as &[_]), ("security", &[(USER, "bob@example.com"), (USER, "carol")])],
    &[elsewhere("bob", &["db-team"])],
    "1 approval from group \"security\" (carol or any member of db-team)"
)]
#[case::who_would_free_another_can(
    &[("owner", &[(USER, "carol"), (USER, "bob")] as &[_]), ("security", &[(USER, "carol")])],
    &[carol()],
    "1 approval from group \"security\" (bob)"
)]
#[case::nobody_is_left(
    &[("owner", &[(USER, "carol")] as &[_]), ("security", &[(USER, "carol")])],
    &[carol()],
    "1 approval from group \"security\" (no eligible approver remains)"
)]
fn only_those_are_named_who_can_still_decide(
    #[case] groups: &[(&str, &[(ApproverKind, &str)])],
    #[case] approved: &[Identity],
    #[case] sentence: &str,
) {
    assert_eq!(said(groups, approved), sentence);
}

#[test]
fn who_is_named_as_the_one_who_would_free_another_does() {
    let two = vec![
        group("owner", &[(USER, Some("carol")), (USER, Some("bob"))], 1),
        group("security", &[(USER, Some("carol"))], 1),
    ];
    let world = World::waiting(ApprovalMode::AllOf, two).approved_by(carol(), 1);
    assert!(!is_approved(&world.weighed_at(1)), "the twin");
    assert!(is_approved(&world.approved_by(bob(), 2).weighed_at(2)));
}

#[test]
fn of_a_group_of_several_those_are_left_who_have_not_approved() {
    let users = ["bob", "carol", "dave"].map(|name| (USER, Some(name)));
    let world = World::waiting(ApprovalMode::AnyOf, vec![group("any", &users, 2)]);
    let half = world.approved_by(carol(), 1).weighed_at(1);
    assert_eq!(
        waiting_for(&half),
        "1 more approval from group \"any\" (bob or dave), due 2026-11-24T10:00:00Z"
    );
}
