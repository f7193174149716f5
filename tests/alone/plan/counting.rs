//! Whose decision counts, for which group, and what status says of those that do not.

use std::sync::Arc;

use keyloan::api::*;
use keyloan::plan::boundary::BoundarySeen;
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::effect::Effect;
use rstest::rstest;

use super::deciders::*;
use super::world::*;

#[test]
fn when_all_have_agreed_the_link_is_issued_and_the_record_says_who_agreed() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 2);
    let plan = world.weighed_at(3);
    assert_eq!(
        waiting_for(&plan),
        "1 more approval from group \"security\" (any member of security), due 2026-11-24T10:00:00Z"
    );
    assert_eq!(counted(&plan), ["bob for owner", "carol for security"]);
    let lent = world.approved_by(dave(), 4).settled(5);
    let status = lent.plan_at(6).status.expect("a status");
    let approved = status
        .conditions
        .iter()
        .find(|c| c.type_ == APPROVED)
        .expect("Approved");
    assert_eq!(
        approved.message,
        "approved by bob (owner), carol (security), dave (security)"
    );
    assert_eq!(lent.seen.record.expect("a record").spec.decisions.len(), 3);
}

#[test]
fn one_person_counts_for_one_group_only_and_for_the_one_where_they_are_needed() {
    // Frank came first and could count for the owner; but then two of security would be missing.
    let world = World::by_owner_and_two_of_security().approved_by(frank(), 1);
    assert_eq!(counted(&world.weighed_at(1)), ["frank for owner"]);
    let world = world.approved_by(carol(), 2);
    assert!(!is_approved(&world.weighed_at(2)));
    let world = world.approved_by(bob(), 3);
    let plan = world.weighed_at(3);
    assert!(is_approved(&plan), "{plan:?}");
    assert_eq!(
        counted(&plan),
        ["frank for security", "carol for security", "bob for owner"]
    );
}

#[test]
fn any_of_the_groups_is_enough_and_half_of_each_is_not() {
    let two = |name| group(name, &[(ApproverKind::Group, Some(name))], 2);
    let world = World::waiting(ApprovalMode::AnyOf, vec![two("db-team"), two("security")]);
    let world = world.approved_by(bob(), 1).approved_by(carol(), 2);
    assert_eq!(
        waiting_for(&world.weighed_at(2)),
        "1 more approval from group \"db-team\" (any member of db-team), or 1 more approval from group \"security\" (any member of security), due 2026-11-24T10:00:00Z"
    );
    assert!(is_approved(&world.approved_by(dave(), 3).weighed_at(3)));
}

#[test]
fn an_approval_counts_for_the_group_that_it_completes_not_for_one_that_still_lacks_others() {
    let owners = group("owner", &[(ApproverKind::Group, Some("db-team"))], 2);
    let security = group("security", &[(ApproverKind::Group, Some("security"))], 1);
    let world = World::waiting(ApprovalMode::AnyOf, vec![owners, security]);
    let approved = world.approved_by(frank(), 1);
    assert!(is_approved(&approved.weighed_at(1)));
    let lent = approved.settled(2);
    assert_eq!(counted(&lent.plan_at(3)), ["frank for security"]);
}

