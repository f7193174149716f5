//! What an integration says before its vaults have been listed for the first time, and right after
//! the operator has started.

use jiff::Timestamp;
use keyloan::api::*;
use keyloan::plan::integration::{
    Failure, FailureKind, Observed, Plan, SessionSeen, TokenSeen, plan,
};
use rstest::rstest;

use super::world::*;

const ACCOUNT: &str = "keyloan-prod@1password.com";

/// An integration of which nothing is known yet but its object and its token.
struct Known {
    object: OnePasswordIntegration,
    session: SessionSeen,
    room_from: Option<Timestamp>,
}

impl Known {
    fn new() -> Self {
        let mut object = World::asked().integration().clone();
        object.status = None;
        Self {
            object,
            session: SessionSeen::default(),
            room_from: None,
        }
    }

    fn plan_at(&self, minute: i64) -> Plan {
        let seen = Observed {
            integration: &self.object,
            token: TokenSeen::Usable {
                account: ACCOUNT.into(),
                host: "my.1password.com".into(),
            },
            session: self.session.clone(),
            discovery: None,
            inventory: None,
            discovering: false,
            room_from: self.room_from,
            unguarded: None,
        };
        plan(&seen, at(minute))
    }
}

fn failed(kind: FailureKind) -> Option<Failure> {
    Some(Failure {
        kind,
        message: "1Password says no".into(),
        at: at(0),
        count: 1,
    })
}

/// The status and the reason of a condition.
fn said<'a>(plan: &'a Plan, type_: &str) -> (&'a str, &'a str) {
    let conditions = &plan.status.conditions;
    let said = conditions.iter().find(|c| c.type_ == type_).expect("said");
    (&said.status, &said.reason)
}

/// (what is known) -> what is said of the token, and of the vaults.
#[rstest]
#[case::nothing(|_: &mut Known| {}, ("Unknown", "SigningIn"), ("False", "Discovering"))]
#[case::it_is_suspended(|k: &mut Known| k.object.spec.suspend = true, ("Unknown", "Suspended"), ("Unknown", "Suspended"))]
#[case::it_has_to_wait(
    |k: &mut Known| k.session.throttled_until = Some(at(5)),
    ("Unknown", "RateLimited"),
    ("False", "RateLimited")
)]
#[case::nearly_nothing_is_left_of_its_limits(
    |k: &mut Known| k.room_from = Some(at(5)),
    ("Unknown", "SigningIn"),
    ("False", "QuotaLow")
)]
#[case::it_may_not_sign_in(
    |k: &mut Known| k.session.failure = failed(FailureKind::Forbidden),
    ("False", "SignInForbidden"),
    ("False", "SignInForbidden")
)]
#[case::it_may_no_longer_sign_in(
    |k: &mut Known| {
        k.session.accepted = true;
        k.session.failure = failed(FailureKind::Forbidden);
    },
    ("False", "SignInForbidden"),
    ("False", "SignInForbidden")
)]
#[case::nobody_answers(
    |k: &mut Known| k.session.failure = failed(FailureKind::Unavailable),
    ("Unknown", "OnePasswordUnavailable"),
    ("False", "OnePasswordUnavailable")
)]
fn before_the_first_listing_an_integration_says_what_it_waits_for(
    #[case] known: fn(&mut Known),
    #[case] token: (&str, &str),
    #[case] vaults: (&str, &str),
) {
    let mut integration = Known::new();
    known(&mut integration);
    let plan = integration.plan_at(1);
    assert_eq!(said(&plan, CREDENTIALS_VALID), token);
    assert_eq!(said(&plan, DISCOVERED), vaults);
}

#[test]
fn an_integration_names_its_account_its_host_and_the_operators_version() {
    let status = Known::new().plan_at(1).status;
    assert_eq!(status.account.as_deref(), Some(ACCOUNT));
    assert_eq!(status.host.as_deref(), Some("my.1password.com"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(status.operator_version.as_deref(), Some(version));
}

/// The operator was started again a moment ago, and nothing has been listed -> whether the
/// integration still is Ready.
#[rstest]
#[case::as_before(|_: &mut Known| {}, true)]
#[case::its_spec_is_another(|k: &mut Known| k.object.metadata.generation = Some(2), false)]
#[case::it_was_suspended(|k: &mut Known| k.object.spec.suspend = true, false)]
#[case::it_was_not_ready(|k: &mut Known| status(k).conditions[0].status = "False".into(), false)]
#[case::its_policies_were_not_in_force(|k: &mut Known| status(k).conditions[1].status = "False".into(), false)]
#[case::it_had_another_account(|k: &mut Known| status(k).account = Some("other@1password.com".into()), false)]
#[case::the_service_fails(|k: &mut Known| k.session.failure = failed(FailureKind::Unavailable), false)]
#[case::it_has_to_wait(|k: &mut Known| k.session.throttled_until = Some(at(5)), false)]
fn an_integration_stays_ready_over_a_restart_if_nothing_else_has_changed(
    #[case] change: fn(&mut Known),
    #[case] is_ready: bool,
) {
    let mut known = Known::new();
    let in_force = Condition {
        type_: BOUNDARY_IN_FORCE.into(),
        ..ready("True", "BoundaryInForce")
    };
    known.object.status = Some(OnePasswordIntegrationStatus {
        observed_generation: Some(1),
        conditions: vec![ready("True", "Ready"), in_force],
        account: Some(ACCOUNT.into()),
        ..OnePasswordIntegrationStatus::default()
    });
    change(&mut known);
    let plan = known.plan_at(1);
    assert_eq!(said(&plan, READY).0 == "True", is_ready);
}

fn status(known: &mut Known) -> &mut OnePasswordIntegrationStatus {
    known.object.status.as_mut().expect("a status")
}

/// Anyone who watches events would otherwise read of each start that the token was accepted.
#[test]
fn what_has_only_not_happened_yet_is_no_event() {
    let plan = Known::new().plan_at(1);
    let told: Vec<_> = plan.notes.iter().map(|note| note.reason.as_str()).collect();
    assert!(!told.contains(&"SigningIn"), "{told:?}");
    assert!(!told.contains(&"Discovering"), "{told:?}");
    let mut failing = Known::new();
    failing.session.failure = failed(FailureKind::Forbidden);
    let plan = failing.plan_at(1);
    assert!(
        plan.notes
            .iter()
            .any(|note| note.reason == "SignInForbidden")
    );
}

/// What may be tried again tells when; for a limit, the time to wait for is 1Password's.
#[rstest]
#[case::nobody_answers(FailureKind::Unavailable, true)]
#[case::a_limit(FailureKind::RateLimited, false)]
fn a_failure_tells_of_its_next_try(#[case] kind: FailureKind, #[case] tells: bool) {
    let mut known = Known::new();
    known.session.failure = failed(kind);
    let conditions = known.plan_at(1).status.conditions;
    let said = conditions.iter().find(|c| c.type_ == DISCOVERED);
    let message = &said.expect("said").message;
    assert_eq!(message.contains("Next try at"), tells, "{message}");
}

#[test]
fn an_integration_is_not_woken_for_what_is_over() {
    let mut known = Known::new();
    known.session.throttled_until = Some(at(5));
    assert_eq!(known.plan_at(4).wake, Some(at(5)));
    assert_ne!(known.plan_at(5).wake, Some(at(5)));
}
