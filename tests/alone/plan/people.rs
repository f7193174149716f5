//! One person is one mailbox, in every role: thirty spellings of ben's count as his, or as nobody's, and never as a second person's.

use keyloan::api::*;
use keyloan::plan::people::{Mailbox, same_person};
use rstest::rstest;

use super::deciders::*;
use super::spellings::{SPELLINGS, address};
use super::world::*;

const BEN: &str = "ben@other.org";
const UNKNOWN: &str = "the cluster knows no e-mail address for the approver, so it cannot rule out that the approver is the requester or a recipient: configure email or emailDomain in the keyloan-crds chart, or set approval.withoutAddress: Allowed in the flow";

/// Somebody of all groups that ask or decide, known by this name and address.
fn known(username: &str, address: Option<Email>) -> Identity {
    Identity {
        email: address,
        ..person(username, &["engineering", "platform"])
    }
}

/// Ben by each spelling: as the chart's default expression knows it, and as one does that finds his address in it.
fn bens() -> impl Iterator<Item = Identity> {
    SPELLINGS.into_iter().flat_map(|spelling| {
        let by_default = known(spelling, address(spelling));
        let found = known(spelling, Some(email(BEN)));
        [by_default, found]
    })
}

fn user(name: &str) -> Person {
    Person {
        kind: PersonKind::User,
        name: name.into(),
    }
}

/// Alice's request for a link to this address; so many of a group have to agree.
fn asked_to(recipient: &str, required: u32) -> World {
    let platform = group(
        "platform",
        &[(ApproverKind::Group, Some("platform"))],
        required,
    );
    World::asked().with(|w| {
        w.flow().spec.approval = approval_by(ApprovalMode::AnyOf, vec![platform]);
        w.flow().spec.grant.recipients = RecipientRule::Listed;
        let domains = ["example.com", "other.org"];
        w.integration().spec.recipient_domains = domains.map(|d| Domain(d.into())).to_vec();
        w.grant().spec.recipients = Some(vec![email(recipient)]);
    })
}

fn block(world: &mut World, blocked: Person) {
    world.integration().spec.limits = Some(IntegrationLimits {
        blocked: vec![blocked],
        ..IntegrationLimits::default()
    });
}

#[test]
fn ben_approves_no_link_that_he_receives() {
    for recipient in [BEN, "ben+links@other.org"] {
        let world = asked_to(recipient, 1).settled(0);
        for ben in bens() {
            let plan = world.clone().approved_by(ben.clone(), 1).weighed_at(1);
            assert!(!is_approved(&plan), "{ben:?}");
            let why = ["recipients of the link cannot approve the request", UNKNOWN];
            assert!(
                why.contains(&&*ignored(&plan)),
                "{ben:?}: {}",
                ignored(&plan)
            );
        }
        let by_carol =
            world.approved_by(known("carol@other.org", Some(email("carol@other.org"))), 1);
        assert!(is_approved(&by_carol.weighed_at(1)), "the twin");
    }
}

#[test]
fn ben_approves_no_request_of_his_own() {
    let by_himself = known(BEN, Some(email(BEN)));
    let of = |requester: &Identity| {
        asked_to(BEN, 1)
            .with(|w| *w.requester() = requester.clone())
            .settled(0)
    };
    for ben in bens() {
        let his = of(&by_himself).approved_by(ben.clone(), 1);
        assert!(!is_approved(&his.weighed_at(1)), "{ben:?}");
        let elsewhere = of(&ben).approved_by(by_himself.clone(), 1);
        assert!(!is_approved(&elsewhere.weighed_at(1)), "{ben:?}");
    }
    let carols = of(&known("carol@other.org", Some(email("carol@other.org"))));
    let carols = carols.approved_by(known("dave@other.org", Some(email("dave@other.org"))), 1);
    assert!(is_approved(&carols.weighed_at(1)), "the twin");
}

#[test]
fn ben_counts_once() {
    let half = asked_to("alice@example.com", 2)
        .settled(0)
        .approved_by(known(BEN, Some(email(BEN))), 1);
    for ben in bens() {
        let plan = half.clone().approved_by(ben.clone(), 2).weighed_at(2);
        assert!(!is_approved(&plan), "{ben:?}");
        assert_eq!(counted(&plan), ["ben@other.org for platform"], "{ben:?}");
    }
    for other in ["carol@other.org", "b.en@other.org", "ben@example.com"] {
        let two = half
            .clone()
            .approved_by(known(other, Some(email(other))), 2);
        assert!(is_approved(&two.weighed_at(2)), "{other}");
    }
}

