//! When an integration lends nothing until a person acts.

use super::*;

fn stalled(world: &World, seconds: i64) -> String {
    world.says("Stalled", seconds)
}

fn token(token: TokenSeen) -> World {
    World::new().with(|w| w.token = token)
}

fn missing(kind: fn(&mut Findings)) -> World {
    let mut findings = Findings::default();
    kind(&mut findings);
    World::with_findings(findings).with(|w| w.inventory = Some(Inventory::default()))
}

#[rstest::rstest]
#[case::not_labelled(token(TokenSeen::NotLabelled { secret: "s".into() }), "SecretNotLabelled")]
#[case::of_another(token(TokenSeen::OfAnother { secret: "s".into(), names: None }), "SecretOfAnotherIntegration")]
#[case::no_key(token(TokenSeen::KeyMissing { secret: "s".into(), key: "token".into(), keys: vec![] }), "KeyMissing")]
#[case::malformed(token(TokenSeen::Malformed("it is no token".into())), "TokenMalformed")]
#[case::foreign(token(TokenSeen::ForeignOrigin("it signs in elsewhere".into())), "ForeignOrigin")]
#[case::rejected(World::failing(FailureKind::Rejected, 1), "TokenRejected")]
#[case::forbidden(World::failing(FailureKind::Forbidden, 1), "SignInForbidden")]
#[case::no_vault(missing(|_| ()), "NoVault")]
#[case::misspelt_vault(missing(|f| f.missing = vec!["Infraa".into()]), "VaultNotFound")]
#[case::unreadable_vault(missing(|f| f.unreadable = vec!["Infra".into()]), "VaultUnreadable")]
fn what_only_a_person_can_mend_stalls_at_once(#[case] world: World, #[case] reason: &str) {
    assert_eq!(world.says("Ready", 0), format!("False {reason}"));
    assert_eq!(stalled(&world, 0), format!("True {reason}"));
    let status = world.plan(0).status;
    let message = |type_: &str| {
        let mut conditions = status.conditions.iter();
        conditions
            .find(|c| c.type_ == type_)
            .map(|c| c.message.clone())
    };
    assert_eq!(message("Stalled"), message("Ready"));
    let notes = world.plan(0).notes;
    let told = notes.iter().filter(|note| note.reason == reason);
    assert_eq!(told.count(), 1, "people hear of it once");
}

#[test]
fn a_token_that_1password_refuses_after_it_was_in_use_stalls_until_there_is_another() {
    let mut world = World::discovered();
    world.integration.status = Some(world.plan(0).status);
    assert_eq!(stalled(&world, 1), "absent");
    world.session = World::failing(FailureKind::Rejected, 1).session;
    world.integration.status = Some(world.plan(2).status);
    assert_eq!(stalled(&world, 3), "True TokenRejected");
    world.session = World::discovered().session;
    assert_eq!(stalled(&world, 4), "absent");
}

#[rstest::rstest]
#[case::signing_in(World::new())]
#[case::unavailable(World::failing(FailureKind::Unavailable, 9))]
#[case::broken(World::failing(FailureKind::Broken, 9))]
#[case::throttled(World::new().with(|w| w.session.throttled_until = Some(at(60))))]
#[case::little_quota(World::new().with(|w| w.room_from = Some(at(60))))]
#[case::suspended(World::discovered().with(|w| w.integration.spec.suspend = true))]
#[case::boundary(World::discovered().with(|w| w.unguarded = Some("a policy is missing".into())))]
fn what_passes_without_a_change_of_the_integration_does_not_stall(#[case] mut world: World) {
    assert!(world.says("Ready", 0).starts_with("False "));
    world.integration.status = Some(world.plan(0).status);
    assert_eq!(stalled(&world, 30), "absent");
}

#[test]
fn a_throttled_integration_that_lends_does_not_stall() {
    let world = World::discovered().with(|w| w.session.throttled_until = Some(at(60)));
    assert_eq!(world.says("Throttled", 1), "True RateLimited");
    assert_eq!(stalled(&world, 1), "absent");
}

/// A controller may make the Secret after both were applied: (seconds without it) -> `Stalled`.
#[rstest::rstest]
#[case(0, "absent")]
#[case(29, "absent")]
#[case(30, "True SecretMissing")]
#[case(3_600, "True SecretMissing")]
fn a_secret_may_follow_its_integration(#[case] seconds: i64, #[case] says: &str) {
    let mut world = token(no_secret());
    let first = world.plan(0);
    assert_eq!(first.wake, Some(at(30)), "the next look is in time");
    world.integration.status = Some(first.status);
    assert_eq!(stalled(&world, seconds), says);
}
