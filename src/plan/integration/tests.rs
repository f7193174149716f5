//! What the plan of an integration says, case by case.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::api::{LinkLifetime, OnePasswordIntegration, Span, Time, TitleOrId};
use crate::plan::inventory::{Inventory, ItemSeen, PolicySeen, VaultSeen};

const ACCOUNT: &str = "sa@1passwordserviceaccounts.com";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + seconds).expect("in range")
}

fn integration() -> OnePasswordIntegration {
    let spec = json!({
        "auth": {"serviceAccountToken": {"secretRef": {"name": "op-token"}}},
        "plan": "Business",
    });
    let mut object =
        OnePasswordIntegration::new("prod", serde_json::from_value(spec).expect("a spec"));
    object.metadata.generation = Some(7);
    object
}

fn inventory() -> Inventory {
    let item = ItemSeen {
        id: "i1".into(),
        title: "db".into(),
        tags: vec![],
        updated_at: at(0),
        active: true,
    };
    let vault = VaultSeen {
        id: "v1".into(),
        title: "Infra".into(),
        listed_at: at(0),
        items: vec![item],
        refuted: BTreeMap::new(),
    };
    let policy = PolicySeen {
        max_lifetime: LinkLifetime::SevenDays,
        named_people: true,
        domains: true,
        view_once: false,
    };
    Inventory {
        vaults: vec![vault],
        policy: Some(policy),
    }
}

fn no_secret() -> TokenSeen {
    TokenSeen::Missing {
        secret: "op-token".into(),
    }
}

/// Everything that an [`Observed`] borrows, so that a case can change what it is about.
struct World {
    integration: OnePasswordIntegration,
    token: TokenSeen,
    session: SessionSeen,
    discovery: Option<Discovery>,
    inventory: Option<Inventory>,
    discovering: bool,
    room_from: Option<Timestamp>,
    unguarded: Option<String>,
}

impl World {
    /// A token of the right shape that has not been used yet.
    fn new() -> Self {
        let token = TokenSeen::Usable {
            account: ACCOUNT.into(),
            host: "my.1password.com".into(),
        };
        Self {
            integration: integration(),
            token,
            session: SessionSeen::default(),
            discovery: None,
            inventory: None,
            discovering: false,
            room_from: None,
            unguarded: None,
        }
    }

    /// Everything went well at second 0.
    fn discovered() -> Self {
        let discovery = Discovery {
            at: at(0),
            allowed: vec![],
            findings: Findings::default(),
        };
        let session = SessionSeen {
            accepted: true,
            ..SessionSeen::default()
        };
        Self {
            session,
            discovery: Some(discovery),
            inventory: Some(inventory()),
            ..Self::new()
        }
    }

    fn with_findings(findings: Findings) -> Self {
        let discovery = Discovery {
            at: at(0),
            allowed: vec![],
            findings,
        };
        Self::discovered().with(|world| world.discovery = Some(discovery))
    }

    fn failing(kind: FailureKind, count: u32) -> Self {
        let failure = Failure {
            kind,
            message: "it went wrong".into(),
            at: at(0),
            count,
        };
        Self::new().with(|world| world.session.failure = Some(failure))
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn plan(&self, seconds: i64) -> Plan {
        let seen = Observed {
            integration: &self.integration,
            token: self.token.clone(),
            session: self.session.clone(),
            discovery: self.discovery.as_ref(),
            inventory: self.inventory.as_ref(),
            discovering: self.discovering,
            room_from: self.room_from,
            unguarded: self.unguarded.clone(),
        };
        plan(&seen, at(seconds))
    }

    /// A condition's status and reason.
    fn says(&self, type_: &str, seconds: i64) -> String {
        let status = self.plan(seconds).status;
        let condition = status.conditions.iter().find(|c| c.type_ == type_);
        condition.map_or_else(|| "absent".into(), |c| format!("{} {}", c.status, c.reason))
    }
}

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

#[rstest::rstest]
#[case::not_enrolled(
    TokenSeen::NotEnrolled,
    "NamespaceNotEnrolled",
    "operator's namespaces"
)]
#[case::not_configured(TokenSeen::NotConfigured, "SecretMissing", "secretRef")]
#[case::missing(no_secret(), "SecretMissing", "create it")]
#[case::not_labelled(TokenSeen::NotLabelled { secret: "op-token".into() }, "SecretNotLabelled", "keyloan.dev/secret=token")]
#[case::of_another(TokenSeen::OfAnother { secret: "op-token".into(), names: Some("other".into()) }, "SecretOfAnotherIntegration", "integration other")]
#[case::of_nobody(TokenSeen::OfAnother { secret: "op-token".into(), names: None }, "SecretOfAnotherIntegration", "label it")]
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

