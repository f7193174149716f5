//! An integration's token, on a real API server: one that cannot be used, one that is rotated, one that leads to a service that hangs.

use crate::support::{DEADLINE, World, message, said};
use jiff::SignedDuration;
use keyloan::api::OnePasswordIntegration;
use keyloan::onepassword::core::CoreOptions;
use keyloan_simulator::{Account, Fault, FaultKind, Simulator};
use serde_json::json;

const SIGN_IN: &str = "POST /api/v3/auth/start";

#[tokio::test]
async fn bad_input_gets_a_condition_that_says_what_to_do_and_no_request() {
    let mut world = World::without_operator().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    let own = |name: &str| json!({"keyloan.dev/secret": "token", "keyloan.dev/integration": name});
    let kind_only = json!({"keyloan.dev/secret": "token"});
    let elsewhere = Simulator::start(
        Account::parse(include_str!("../../dev/simulator/account.example.yaml"))
            .expect("an account"),
        keyloan_simulator::Options::default(),
    );
    let elsewhere = elsewhere.expect("a service that is not allowed");
    let foreign = elsewhere.control().token("lender").await;
    let foreign = foreign.expect("a token");
    world
        .put_secret("unlabelled-token", &json!({}), "token", &token)
        .await;
    world
        .put_secret("borrowed-token", &own("other"), "token", &token)
        .await;
    world
        .put_secret("nobodys-token", &kind_only, "token", &token)
        .await;
    world
        .put_secret("keyless-token", &own("keyless"), "tok", &token)
        .await;
    world
        .put_secret("garbled-token", &own("garbled"), "token", "ops_notatoken")
        .await;
    world
        .put_secret("foreign-token", &own("foreign"), "token", &foreign)
        .await;
    world.start_operator().await;

    for (name, reason, says) in [
        ("missing", "SecretMissing", "Create it"),
        (
            "unlabelled",
            "SecretNotLabelled",
            "keyloan.dev/secret=token",
        ),
        (
            "borrowed",
            "SecretOfAnotherIntegration",
            "belongs to integration other",
        ),
        (
            "nobodys",
            "SecretOfAnotherIntegration",
            "Set its label keyloan.dev/integration",
        ),
        ("keyless", "KeyMissing", "it has: tok"),
        (
            "garbled",
            "TokenMalformed",
            "copy the whole service account token",
        ),
        ("foreign", "ForeignOrigin", "--allow-origin"),
    ] {
        world.put_integration(name, json!({})).await;
        let seen = world
            .integration(name, "Ready", &format!("False {reason}"))
            .await;
        let conditions = seen.status.expect("a status").conditions;
        assert_eq!(
            said(&conditions, "CredentialsValid"),
            format!("False {reason}")
        );
        let message = message(&conditions, "Ready");
        assert!(message.contains(says), "{name}: {message}");
    }
    let spec = json!({
        "auth": {"serviceAccountToken": {"secretRef": {"name": "x"}}}, "plan": "Business",
    });
    world
        .put::<OnePasswordIntegration>(crate::support::TEAM, "elsewhere", spec)
        .await;
    // Another install may serve that namespace: this one says nothing there.
    world.put_integration("after-it", json!({})).await;
    world
        .integration("after-it", "Ready", "False SecretMissing")
        .await;
    let untouched = world
        .wait(
            crate::support::TEAM,
            "elsewhere",
            "there",
            |_: &OnePasswordIntegration| true,
        )
        .await;
    let status = untouched.status.expect("the default");
    assert_eq!(status.observed_generation, Some(-1));
    assert_eq!(world.requests().await, 0);
    let asked_elsewhere = elsewhere.control().requests().await.expect("the log");
    assert_eq!(asked_elsewhere.total, 0, "{asked_elsewhere:#?}");

    // What is mended is seen without a touch on the integration.
    world.put_token("unlabelled", &token).await;
    world.integration("unlabelled", "Ready", "True Ready").await;
    world.put_token("missing", &token).await;
    world.integration("missing", "Ready", "True Ready").await;
    world.put_token("garbled", &token).await;
    world.integration("garbled", "Ready", "True Ready").await;
}

#[tokio::test]
async fn a_rotated_token_is_used_at_once_and_a_refused_one_never_again() {
    let world = World::new().await;
    let old = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &old).await;
    world
        .put_integration("prod", json!({"discoveryInterval": "1h"}))
        .await;
    let before = world.integration("prod", "Ready", "True Ready").await;

    let new = world
        .onepassword
        .rotate_token("lender")
        .await
        .expect("a token");
    world.onepassword.reset_requests().await.expect("a new log");
    // Times of discoveries are stored in whole seconds: those of two within one second are the same.
    world.clock.advance(SignedDuration::from_secs(5));
    world.put_token("prod", &new).await;
    let signed_in = async {
        while world
            .onepassword
            .requests()
            .await
            .expect("the log")
            .count(SIGN_IN)
            == 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, signed_in)
        .await
        .expect("a sign-in with the new token, with no time passed by the operator's clock");
    let after = world.discovered_anew(&before).await;
    assert_eq!(
        after.metadata.generation, before.metadata.generation,
        "the spec was not touched"
    );

    world
        .onepassword
        .revoke_token("lender")
        .await
        .expect("revoked");
    world.clock.advance(SignedDuration::from_hours(2));
    world
        .integration("prod", "Ready", "False TokenRejected")
        .await;
    world.onepassword.reset_requests().await.expect("a new log");
    for _ in 0..3 {
        world.clock.advance(SignedDuration::from_hours(48));
        world
            .put_integration("prod", json!({"discoveryInterval": "2h"}))
            .await;
        world
            .put_integration("prod", json!({"discoveryInterval": "1h"}))
            .await;
    }
    world
        .integration("prod", "Ready", "False TokenRejected")
        .await;
    assert_eq!(
        world.requests().await,
        0,
        "a refused token is not sent again"
    );
    let newest = world
        .onepassword
        .rotate_token("lender")
        .await
        .expect("a token");
    world.put_token("prod", &newest).await;
    world
        .integration("prod", "CredentialsValid", "True TokenAccepted")
        .await;
}

#[tokio::test]
async fn a_hung_integration_delays_neither_another_nor_its_own_rotated_token() {
    let mut world = World::without_operator().await;
    let elsewhere = world.another_onepassword();
    // A call that hangs would do so for longer than this test may take.
    let patient = DEADLINE * 10;
    world.settings.core_options = CoreOptions {
        call_timeout: patient,
        exchange_timeout: patient,
        ..CoreOptions::default()
    };
    world.start_operator().await;

    let times = 100;
    let hang = Fault {
        route: SIGN_IN.into(),
        kind: FaultKind::Hang,
        times,
    };
    elsewhere.fault(hang).await.expect("a fault");
    let stuck = elsewhere.token("lender").await.expect("a token");
    world.put_token("hung", &stuck).await;
    world.put_integration("hung", json!({})).await;
    world
        .integration("hung", "CredentialsValid", "Unknown SigningIn")
        .await;

    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("fine", &token).await;
    world.put_integration("fine", json!({})).await;
    world.integration("fine", "Ready", "True Ready").await;
    let hung = world
        .integration("hung", "Ready", "False Discovering")
        .await;
    assert_eq!(
        said(&hung.status.expect("a status").conditions, "Ready"),
        "False Discovering"
    );

    world.put_token("hung", &token).await;
    world.integration("hung", "Ready", "True Ready").await;
}