/// The rule in each of the spellings that are addresses, and ben in all of his.
#[test]
fn whoever_is_blocked_gets_nothing_in_any_role() {
    for rule in SPELLINGS.into_iter().filter(|name| address(name).is_some()) {
        let blocked = |w: &mut World| block(w, user(rule));
        for ben in bens() {
            let asks = asked_to(BEN, 1).with(blocked);
            let plan = asks.with(|w| *w.requester() = ben.clone()).plan_at(0);
            assert_eq!(reason(&plan, ACCEPTED), "Blocked", "{rule}: {ben:?}");
            let own = asked_to(BEN, 1).with(blocked).with(|w| {
                w.grant().spec.recipients = None;
                *w.requester() = ben.clone();
            });
            let why = reason(&own.plan_at(0), ACCEPTED).to_owned();
            assert!(
                ["Blocked", "NoRecipient"].contains(&&*why),
                "{rule}: {ben:?}: {why}"
            );
            let approves = asked_to("alice@example.com", 1).with(blocked).settled(0);
            let plan = approves.approved_by(ben.clone(), 1).weighed_at(1);
            assert!(!is_approved(&plan), "{rule}: {ben:?}");
        }
        for recipient in [BEN, "ben+links@other.org"] {
            let receives = asked_to(recipient, 1).with(blocked).plan_at(0);
            let (_, why, message) = condition(&receives, ACCEPTED).expect("Accepted");
            assert_eq!(why, "Blocked", "{rule}");
            assert!(message.contains(recipient), "{message}");
        }
        let twin = asked_to("carol@other.org", 1).with(blocked).settled(0);
        let carol = known("dave@other.org", Some(email("dave@other.org")));
        assert!(
            is_approved(&twin.approved_by(carol, 1).weighed_at(1)),
            "the twin"
        );
    }
}

#[rstest]
#[case::who_asked(user("ALICE@example.com"), true)]
#[case::who_asked_by_username(user("Alice"), true)]
#[case::who_receives(user("Erin+links@Example.com"), true)]
#[case::the_group_of_who_asked(Person { kind: PersonKind::Group, name: "engineering".into() }, true)]
#[case::somebody_else(user("bob@example.com"), false)]
#[case::what_is_no_address(user("Erin <erin@example.com>"), false)]
fn a_loan_ends_and_is_not_renewed_when_somebody_of_it_is_blocked(
    #[case] blocked: Person,
    #[case] ends: bool,
) {
    let mut world = World::lent_with(|w| {
        w.flow().spec.grant.recipients = RecipientRule::Listed;
        w.integration().spec.recipient_domains = vec![Domain("example.com".into())];
        w.grant().spec.recipients = Some(vec![email("erin@example.com")]);
    });
    world.asks_to_renew(58);
    world.with(|w| block(w, blocked)).settled(60).with(|w| {
        let record = w.record();
        let ended = record.spec.end.as_ref().map(|end| end.reason);
        assert_eq!(ended, ends.then_some(EndReason::Blocked));
        assert_eq!(record.spec.links.len(), if ends { 1 } else { 2 });
    });
}

#[test]
fn a_blocked_approver_counts_no_more_and_is_not_waited_for() {
    let users = [BEN, "carol@other.org"].map(|name| (ApproverKind::User, Some(name)));
    let world = World::waiting(ApprovalMode::AnyOf, vec![group("owner", &users, 1)]);
    let approved = world.clone().approved_by(known("Ben", Some(email(BEN))), 1);
    assert!(is_approved(&approved.weighed_at(1)), "the twin");
    let blocked = |w: &mut World| block(w, user("BEN@other.org"));
    let plan = approved.with(blocked).weighed_at(1);
    assert_eq!(
        ignored(&plan),
        "the integration's owners have blocked the person who made the decision (limits.blocked)"
    );
    assert!(waiting_for(&plan).contains("(carol@other.org)"), "{plan:?}");
    let denied = world.with(blocked).with(|w| {
        w.decide(known("Ben", Some(email(BEN))), Decision::Deny, 2);
    });
    assert_eq!(
        reason(&denied.weighed_at(3), APPROVED),
        "Denied",
        "a no always counts"
    );
}

#[test]
fn a_rule_that_names_an_address_names_its_mailbox() {
    for rule in SPELLINGS.into_iter().filter(|name| address(name).is_some()) {
        let by_rule = [(ApproverKind::User, Some(rule))];
        let world = World::waiting(ApprovalMode::AllOf, vec![group("owner", &by_rule, 1)]);
        for ben in bens() {
            let is_known = ben.email.is_some();
            let plan = world.clone().approved_by(ben.clone(), 1).weighed_at(1);
            assert_eq!(is_approved(&plan), is_known, "{rule}: {ben:?}");
        }
        let carol = known("carol@other.org", Some(email("carol@other.org")));
        assert!(!is_approved(&world.approved_by(carol, 1).weighed_at(1)));

        let asks = |who: Identity| {
            World::asked().with(|w| {
                w.flow().spec.requesters = vec![Subject {
                    kind: SubjectKind::User,
                    name: rule.into(),
                    namespace: None,
                }];
                *w.requester() = Identity {
                    groups: vec![],
                    ..who
                };
            })
        };
        let plan = asks(known("4711", Some(email(BEN)))).plan_at(0);
        assert_eq!(issued(&plan).agreement.terms.recipients, [email(BEN)]);
        let other = asks(known("4711", Some(email("carol@other.org"))));
        assert_eq!(reason(&other.plan_at(0), ACCEPTED), "NoFlow");
    }
}