#[test]
fn the_integration_is_looked_at_again_when_the_warning_is_due() {
    let world = World::discovered().with(|w| {
        let source = w.integration.spec.auth.service_account_token.as_mut();
        let expires_at = at(0) + SignedDuration::from_hours(14 * 24 + 1);
        source.expect("a token").expires_at = Some(Time(expires_at));
    });
    assert_eq!(world.plan(0).wake, Some(at(3_600)));
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

#[rstest::rstest]
#[case(&[("keyloan.dev/secret", "token"), ("keyloan.dev/integration", "prod")], TokenClaim::Ours)]
#[case(&[("keyloan.dev/secret", "token"), ("keyloan.dev/integration", "dev")], TokenClaim::OfAnother(Some("dev")))]
#[case(&[("keyloan.dev/secret", "token")], TokenClaim::OfAnother(None))]
#[case(&[("keyloan.dev/secret", "link"), ("keyloan.dev/integration", "prod")], TokenClaim::NotLabelled)]
#[case(&[("keyloan.dev/integration", "prod")], TokenClaim::NotLabelled)]
#[case(&[], TokenClaim::NotLabelled)]
fn only_a_secret_that_is_labelled_for_this_integration_is_read(
    #[case] labels: &[(&str, &str)],
    #[case] claim: TokenClaim<'_>,
) {
    let own = |(key, value): &(&str, &str)| ((*key).into(), (*value).into());
    let labels: BTreeMap<String, String> = labels.iter().map(own).collect();
    assert_eq!(token_claim(&labels, "prod"), claim);
}

#[rstest::rstest]
#[case::all(&[], &["v1", "v2", "v3"], &[], &[])]
#[case::by_title(&["Infra"], &["v1"], &[], &[])]
#[case::by_id(&["v3", "v1"], &["v1", "v3"], &[], &[])]
#[case::ambiguous(&["Twin", "Infra"], &["v1"], &[], &["Twin"])]
#[case::missing(&["Gone", "v2"], &["v2"], &["Gone"], &[])]
fn the_allow_list_chooses_by_id_or_unambiguous_title(
    #[case] allowed: &[&str],
    #[case] chosen: &[&str],
    #[case] missing: &[&str],
    #[case] ambiguous: &[&str],
) {
    let vaults = vec![("v1", "Infra"), ("v2", "Twin"), ("v3", "Twin")];
    let allowed: Vec<TitleOrId> = allowed
        .iter()
        .map(|entry| TitleOrId((*entry).into()))
        .collect();
    let result = choose_vaults(vaults, &allowed, |(id, title)| (id, title));
    let ids: Vec<&str> = result.vaults.iter().map(|(id, _)| *id).collect();
    let twins: Vec<&str> = result
        .ambiguous
        .iter()
        .map(|(title, _)| title.as_str())
        .collect();
    assert_eq!((ids.as_slice(), twins.as_slice()), (chosen, ambiguous));
    assert_eq!(result.missing, missing);
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
        "The policy a is missing: install it. Until then nothing new is approved or issued; loans that run go on and end."
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
