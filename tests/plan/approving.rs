//! Who has to agree, whose decision counts, and what is still missing.

use std::sync::Arc;

use keyloan::api::*;
use keyloan::plan::boundary::BoundarySeen;
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::retry::Failure;
use rstest::rstest;

use super::executor::fail_to_issue;
use super::world::*;

const DAY: i64 = 24 * 60;

fn person(username: &str, groups: &[&str]) -> Identity {
    Identity {
        username: username.into(),
        groups: groups.iter().map(|g| PrincipalName((*g).into())).collect(),
        email: Some(email(&format!("{username}@example.com"))),
    }
}

/// Bob owns databases; carol and dave are of security; frank is of both.
fn bob() -> Identity {
    person("bob", &["db-team"])
}
fn carol() -> Identity {
    person("carol", &["security"])
}
fn dave() -> Identity {
    person("dave", &["security"])
}
fn frank() -> Identity {
    person("frank", &["db-team", "security"])
}

impl World {
    /// Alice's request needs approval by these groups; its status has been written.
    fn waiting(mode: ApprovalMode, groups: Vec<ApproverGroup>) -> Self {
        Self::asked()
            .with(|w| w.flow().spec.approval = approval_by(mode, groups))
            .settled(0)
    }

    /// The owner and two of security have to agree.
    fn by_owner_and_two_of_security() -> Self {
        Self::waiting(ApprovalMode::AllOf, owner_and_two_of_security())
    }

    fn digest(&self) -> String {
        let status = self.seen.grant.as_ref().and_then(|g| g.status.clone());
        status.and_then(|s| s.digest).unwrap_or_default()
    }

    /// Somebody decides at this minute, on the terms as status shows them.
    fn decide(&mut self, who: Identity, decision: Decision, minute: i64) -> &mut AccessDecision {
        let name = format!("decision-{}", self.seen.decisions.len());
        let mut metadata = flow(&name).metadata;
        metadata.namespace = Some("team-a".into());
        metadata.uid = Some(format!("uid-of-{name}"));
        metadata.creation_timestamp = Some(Time(at(minute)));
        let spec = AccessDecisionSpec {
            grant: "alice-db".into(),
            grant_uid: GRANT_UID.into(),
            digest: Some(self.digest()),
            decision,
            reason: None,
            max_duration: None,
            may_revoke: None,
            approver: Some(who),
        };
        self.seen
            .decisions
            .push(Arc::new(AccessDecision { metadata, spec }));
        Arc::make_mut(self.seen.decisions.last_mut().expect("just pushed"))
    }

    fn approved_by(mut self, who: Identity, minute: i64) -> Self {
        self.decide(who, Decision::Approve, minute);
        self
    }

    /// The plan once the makers of all decisions are vouched for.
    fn weighed_at(&self, minute: i64) -> Plan {
        let plan = self.plan_at(minute);
        if plan.effect != Some(Effect::CheckBoundary) {
            return plan;
        }
        self.clone().one_step(minute).plan_at(minute)
    }
}

fn owner_and_two_of_security() -> Vec<ApproverGroup> {
    vec![
        group("owner", &[(ApproverKind::Group, Some("db-team"))], 1),
        group("security", &[(ApproverKind::Group, Some("security"))], 2),
    ]
}

fn waiting_for(plan: &Plan) -> String {
    let status = plan.status.as_ref().expect("a status");
    status.waiting_for.clone().unwrap_or_default()
}

fn counted(plan: &Plan) -> Vec<String> {
    let status = plan.status.as_ref().expect("a status");
    let line = |d: &CountedDecision| match &d.group {
        Some(group) => format!("{} for {group}", d.user),
        None => d.user.clone(),
    };
    status.decisions.iter().map(line).collect()
}

/// Why the only decision was ignored.
fn ignored(plan: &Plan) -> String {
    let status = plan.status.as_ref().expect("a status");
    let reasons: Vec<_> = status
        .ignored_decisions
        .iter()
        .map(|d| d.reason.as_str())
        .collect();
    reasons.join("; ")
}

fn is_approved(plan: &Plan) -> bool {
    matches!(plan.effect, Some(Effect::IssueLink(_)))
}

#[test]
fn a_request_that_needs_approval_waits_and_says_for_whom() {
    let world = World::by_owner_and_two_of_security();
    let plan = world.plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), "FlowChosen");
    assert_eq!(reason(&plan, APPROVED), "WaitingForApproval");
    assert!(!stalled(&plan));
    let sentence = "1 approval of \"owner\" (anyone in db-team), and 2 approvals of \"security\" (anyone in security) until 2026-11-24T10:00:00Z";
    assert_eq!(waiting_for(&plan), sentence);
    assert_eq!(plan.wake, Some(at(DAY)));
}

