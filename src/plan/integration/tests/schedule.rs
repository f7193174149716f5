//! When the operator lists an integration's vaults, and when it sends nothing.

use super::*;

#[test]
fn a_new_token_is_tried_at_once_and_not_twice() {
    let world = World::new();
    let plan = world.plan(1);
    assert_eq!(plan.effect, Some(Effect::Discover));
    assert_eq!(plan.status.observed_generation, Some(7));
    assert_eq!(plan.status.account.as_deref(), Some(ACCOUNT));
    assert_eq!(world.says("Ready", 1), "False Discovering");
    assert_eq!(world.says("CredentialsValid", 1), "Unknown SigningIn");
    assert_eq!(world.with(|w| w.discovering = true).plan(1).effect, None);
}

#[test]
fn after_a_discovery_nothing_happens_until_the_interval_is_over() {
    let world = World::discovered();
    let plan = world.plan(1);
    assert_eq!((plan.effect, plan.wake), (None, Some(at(86_400))));
    assert_eq!(world.plan(86_400).effect, Some(Effect::Discover));
}

#[rstest::rstest]
#[case::missing(Findings { missing: vec!["Infra".into()], ..Findings::default() })]
#[case::ambiguous(Findings { ambiguous: vec![("Infra".into(), vec![])], ..Findings::default() })]
#[case::unreadable(Findings { unreadable: vec!["Infra".into()], ..Findings::default() })]
#[case::not_shared(Findings { sharing_forbidden: true, ..Findings::default() })]
fn what_people_have_to_mend_in_1password_is_looked_at_again_within_an_hour(
    #[case] findings: Findings,
) {
    let mut world = World::with_findings(findings);
    assert_eq!(world.plan(1).wake, Some(at(3_600)));
    assert_eq!(world.plan(3_600).effect, Some(Effect::Discover));
    world.integration.spec.discovery_interval = Span("30m".into());
    assert_eq!(world.plan(1).wake, Some(at(1_800)), "not less often");
}

#[rstest::rstest]
#[case::no_vault(|i: &mut Inventory| i.vaults.clear())]
#[case::no_item(|i: &mut Inventory| i.policy = None)]
#[case::no_named_people(|i: &mut Inventory| i.policy.as_mut().expect("one").named_people = false)]
fn an_account_that_cannot_lend_is_looked_at_again_within_an_hour(
    #[case] change: impl Fn(&mut Inventory),
) {
    let mut world = World::discovered();
    change(world.inventory.as_mut().expect("one"));
    assert_eq!(world.plan(1).wake, Some(at(3_600)));
}

#[rstest::rstest]
#[case::not_configured(TokenSeen::NotConfigured, "SecretMissing", "secretRef")]
#[case::missing(no_secret(), "SecretMissing", "Create it")]
#[case::not_labelled(TokenSeen::NotLabelled { secret: "op-token".into() }, "SecretNotLabelled", "keyloan.dev/secret=token")]
#[case::of_another(TokenSeen::OfAnother { secret: "op-token".into(), names: Some("other".into()) }, "SecretOfAnotherIntegration", "integration other")]
#[case::of_nobody(TokenSeen::OfAnother { secret: "op-token".into(), names: None }, "SecretOfAnotherIntegration", "Set its label")]
#[case::unreadable(TokenSeen::Unreadable { secret: "op-token".into(), error: "forbidden".into() }, "SecretUnreadable", "forbidden")]
#[case::key(TokenSeen::KeyMissing { secret: "op-token".into(), key: "token".into(), keys: vec!["tok".into()] }, "KeyMissing", "it has: tok")]
#[case::malformed(TokenSeen::Malformed("the token is malformed: it is empty".into()), "TokenMalformed", "empty")]
#[case::foreign(TokenSeen::ForeignOrigin("the token signs in at https://x.example".into()), "ForeignOrigin", "x.example")]
fn without_a_usable_token_nothing_is_sent_and_the_condition_says_what_to_do(
    #[case] token: TokenSeen,
    #[case] reason: &str,
    #[case] says: &str,
) {
    for world in [World::new(), World::discovered()] {
        let world = world.with(|w| w.token = token.clone());
        let plan = world.plan(1_000_000);
        assert_eq!(plan.effect, None);
        assert_eq!(world.says("Ready", 0), format!("False {reason}"));
        assert_eq!(world.says("CredentialsValid", 0), format!("False {reason}"));
        assert!(plan.status.conditions[0].message.contains(says));
        assert!(
            plan.notes
                .iter()
                .any(|note| note.warning && note.reason == reason)
        );
    }
}

