//! The status of an integration.

use super::*;

#[test]
fn after_a_discovery_all_is_said() {
    let world = World::discovered();
    for (type_, says) in [
        ("Ready", "True Ready"),
        ("CredentialsValid", "True TokenAccepted"),
        ("Discovered", "True Discovered"),
        ("Shareable", "True SharingAllowed"),
        ("Throttled", "False NotThrottled"),
    ] {
        assert_eq!(world.says(type_, 1), says);
    }
    let status = world.plan(1).status;
    assert_eq!(status.vaults[0].items, 1);
    assert_eq!(
        status.share_policy.map(|policy| policy.max_lifetime),
        Some(Span("7d".into()))
    );
    assert_eq!(status.last_discovery_time, Some(Time(at(0))));
}

#[test]
fn a_failure_before_anything_is_known_is_not_ready() {
    let world = World::failing(FailureKind::Unavailable, 1);
    assert_eq!(world.says("Ready", 0), "False OnePasswordUnavailable");
    assert_eq!(
        world.says("CredentialsValid", 0),
        "Unknown OnePasswordUnavailable"
    );
    let message = &world.plan(0).status.conditions[0].message;
    assert!(
        message.starts_with("It went wrong. Next try at 2001-09-09T01:46:45"),
        "{message}"
    );
}

#[rstest::rstest]
#[case::missing(Findings { missing: vec!["Gone".into()], ..Findings::default() }, "False VaultNotFound")]
#[case::ambiguous(Findings { ambiguous: vec![("Twin".into(), vec!["v1".into(), "v2".into()])], ..Findings::default() }, "False VaultAmbiguous")]
#[case::unreadable(Findings { unreadable: vec!["Closed".into()], ..Findings::default() }, "False VaultUnreadable")]
fn what_is_wrong_with_one_vault_stops_the_integration_only_if_there_is_no_other(
    #[case] findings: Findings,
    #[case] says: &str,
) {
    let world = World::with_findings(findings);
    assert_eq!(world.says("Discovered", 0), says);
    assert_eq!(world.says("Ready", 0), "True Ready");
    let alone = world.with(|w| w.inventory = Some(Inventory::default()));
    assert_eq!(alone.says("Ready", 0), says);
}