#[test]
fn when_all_have_agreed_the_link_is_issued_and_the_record_says_who_agreed() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 2);
    let plan = world.weighed_at(3);
    assert_eq!(
        waiting_for(&plan),
        "1 more approval of \"security\" (anyone in security) until 2026-11-24T10:00:00Z"
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
        "1 more approval of \"db-team\" (anyone in db-team), or 1 more approval of \"security\" (anyone in security) until 2026-11-24T10:00:00Z"
    );
    assert!(is_approved(&world.approved_by(dave(), 3).weighed_at(3)));
}

type Attack = fn(&mut World);

#[rstest]
#[case::by_the_requester(|w: &mut World| { w.decide(person("alice", &["db-team"]), Decision::Approve, 1); }, "nobody approves their own request")]
#[case::by_the_requester_in_another_name(|w: &mut World| { w.decide(Identity { email: Some(email("alice+x@example.com")), ..person("al", &["db-team"]) }, Decision::Approve, 1); }, "nobody approves their own request")]
#[case::by_the_requester_by_another_prefix(|w: &mut World| { w.decide(Identity { email: None, ..person("oidc:Alice@Example.com", &["db-team"]) }, Decision::Approve, 1); }, "nobody approves their own request")]
#[case::by_somebody_outside(|w: &mut World| { w.decide(person("mallory", &["engineering"]), Decision::Approve, 1); }, "they are in none of the groups that approve this request")]
#[case::by_a_service_account(|w: &mut World| { w.decide(person("system:serviceaccount:a:b", &["db-team"]), Decision::Approve, 1); }, "it does not say which person made it; ServiceAccounts never decide")]
#[case::by_nobody(|w: &mut World| { w.decide(bob(), Decision::Approve, 1).spec.approver = None; }, "it does not say which person made it; ServiceAccounts never decide")]
#[case::for_another_request(|w: &mut World| { w.decide(bob(), Decision::Approve, 1).spec.grant_uid = "former".into(); }, "it is about another request of this name: its grantUid is not this one's")]
#[case::of_other_terms(|w: &mut World| { w.decide(bob(), Decision::Approve, 1).spec.digest = Some("sha256:old".into()); }, "it approves other terms: they have changed since, so look again and approve the digest that status shows now")]
#[case::too_late(|w: &mut World| { w.decide(bob(), Decision::Approve, DAY); }, "it came too late")]
#[case::a_denial_from_outside(|w: &mut World| { w.decide(person("mallory", &["engineering"]), Decision::Deny, 1); }, "only an approver of the request or an owner can deny it")]
#[case::a_revocation_from_outside(|w: &mut World| { w.decide(person("mallory", &["engineering"]), Decision::Revoke, 1); }, "only the requester, an approver, an owner, or who holds the verb revoke on the grant can revoke it")]
#[case::before_the_policies_last_changed(|w: &mut World| { w.decide(bob(), Decision::Approve, 1); w.seen.boundary.changed_at = Some(at(1)); }, "it was made before the admission policies that vouch for its maker were last changed; decide again")]
#[case::without_a_reason_where_one_is_asked_for(|w: &mut World| {
    w.flow().spec.approval.reason = Requirement::Required;
    *w = w.clone().settled(0);
    w.decide(bob(), Decision::Approve, 1);
}, "the flow asks approvers for a reason, and it gives none")]
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
        assert_eq!(ignored(&plan), "nobody approves a link that they receive");
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
        "they have approved already, and everybody counts once"
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
    assert!(waiting_for(&owned.plan_at(1)).contains("anyone in db-team"));
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
fn membership_in_five_hundred_groups_is_seen() {
    let many: Vec<_> = (0..500).map(|n| format!("group-{n}")).collect();
    let names: Vec<_> = many.iter().map(String::as_str).collect();
    let last = group("last", &[(ApproverKind::Group, Some("group-499"))], 1);
    let world = World::waiting(ApprovalMode::AllOf, vec![last]);
    assert!(is_approved(
        &world.approved_by(person("bob", &names), 1).weighed_at(1)
    ));
}

#[test]
fn a_request_that_nobody_can_approve_is_refused_at_once() {
    let only_alice = group("owner", &[(ApproverKind::User, Some("alice"))], 1);
    let plan = World::waiting(ApprovalMode::AllOf, vec![only_alice]).plan_at(0);
    let (_, why, message) = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!(why, "NoFlowCoversRequest");
    assert_eq!(
        message,
        "the flow \"oncall\": its group \"owner\" needs 1 to approve, and 0 could: neither the requester nor a recipient counts"
    );
}