#[test]
fn a_discovery_whose_token_is_gone_is_given_up() {
    let world = World::new().with(|w| {
        w.discovering = true;
        w.token = no_secret();
    });
    assert_eq!(world.plan(0).effect, Some(Effect::GiveUpDiscovery));
}

#[test]
fn a_refused_token_is_not_tried_again() {
    let world = World::failing(FailureKind::Rejected, 1);
    let plan = world.plan(10_000_000);
    assert_eq!((plan.effect, plan.wake), (None, None));
    assert_eq!(world.says("Ready", 0), "False TokenRejected");
    assert_eq!(world.says("CredentialsValid", 0), "False TokenRejected");
}

#[rstest::rstest]
#[case::unavailable(FailureKind::Unavailable, &[5, 10, 20, 40], 600)]
#[case::forbidden(FailureKind::Forbidden, &[600, 1_200, 2_400, 3_600], 3_600)]
#[case::broken(FailureKind::Broken, &[30, 60, 120, 240], 3_600)]
fn what_fails_is_tried_again_ever_more_slowly(
    #[case] kind: FailureKind,
    #[case] waits: &[i64],
    #[case] longest: i64,
) {
    for (count, wait) in (1..).zip(waits).chain([(u32::MAX, &longest)]) {
        let world = World::failing(kind, count);
        let early = world.plan(wait - 1);
        assert_eq!(
            (early.effect, early.wake),
            (None, Some(at(*wait))),
            "attempt {count}"
        );
        assert_eq!(world.plan(*wait).effect, Some(Effect::Discover));
    }
}

#[test]
fn what_was_listed_serves_on_while_1password_is_away() {
    let failure = World::failing(FailureKind::Unavailable, 1).session.failure;
    let world = World::discovered().with(|w| w.session.failure = failure);
    assert_eq!(world.says("Ready", 1), "True Ready");
    assert_eq!(
        world.says("Discovered", 1),
        "Unknown OnePasswordUnavailable"
    );
    assert_eq!(world.says("CredentialsValid", 1), "True TokenAccepted");
}

#[test]
fn throttled_is_ready_and_nothing_is_sent_before_the_time() {
    let world = World::discovered().with(|w| w.session.throttled_until = Some(at(90_000)));
    let plan = world.plan(86_400);
    assert_eq!((plan.effect, plan.wake), (None, Some(at(90_000))));
    assert_eq!(world.says("Ready", 86_400), "True Ready");
    assert_eq!(world.says("Throttled", 86_400), "True RateLimited");
    assert_eq!(world.says("Throttled", 90_000), "False NotThrottled");
    assert_eq!(world.plan(90_000).effect, Some(Effect::Discover));
}

#[test]
fn a_discovery_waits_for_room_in_the_request_limits() {
    let world = World::new().with(|w| w.room_from = Some(at(100)));
    assert_eq!(
        (world.plan(0).effect, world.plan(0).wake),
        (None, Some(at(100)))
    );
    assert_eq!(world.says("Discovered", 0), "False QuotaLow");
}

#[test]
fn suspended_sends_nothing_and_says_so() {
    let world = World::discovered().with(|w| w.integration.spec.suspend = true);
    assert_eq!(world.plan(1_000_000).effect, None);
    assert_eq!(world.says("Ready", 0), "False Suspended");
    assert_eq!(
        world.says("CredentialsValid", 0),
        "True TokenAccepted",
        "what is known stays"
    );
    assert!(
        world.plan(0).notes.iter().all(|note| !note.warning),
        "it was meant"
    );
}

#[test]
fn another_allow_list_is_discovered_at_once_and_another_text_is_not() {
    let list = vec![TitleOrId("Infra".into())];
    let other = World::discovered().with(|w| w.integration.spec.vaults = list);
    assert_eq!(other.plan(1).effect, Some(Effect::Discover));
    let name = Some("keyloan-prod".into());
    let text = World::discovered().with(|w| w.integration.spec.service_account_name = name);
    assert_eq!(text.plan(1).effect, None);
}

#[test]
fn the_integration_is_looked_at_again_when_the_warning_is_due() {
    let world = World::discovered().with(|w| {
        let source = w.integration.spec.auth.service_account_token.as_mut();
        let expires_at = at(0) + SignedDuration::from_hours(14 * 24 + 1);
        source.expect("a token").expires_at = Some(Time(expires_at));
    });
    assert_eq!(world.plan(0).wake, Some(at(3_600)));
}