#[rstest]
#[case::by_the_requester(|w: &mut World| { w.decide(person("alice", &["db-team"]), Decision::Approve, 1); }, "requesters cannot approve their own request")]
#[case::by_the_requester_in_another_name(|w: &mut World| { w.decide(Identity { email: Some(email("alice+x@example.com")), ..person("al", &["db-team"]) }, Decision::Approve, 1); }, "requesters cannot approve their own request")]
#[case::by_the_requester_in_another_case(|w: &mut World| { w.decide(Identity { email: None, ..person("Alice@Example.com", &["db-team"]) }, Decision::Approve, 1); }, "requesters cannot approve their own request")]
#[case::by_somebody_outside(|w: &mut World| { w.decide(person("mallory", &["engineering"]), Decision::Approve, 1); }, "this person is in none of the groups that approve the request")]
#[case::by_a_service_account(|w: &mut World| { w.decide(person("system:serviceaccount:a:b", &["db-team"]), Decision::Approve, 1); }, "the decision does not identify a person; ServiceAccounts cannot decide")]
#[case::by_nobody(|w: &mut World| { w.decide(bob(), Decision::Approve, 1).spec.approver = None; }, "the decision does not identify a person; ServiceAccounts cannot decide")]
#[case::for_another_request(|w: &mut World| { w.decide(bob(), Decision::Approve, 1).spec.grant_uid = "former".into(); }, "the decision is about another request of this name: its grantUid differs")]
#[case::of_other_terms(|w: &mut World| { w.decide(bob(), Decision::Approve, 1).spec.digest = Some("sha256:old".into()); }, "the decision approves other terms: review the current terms and approve the digest in the status")]
#[case::a_denial_from_outside(|w: &mut World| { w.decide(person("mallory", &["engineering"]), Decision::Deny, 1); }, "only an approver of the request or an owner can deny it")]
#[case::a_denial_by_the_requester(|w: &mut World| { w.decide(alice(), Decision::Deny, 1); }, "only an approver of the request or an owner can deny it")]
#[case::a_denial_by_a_holder_of_the_verb(|w: &mut World| { w.decide(person("erin", &[]), Decision::Deny, 1).spec.may_revoke = Some(true); }, "only an approver of the request or an owner can deny it")]
#[case::a_revocation_from_outside(|w: &mut World| { w.decide(person("mallory", &["engineering"]), Decision::Revoke, 1); }, "only the requester, an approver, an owner or a holder of the verb revoke on the grant can revoke it")]
#[case::before_the_policies_last_changed(|w: &mut World| { w.decide(bob(), Decision::Approve, 1); w.seen.boundary.changed_at = Some(at(1)); }, "the decision was made before the last change of the admission policies, which verify who made it; decide again")]
#[case::without_a_reason_where_one_is_asked_for(|w: &mut World| {
    w.flow().spec.approval.reason = Requirement::Required;
    *w = w.clone().settled(0);
    w.decide(bob(), Decision::Approve, 1);
}, "the flow requires approvers to give a reason, and the decision has none")]
fn a_decision_that_must_not_count_has_no_effect_and_status_says_why(
    #[case] attack: Attack,
    #[case] why: &str,
) {
    let mut world = World::by_owner_and_two_of_security();
    attack(&mut world);
    let plan = world.weighed_at(1);
    assert_eq!(ignored(&plan), why);
    assert_eq!(counted(&plan), Vec::<String>::new());
    assert_eq!(reason(&plan, APPROVED), "WaitingForApproval");
}

#[rstest]
#[case::their_own_address("carol@example.com")]
#[case::with_a_plus("carol+links@example.com")]
fn who_receives_the_link_does_not_approve_it(#[case] address: &str) {
    let mut world = World::asked().with(|w| {
        w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner_and_two_of_security());
        w.flow().spec.grant.recipients = RecipientRule::Listed;
        w.integration().spec.recipient_domains = vec![Domain("example.com".into())];
        w.grant().spec.recipients = Some(vec![email(address)]);
    });
    world = world.settled(0);
    let mut shouting = carol();
    shouting.username = "CAROL@Example.com".into();
    shouting.email = None;
    for who in [carol(), shouting] {
        let plan = world.clone().approved_by(who, 1).weighed_at(1);
        assert_eq!(
            ignored(&plan),
            "recipients of the link cannot approve the request"
        );
    }
}

#[test]
fn a_second_approval_by_the_same_person_is_no_second_one() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(carol(), 1)
        .approved_by(carol(), 2);
    let plan = world.weighed_at(2);
    assert_eq!(counted(&plan), ["carol for security"]);
    assert_eq!(
        ignored(&plan),
        "this person has already approved; each person counts once"
    );
}