#[test]
fn each_vault_that_is_not_there_is_quoted_for_itself() {
    let findings = Findings {
        missing: vec!["Gone".into(), "Lost, too".into()],
        ..Findings::default()
    };
    let conditions = World::with_findings(findings).plan(0).status.conditions;
    let discovered = conditions.iter().find(|c| c.type_ == "Discovered");
    let message = &discovered.expect("it is said").message;
    assert!(
        message.starts_with(r#"The service account cannot see "Gone", "Lost, too": "#),
        "{message}"
    );
}

#[test]
fn an_account_without_vaults_is_not_ready() {
    let world = World::discovered().with(|w| w.inventory = Some(Inventory::default()));
    assert_eq!(world.says("Ready", 0), "False NoVault");
}

#[test]
fn a_policy_against_named_people_makes_the_integration_useless() {
    let world = World::discovered().with(|w| {
        let policy = w
            .inventory
            .as_mut()
            .and_then(|inventory| inventory.policy.as_mut());
        policy.expect("there is one").named_people = false;
    });
    assert_eq!(world.says("Shareable", 0), "False NamedPeopleNotAllowed");
    assert_eq!(world.says("Ready", 0), "False NamedPeopleNotAllowed");
}

#[test]
fn a_policy_that_nobody_could_read_yet_does_no_harm_but_a_forbidden_one_does() {
    let unread = |world: &mut World| {
        world.inventory.as_mut().expect("there is one").policy = None;
    };
    let world = World::discovered().with(unread);
    assert_eq!(world.says("Shareable", 0), "Unknown NoItem");
    assert_eq!(world.says("Ready", 0), "True Ready");
    let findings = Findings {
        sharing_forbidden: true,
        ..Findings::default()
    };
    let world = World::with_findings(findings).with(unread);
    assert_eq!(world.says("Ready", 0), "False SharingForbidden");
}

#[rstest::rstest]
#[case::far(15 * 24, "True TokenAccepted")]
#[case::soon(13 * 24, "True TokenExpiresSoon")]
#[case::past(-1, "True TokenPastExpiry")]
fn people_are_warned_before_the_token_expires(#[case] hours: i64, #[case] says: &str) {
    let world = World::discovered().with(|w| {
        let source = w.integration.spec.auth.service_account_token.as_mut();
        let expires_at = at(0) + SignedDuration::from_hours(hours);
        source.expect("a token").expires_at = Some(Time(expires_at));
    });
    assert_eq!(world.says("CredentialsValid", 0), says);
    assert_eq!(world.says("Ready", 0), "True Ready");
}

#[rstest::rstest]
#[case(59, "True Ready")]
#[case(61, "True ClockSkew")]
#[case(-3_600, "True ClockSkew")]
fn clocks_that_part_are_told(#[case] seconds: i64, #[case] says: &str) {
    let skew = SignedDuration::from_secs(seconds);
    let world = World::discovered().with(|w| w.session.clock_skew = Some(skew));
    assert_eq!(world.says("Ready", 0), says);
}

#[test]
fn a_restart_leaves_the_status_alone_until_the_first_discovery_is_over() {
    let mut world = World::new();
    let before = World::discovered().plan(0).status;
    world.integration.status = Some(before.clone());
    let plan = world.plan(500);
    assert_eq!(
        (plan.effect, plan.status, plan.notes),
        (Some(Effect::Discover), before, vec![])
    );
    world.session.failure = World::failing(FailureKind::Unavailable, 1).session.failure;
    assert_eq!(world.says("Ready", 500), "False OnePasswordUnavailable");
}

#[test]
fn another_account_begins_with_an_empty_status() {
    let mut world = World::new();
    world.integration.status = Some(World::discovered().plan(0).status);
    world.token = TokenSeen::Usable {
        account: "other@x".into(),
        host: "my.1password.eu".into(),
    };
    let status = world.plan(1).status;
    assert_eq!((status.vaults, status.last_discovery_time), (vec![], None));
    assert_eq!(status.account.as_deref(), Some("other@x"));
}

#[test]
fn a_status_that_was_written_is_not_written_differently_later() {
    let mut world = World::discovered();
    let first = world.plan(10);
    world.integration.status = Some(first.status.clone());
    let second = world.plan(20);
    assert_eq!((second.status, second.notes), (first.status, vec![]));
}

#[test]
fn without_the_boundary_nothing_is_ready_and_nobody_is_signed_out() {
    let guarded = World::discovered();
    assert_eq!(guarded.says("BoundaryInForce", 1), "True BoundaryInForce");
    assert_eq!(guarded.says("Ready", 1), "True Ready");
    let unguarded = guarded.with(|w| {
        w.unguarded = Some("the policy a is missing: install it".into());
    });
    for type_ in ["BoundaryInForce", "Ready"] {
        assert_eq!(unguarded.says(type_, 1), "False BoundaryNotInForce");
    }
    assert_eq!(unguarded.says("CredentialsValid", 1), "True TokenAccepted");
    assert_eq!(unguarded.says("Discovered", 1), "True Discovered");
    let plan = unguarded.plan(1);
    assert_eq!(plan.effect, None);
    let condition = &plan.status.conditions[0];
    assert_eq!(
        condition.message,
        "The policy a is missing: install it. Until then, nothing new is approved or issued; running loans continue and end on time."
    );
    let notes: Vec<_> = plan
        .notes
        .iter()
        .filter(|n| n.reason == "BoundaryNotInForce")
        .collect();
    assert_eq!(notes.len(), 1, "people hear of it once");
    assert!(notes[0].warning);
}

#[test]
fn a_restart_without_the_boundary_does_not_leave_the_status_alone() {
    let before = World::discovered().plan(1).status;
    let restarted = |unguarded: Option<&str>| {
        let mut world = World::new();
        world.integration.status = Some(before.clone());
        world.unguarded = unguarded.map(str::to_owned);
        world
    };
    assert_eq!(restarted(None).says("Ready", 2), "True Ready");
    assert_eq!(
        restarted(Some("a policy is missing")).says("Ready", 2),
        "False BoundaryNotInForce"
    );
}