#[test]
fn a_denial_is_final_also_when_its_object_is_gone_and_others_approve() {
    let mut world = World::by_owner_and_two_of_security();
    world.decide(bob(), Decision::Deny, 1).spec.reason = Some("not on a Friday".into());
    let plan = world.plan_at(1);
    let (_, why, message) = condition(&plan, APPROVED).expect("Approved");
    assert_eq!(
        (why, message),
        ("Denied", "it was denied by bob: not on a Friday")
    );
    assert_eq!(
        plan.status.as_ref().and_then(|s| s.phase),
        Some(Phase::Denied)
    );
    assert!(stalled(&plan));
    let mut world = world.settled(1);
    world.seen.decisions.clear();
    let world = world
        .approved_by(bob(), 2)
        .approved_by(carol(), 2)
        .approved_by(dave(), 2);
    assert_eq!(world.weighed_at(3).effect, None);
    assert_eq!(
        world.weighed_at(3).status.and_then(|s| s.phase),
        Some(Phase::Denied)
    );
}

#[test]
fn approvals_in_time_count_also_when_they_are_seen_late_and_nobody_waits_longer_than_the_timeout() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1);
    let lapsed = world.weighed_at(DAY);
    assert_eq!(reason(&lapsed, ACCEPTED), "Lapsed");
    assert!(stalled(&lapsed));
    // The operator was away when dave approved.
    let late = world.settled(2).approved_by(dave(), DAY - 1);
    assert!(is_approved(&late.weighed_at(DAY - 1)));
    assert!(
        is_approved(&late.weighed_at(DAY + 60))
            || reason(&late.weighed_at(DAY + 60), ACCEPTED) == "FlowChosen"
    );
}

/// What changes the terms, so that earlier approvals are void.
#[rstest]
#[case::the_flow_is_loosened(|w: &mut World| { w.flow().metadata.generation = Some(2); })]
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
    assert!(ignored(&plan).contains("it approves other terms"));
    let again = changed
        .settled(2)
        .approved_by(bob(), 3)
        .approved_by(carol(), 3)
        .approved_by(dave(), 3);
    assert!(is_approved(&again.weighed_at(3)));
}

#[test]
fn an_approval_may_shorten_the_loan_and_the_shortest_one_counts() {
    let mut world = World::by_owner_and_two_of_security().approved_by(dave(), 1);
    world.decide(bob(), Decision::Approve, 1).spec.max_duration = Some(span("2h"));
    world
        .decide(carol(), Decision::Approve, 1)
        .spec
        .max_duration = Some(span("3h"));
    let lent = world.settled(2);
    let status = lent.plan_at(3).status.expect("a status");
    assert_eq!(status.expires_at, Some(Time(at(2 + 120))));
}

#[test]
fn nothing_is_approved_before_its_maker_is_vouched_for() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1);
    assert_eq!(world.plan_at(1).effect, Some(Effect::CheckBoundary));
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

#[test]
fn without_the_boundary_nothing_new_is_issued_and_what_runs_goes_on_and_ends() {
    let broken = |w: &mut World| w.seen.boundary.broken = Some("gone".into());
    let plan = World::asked().with(broken).plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACTIVE), "BoundaryNotInForce");
    let mut renewing = World::lent().with(broken);
    renewing.asks_to_renew(55);
    assert_eq!(issued(&renewing.plan_at(55)).sequence, 2);
    assert_eq!(renewing.plan_at(4 * 60).effect, Some(Effect::DeleteLink));
}

#[test]
fn a_request_is_first_vouched_for_and_one_from_before_the_policies_is_not_believed() {
    let world = World::asked().with(|w| w.seen.checked.clear());
    assert_eq!(world.plan_at(0).effect, Some(Effect::CheckBoundary));
    let changed = |minute| move |w: &mut World| w.seen.boundary.changed_at = Some(at(minute));
    assert_eq!(
        world.clone().with(changed(-1)).plan_at(0).effect,
        Some(Effect::CheckBoundary)
    );
    let plan = world.with(changed(0)).plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), "IdentityUnverified");
    assert!(stalled(&plan));
}

#[rstest]
#[case::the_requester(alice(), None, true)]
#[case::an_approver(bob(), None, true)]
#[case::a_holder_of_the_verb(person("erin", &[]), Some(true), true)]
#[case::somebody_else(person("mallory", &["engineering"]), None, false)]
#[case::a_service_account(person("system:serviceaccount:a:b", &["db-team"]), Some(true), false)]
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
fn a_denial_ends_nothing_that_has_started() {
    let mut world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), 1)
        .settled(2);
    world.decide(carol(), Decision::Deny, 3);
    assert_eq!(world.plan_at(4).effect, None);
}