#[test]
fn the_owner_of_the_item_decides_and_where_the_tag_names_nobody_the_integrations_owners() {
    let owner = || vec![group("owner", &[(ApproverKind::ResourceOwner, None)], 1)];
    let tagged = |tags: &[&str]| {
        World::asked()
            .with(|w| {
                w.integration().spec.owners = vec![Person {
                    kind: PersonKind::User,
                    name: "erin".into(),
                }];
                w.integration().spec.resource_owner = Some(ResourceOwner {
                    tag_key: "owner".into(),
                    kind: PersonKind::Group,
                    allowed: vec![PrincipalName("db-team".into())],
                });
                w.infra().items[0].tags = tags.iter().map(|t| (*t).to_owned()).collect();
                w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner());
            })
            .settled(0)
    };
    let owned = tagged(&["owner:db-team"]);
    assert!(waiting_for(&owned.plan_at(1)).contains("any member of db-team"));
    assert!(is_approved(&owned.approved_by(bob(), 1).weighed_at(1)));
    for tags in [
        &["owner:mallory"][..],
        &[],
        &["owner:db-team", "owner:db-team"],
    ] {
        let world = tagged(tags);
        assert!(
            waiting_for(&world.plan_at(1)).contains("(erin)"),
            "{tags:?}"
        );
        assert!(!is_approved(
            &world.clone().approved_by(bob(), 1).weighed_at(1)
        ));
        assert!(is_approved(
            &world.approved_by(person("erin", &[]), 1).weighed_at(1)
        ));
    }
}

#[test]
fn the_integrations_owners_decide_where_the_flow_says_so() {
    let by_owners = group("owners", &[(ApproverKind::IntegrationOwner, None)], 1);
    let owners = [(PersonKind::User, "erin"), (PersonKind::Group, "db-team")];
    let owners = owners.map(|(kind, name)| Person {
        kind,
        name: name.into(),
    });
    let world = World::asked()
        .with(|w| {
            w.integration().spec.owners = owners.to_vec();
            w.flow().spec.approval = approval_by(ApprovalMode::AllOf, vec![by_owners]);
        })
        .settled(0);
    let sentence = "1 approval from group \"owners\" (erin or any member of db-team), due 2026-11-24T10:00:00Z";
    assert_eq!(waiting_for(&world.plan_at(0)), sentence);
    for owner in [person("erin", &[]), bob()] {
        let approved = world.clone().approved_by(owner, 1);
        assert!(is_approved(&approved.weighed_at(1)));
    }
    let plan = world.approved_by(carol(), 1).weighed_at(1);
    assert_eq!(
        ignored(&plan),
        "this person is in none of the groups that approve the request"
    );
}

#[test]
fn membership_in_five_hundred_groups_is_seen() {
    let many: Vec<_> = (0..500).map(|n| format!("group-{n}")).collect();
    let names: Vec<_> = many.iter().map(String::as_str).collect();
    let last = group("last", &[(ApproverKind::Group, Some("group-499"))], 1);
    let world = World::waiting(ApprovalMode::AllOf, vec![last]);
    assert!(is_approved(
        &world.approved_by(person("bob", &names), 1).weighed_at(1)
    ));
}

/// What changes the terms, so that earlier approvals are void.
#[rstest]
#[case::the_flow_is_loosened(|w: &mut World| w.flow().spec.approval.groups[1].required = 1)]
#[case::others_decide(|w: &mut World| w.flow().spec.approval.groups[1].approvers.push(Approver { kind: ApproverKind::User, name: Some("erin".into()) }))]
#[case::one_group_is_enough(|w: &mut World| w.flow().spec.approval.mode = ApprovalMode::AnyOf)]
#[case::the_owner_who_decides_is_another_one(|w: &mut World| {
    w.flow().spec.approval.groups[0].approvers = vec![Approver { kind: ApproverKind::IntegrationOwner, name: None }];
    w.integration().spec.owners = vec![Person { kind: PersonKind::Group, name: "web-team".into() }, Person { kind: PersonKind::Group, name: "db-team".into() }];
})]
#[case::the_item_changes(|w: &mut World| w.infra().items[0].updated_at = at(1))]
#[case::the_title_goes_to_another_item(|w: &mut World| { w.infra().items[0].title = "old".into(); w.infra().items[1].title = "db password".into(); })]
#[case::the_integration_is_another_one(|w: &mut World| w.integration().metadata.uid = Some("other".into()))]
fn approvals_of_other_terms_are_void(#[case] change: Attack) {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1);
    assert!(is_approved(&world.weighed_at(1)), "the honest twin");
    let changed = world.with(change);
    let plan = changed.weighed_at(2);
    assert!(!is_approved(&plan));
    assert_eq!(counted(&plan), Vec::<String>::new());
    assert!(ignored(&plan).contains("the decision approves other terms"));
    let again = changed
        .settled(2)
        .approved_by(bob(), 3)
        .approved_by(carol(), 3)
        .approved_by(dave(), 3);
    assert!(is_approved(&again.weighed_at(3)));
}