/// Two names of one mailbox are one person, who cannot give two approvals.
#[test]
fn a_group_that_names_one_mailbox_twice_has_one_person() {
    let twice = [BEN, "Ben+x@Other.org"].map(|name| (ApproverKind::User, Some(name)));
    let plan = World::waiting(ApprovalMode::AllOf, vec![group("owner", &twice, 2)]).plan_at(0);
    let (_, why, message) = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!(why, "NoFlowCoversRequest");
    assert!(message.contains("2 required, 1 eligible"), "{message}");
}

#[test]
fn whose_mailbox_is_unknown_approves_only_where_the_flow_says_so_and_may_always_say_no() {
    // As an administrator's second account, which has no address.
    let second = known("alice-adm", None);
    let world = asked_to("alice@example.com", 1);
    let plan = world
        .clone()
        .settled(0)
        .approved_by(second.clone(), 1)
        .weighed_at(1);
    assert_eq!(ignored(&plan), UNKNOWN);
    assert!(!is_approved(&plan));
    let allowed = world.clone().with(|w| {
        w.flow().spec.approval.without_address = WithoutAddress::Allowed;
    });
    let allowed = allowed.settled(0);
    assert_ne!(
        allowed.digest(),
        world.clone().settled(0).digest(),
        "it is an effect"
    );
    assert!(is_approved(
        &allowed.approved_by(second.clone(), 1).weighed_at(1)
    ));
    for no in [Decision::Deny, Decision::Revoke] {
        let mut world = world.clone().settled(0);
        world.decide(second.clone(), no, 1);
        assert_eq!(
            world.weighed_at(1).status.and_then(|s| s.phase),
            Some(Phase::Denied)
        );
    }
}

/// Where accounts without an address count, what is written alike is still one of them.
#[rstest]
#[case::the_same("corp\\ben", "corp\\ben")]
#[case::in_another_case("CORP\\Ben", "corp\\ben")]
#[case::an_address_that_the_cluster_does_not_take("Ben+x@other.org", "ben@other.org")]
fn whose_mailbox_is_unknown_is_at_most_one_person_by_each_name(
    #[case] one: &str,
    #[case] other: &str,
) {
    let world = asked_to("alice@example.com", 2).with(|w| {
        w.flow().spec.approval.without_address = WithoutAddress::Allowed;
    });
    let half = world.settled(0).approved_by(known(one, None), 1);
    let twice = half.clone().approved_by(known(other, None), 2);
    assert_eq!(counted(&twice.weighed_at(2)).len(), 1);
    let two = half.approved_by(known("corp\\carol", None), 2);
    assert!(is_approved(&two.weighed_at(2)), "the twin");
}

/// Guests of one Entra tenant are not one person.
/// Rules and usernames take part in comparisons by mailbox only if the API server would accept them
/// as addresses.
#[rstest]
#[case::a_dash_before_a_label("ben@-other.org")]
#[case::a_dash_after_a_label("ben@other-.org")]
#[case::an_empty_label("ben@other..org")]
#[case::a_sign_in_a_label("ben@ot_her.org")]
#[case::an_empty_atom("ben..j@other.org")]
#[case::a_sign_in_a_name("ben!@other.org")]
fn a_name_that_the_api_server_would_not_take_as_an_address_is_nobodys_mailbox(#[case] name: &str) {
    let pattern = regex::Regex::new(EMAIL_PATTERN).expect("a pattern");
    assert!(!pattern.is_match(name));
    assert_eq!(Mailbox::named(name), None);
    let plus = name.replace('@', "+x@");
    let (one, other) = (known(name, None), known(&plus, None));
    assert!(!same_person(&one, &other));
}

#[test]
fn two_guests_are_two_people() {
    let guest = |name: &str| known(&format!("{name}#EXT#@contoso.onmicrosoft.com"), None);
    let world = asked_to("alice@example.com", 2);
    let both = |world: World| {
        let world = world.settled(0).approved_by(guest("ben_other.org"), 1);
        world.approved_by(guest("cat_third.net"), 2).weighed_at(2)
    };
    assert_eq!(counted(&both(world.clone())), Vec::<String>::new());
    let allowed = world.with(|w| {
        w.flow().spec.approval.without_address = WithoutAddress::Allowed;
    });
    assert!(is_approved(&both(allowed)));
}

#[rstest]
#[case::where_recipients_can_be_listed(
    RecipientRule::Listed,
    "To continue, list the addresses in spec.recipients, or have"
)]
#[case::where_they_cannot(RecipientRule::Requester, "To continue, have")]
fn who_has_no_address_reads_what_was_looked_at_and_where_to_set_it(
    #[case] rule: RecipientRule,
    #[case] way_out: &str,
) {
    let plan = World::asked()
        .with(|w| {
            *w.requester() = known("oidc:alice@example.com", None);
            w.flow().spec.grant.recipients = rule;
        })
        .plan_at(0);
    let (_, why, message) = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!(why, "NoRecipient");
    for words in [
        "(username \"oidc:alice@example.com\")",
        way_out,
        "email or emailDomain configured in the keyloan-crds chart (docs/identity.md)",
    ] {
        assert!(message.contains(words), "{message}");
    }
}