#[test]
fn what_only_has_to_wait_keeps_its_terms_and_approvals() {
    let world = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .settled(1);
    let throttled = world.with(|w| w.integration_seen().throttled_until = Some(at(30)));
    let plan = throttled.plan_at(2);
    assert_eq!(reason(&plan, ACCEPTED), "OnePasswordThrottled");
    assert_eq!(counted(&plan), ["bob for owner"]);
    assert!(plan.status.is_some_and(|s| s.digest.is_some()));
}

#[test]
fn a_denial_counts_until_the_loan_begins_also_after_the_timeout_and_while_the_link_is_made() {
    let approved = World::by_owner_and_two_of_security()
        .approved_by(bob(), 1)
        .approved_by(carol(), 1)
        .approved_by(dave(), DAY - 1);
    let denied = approved.clone().with(|w| {
        w.decide(carol(), Decision::Deny, DAY + 5);
    });
    assert!(is_approved(&approved.weighed_at(DAY + 6)), "the twin");
    assert_eq!(reason(&denied.weighed_at(DAY + 6), APPROVED), "Denied");

    // Seen only when the link is there already.
    let mut late = approved.settled(DAY + 10);
    late.decide(carol(), Decision::Deny, DAY + 10);
    assert_eq!(late.plan_at(DAY + 11).effect, Some(Effect::DeleteLink));
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

#[test]
fn whose_address_is_unknown_approves_no_link_that_others_receive() {
    let mut unknown = carol();
    unknown.email = None;
    let own = World::by_owner_and_two_of_security().approved_by(unknown.clone(), 1);
    assert_eq!(counted(&own.weighed_at(1)), ["carol for security"]);
    let listed = World::asked().with(|w| {
        w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner_and_two_of_security());
        w.flow().spec.grant.recipients = RecipientRule::Listed;
        w.integration().spec.recipient_domains = vec![Domain("example.com".into())];
        w.grant().spec.recipients = Some(vec![email("erin@example.com")]);
    });
    let plan = listed.settled(0).approved_by(unknown, 1).weighed_at(1);
    assert_eq!(
        ignored(&plan),
        "their e-mail address is not known, so nobody can tell that they do not receive the link"
    );
}

#[test]
fn a_passing_fault_costs_a_patient_request_nothing() {
    let three_days = |w: &mut World| w.flow().spec.approval.timeout = span("72h");
    let world = World::asked()
        .with(|w| {
            w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner_and_two_of_security())
        })
        .with(three_days)
        .settled(0)
        .approved_by(bob(), 1);
    let suspended = |on: bool| move |w: &mut World| w.flow().spec.suspend = on;
    let faulty = world
        .settled(30 * 60)
        .with(suspended(true))
        .settled(30 * 60 + 1);
    assert_eq!(
        reason(&faulty.plan_at(30 * 60 + 2), ACCEPTED),
        "NoFlowCoversRequest"
    );
    let mended = faulty.with(suspended(false));
    assert_eq!(
        reason(&mended.plan_at(30 * 60 + 3), APPROVED),
        "WaitingForApproval"
    );
    let outlasted = mended.plan_at(72 * 60);
    assert_eq!(reason(&outlasted, ACCEPTED), "Lapsed");
}

#[test]
fn a_request_made_in_time_waits_for_the_next_opening() {
    let office = Timeframe {
        days: vec![Weekday::Mon, Weekday::Tue],
        from: TimeOfDay("09:00".into()),
        to: TimeOfDay("18:00".into()),
        time_zone: "Europe/Berlin".into(),
    };
    let world = World::asked()
        .with(|w| {
            w.flow().spec.approval = approval_by(ApprovalMode::AllOf, owner_and_two_of_security());
            w.flow().spec.timeframe = Some(office);
        })
        .settled(0);
    let night = 9 * 60;
    let closed = world.settled(night);
    let plan = closed.plan_at(night + 1);
    assert_eq!(
        (reason(&plan, ACCEPTED), stalled(&plan)),
        ("OutsideTimeframe", false)
    );
    let morning = 23 * 60;
    assert_eq!(
        reason(&closed.plan_at(morning), APPROVED),
        "WaitingForApproval"
    );
}

#[test]
fn a_first_link_that_was_lost_is_not_tried_again_without_the_boundary() {
    let world = World::asked();
    let plan = world.plan_at(0);
    let lost = fail_to_issue(
        issued(&plan),
        world.seen.clone(),
        Failure::Unavailable,
        at(0),
    );
    let world = World { seen: lost };
    assert_eq!(issued(&world.plan_at(5)).sequence, 2, "the twin");
    let broken = world.with(|w| w.seen.boundary.broken = Some("gone".into()));
    assert_eq!(broken.plan_at(5).effect, None);
}