/// What changes how the flow is written, or what it lets others do, and nothing for this request.
#[rstest]
#[case::its_generation(|_: &mut World| {})]
#[case::whom_it_lets_ask(|w: &mut World| w.flow().spec.requesters.push(Subject { kind: SubjectKind::User, name: "zoe".into(), namespace: None }))]
#[case::what_it_lends(|w: &mut World| w.flow().spec.items.include.push(of_vault("HR")))]
#[case::limits(|w: &mut World| w.flow().spec.limits = serde_json::from_value(serde_json::json!({ "activePerRequester": 7 })).expect("limits"))]
#[case::timeframe(|w: &mut World| {
    let always = serde_json::json!({ "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "from": "00:00", "to": "23:59", "timeZone": "UTC" });
    w.flow().spec.timeframe = serde_json::from_value(always).expect("a timeframe");
})]
#[case::timeout(|w: &mut World| w.flow().spec.approval.timeout = span("20h"))]
#[case::a_longer_maximum(|w: &mut World| w.flow().spec.grant.max_duration = span("10h"))]
#[case::a_ceiling_out_of_reach(|w: &mut World| w.flow().spec.grant.link_lifetime = LinkLifetime::OneDay)]
#[case::a_group_is_renamed(|w: &mut World| w.flow().spec.approval.groups[0].name = "owners".into())]
#[case::groups_in_another_order(|w: &mut World| w.flow().spec.approval.groups.reverse())]
#[case::somebody_named_twice(|w: &mut World| { let again = w.flow().spec.approval.groups[1].approvers[0].clone(); w.flow().spec.approval.groups[1].approvers.push(again); })]
#[case::the_vault_is_renamed(|w: &mut World| { w.infra().title = "Infrastructure".into(); w.grant().spec.item.vault = TitleOrId("v-infra".into()); w.flow().spec.items.include = vec![of_vault("Infrastructure")]; })]
#[case::an_owner_who_does_not_decide(|w: &mut World| w.integration().spec.owners = vec![Person { kind: PersonKind::User, name: "olga".into() }])]
fn what_changes_nothing_for_a_request_voids_no_approval(#[case] change: Attack) {
    let edited = |w: &mut World| {
        change(w);
        w.flow().metadata.generation = Some(2);
    };
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1);
    let approved = world.digest();
    let world = world.with(edited).settled(2);
    assert_eq!(world.digest(), approved);
    assert!(is_approved(&world.approved_by(dave(), 3).weighed_at(3)));
}

#[test]
fn approvals_count_again_when_the_terms_that_they_approve_are_put_back() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1);
    let never = |w: &mut World| w.flow().spec.grant.renewal = Renewal::Never;
    let changed = world.with(never).settled(2);
    assert!(!is_approved(&changed.weighed_at(3)));
    let back = changed.with(|w| w.flow().spec.grant.renewal = Renewal::OnRequest);
    assert!(is_approved(&back.weighed_at(4)));
}

#[test]
fn a_decision_that_counted_is_named_by_its_uid() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1)
        .settled(2);
    let record = world.seen.record.as_ref().expect("a record");
    let named = |d: &CountedDecision| (d.uid.clone(), d.name.clone());
    let first = (Some("uid-of-decision-0".into()), Some("decision-0".into()));
    assert_eq!(named(&record.spec.decisions[0]), first);
    assert_eq!(ignored(&world.plan_at(3)), "");
    // Another object that says the same has not counted.
    let mut world = world;
    let twin = world.seen.decisions[0].clone();
    let twin = AccessDecision {
        metadata: kube::api::ObjectMeta {
            uid: Some("another".into()),
            ..twin.metadata.clone()
        },
        spec: twin.spec.clone(),
    };
    world.seen.decisions.push(std::sync::Arc::new(twin));
    assert!(ignored(&world.plan_at(3)).contains("all the approvals that they need"));
}

#[test]
fn nothing_is_approved_before_its_maker_is_vouched_for() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1);
    let plan = world.plan_at(1);
    assert_eq!(plan.effect, Some(Effect::CheckBoundary));
    assert_eq!(plan.wake, Some(at(DAY)), "when it lapses");
    let broken = BoundarySeen {
        broken: Some("the policy keyloan-decision-identity is gone".into()),
        changed_at: None,
    };
    let plan = world.with(|w| w.seen.boundary = broken).plan_at(1);
    assert_eq!(plan.effect, None);
    let (_, why, message) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(
        (why, message),
        (
            "BoundaryNotInForce",
            "the policy keyloan-decision-identity is gone"
        )
    );
}

#[rstest]
#[case::the_requester(alice(), None, true)]
#[case::an_approver(bob(), None, true)]
#[case::a_holder_of_the_verb(person("erin", &[]), Some(true), true)]
#[case::somebody_else(person("mallory", &["engineering"]), None, false)]
#[case::an_administrator_of_the_cluster(person("system:admin", &[]), Some(true), true)]
#[case::the_same_without_the_verb(person("system:admin", &["db-team"]), Some(false), false)]
#[case::machinery_with_the_verb(person("system:serviceaccount:a:b", &[]), Some(true), true)]
#[case::a_service_account(person("system:serviceaccount:a:b", &["db-team"]), None, false)]
fn a_loan_is_revoked_by_those_entitled_whatever_became_of_flow_and_integration(
    #[case] who: Identity,
    #[case] may_revoke: Option<bool>,
    #[case] ends: bool,
) {
    let mut world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1)
        .settled(2);
    world.seen.flows.clear();
    world.seen.integration = None;
    let name = who.username.clone();
    world.decide(who, Decision::Revoke, 10).spec.may_revoke = may_revoke;
    if !ends {
        assert_eq!(world.plan_at(11).effect, None);
        return;
    }
    assert_eq!(world.plan_at(11).effect, Some(Effect::DeleteLink));
    let ended = world.settled(11);
    let end = ended
        .seen
        .record
        .as_ref()
        .and_then(|r| r.spec.end.clone())
        .expect("an end");
    assert_eq!(
        (end.reason, end.by),
        (EndReason::Revoked, Some(name.clone()))
    );
    let plan = ended.plan_at(12);
    let (_, why, message) = condition(&plan, ACTIVE).expect("Active");
    assert_eq!(
        (why, message),
        (
            "Revoked",
            format!("the loan was revoked by {name}").as_str()
        )
    );
}

#[test]
fn one_person_under_two_names_counts_once() {
    let mut other_name = carol();
    other_name.username = "oidc:carol@example.com".into();
    let world = World::by_owner_and_two_of_security()
        .approved_by(carol(), 1)
        .approved_by(other_name, 2);
    let plan = world.weighed_at(2);
    assert_eq!(counted(&plan), ["carol for security"]);
}

/// Alice's request needs nobody's approval; its status has been written while 1Password could not be asked.
fn unasked() -> World {
    World::asked()
        .with(|w| w.integration_seen().inventory = None)
        .settled(0)
        .with(|w| w.failed(0, Failure::Unavailable))
        .with(|w| w.integration_seen().inventory = Some(Arc::new(inventory())))
}

fn approved() -> World {
    World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1)
        .settled(2)
}

fn over() -> World {
    approved().with(World::block_alice).settled(3)
}

const NOT_NEEDED: &str = "the approver's groups already have all the approvals that they need";
const NOBODYS: &str = "the flow does not require approval";
const NOT_THEIRS_TO_DENY: &str = "only an approver of the request or an owner can deny it";

/// (which loan) (who says what) -> why it has no effect.
#[rstest]
#[case::while_nobodys_approval_is_needed(unasked, bob(), Decision::Approve, NOBODYS)]
#[case::a_denial_of_what_is_nobodys_to_deny(unasked, bob(), Decision::Deny, NOT_THEIRS_TO_DENY)]
#[case::while_it_runs_unasked(World::lent, bob(), Decision::Approve, NOBODYS)]
#[case::one_approval_more(approved, frank(), Decision::Approve, NOT_NEEDED)]
#[case::approved_by_the_requester(approved, person("alice", &["db-team"]), Decision::Approve, "requesters cannot approve their own request")]
#[case::a_denial_after_the_start(approved, carol(), Decision::Deny, "the decision came too late")]
#[case::a_denial_by_somebody_else(approved, person("mallory", &[]), Decision::Deny, NOT_THEIRS_TO_DENY)]
#[case::by_a_service_account(
    approved,
    person("system:serviceaccount:a:b", &[]),
    Decision::Revoke,
    "the decision does not identify a person; ServiceAccounts cannot decide"
)]
#[case::revoked_when_it_was_over(over, alice(), Decision::Revoke, "the decision came too late")]
#[case::approved_when_it_was_over(over, frank(), Decision::Approve, NOT_NEEDED)]
fn a_decision_without_effect_on_a_loan_is_told_of_and_why(
    #[case] world: fn() -> World,
    #[case] who: Identity,
    #[case] decision: Decision,
    #[case] why: &str,
) {
    let world = world();
    let before = world.plan_at(4);
    assert_eq!(ignored(&before), "", "the twin: those that counted are not");
    let mut decided = world;
    decided.decide(who, decision, 4);
    let plan = decided.plan_at(4);
    assert_eq!(ignored(&plan), why);
    let told = plan.status.map(|status| AccessGrantStatus {
        ignored_decisions: vec![],
        ..status
    });
    assert_eq!(told, before.status, "nothing else has changed");
}

#[test]
fn an_approval_after_the_timeout_came_too_late_also_for_a_loan_that_runs() {
    let mut world = World::by_owner_and_two_of_security();
    world.grant().spec.duration = Some(span("8h"));
    let mut lent = world
        .settled(0)
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), DAY - 1)
        .settled(DAY - 1);
    lent.decide(frank(), Decision::Approve, DAY);
    assert_eq!(
        ignored(&lent.plan_at(DAY + 1)),
        "the decision came too late"
    );
}

/// A status is written only if it tells people something new.
#[test]
fn a_loan_that_nobody_decided_on_is_not_written_of_again() {
    for world in [World::lent(), approved(), over(), World::ended()] {
        let known = world.seen.grant.as_ref().and_then(|g| g.status.clone());
        assert_eq!(world.plan_at(4).status, known);
    }
}

/// Mallory, who decides nothing here, makes as many decisions as a status shows, and more.
#[test]
fn worthless_decisions_hide_neither_a_real_one_nor_why_another_has_no_effect() {
    let mut world = World::by_owner_and_two_of_security();
    let outdated = world.decide(bob(), Decision::Approve, 1);
    outdated.spec.digest = Some("sha256:old".into());
    for _ in 0..50 {
        world.decide(person("mallory", &["engineering"]), Decision::Approve, 2);
    }
    let plan = world.weighed_at(3);
    let ignored = plan.status.expect("a status").ignored_decisions;
    assert_eq!(ignored.len(), 20);
    assert_eq!(ignored[0].user, "bob", "though all of mallory's are newer");
    let approved = world.approved_by(bob(), 4);
    assert_eq!(counted(&approved.weighed_at(5)), ["bob for owner"]);
}
