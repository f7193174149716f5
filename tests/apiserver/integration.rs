//! The integration and flow controllers on a real API server, with the real SDK core and a simulated 1Password.

use crate::support::{DEADLINE, PLATFORM, World, message, said};
use jiff::SignedDuration;
use keyloan::api::OnePasswordIntegration;
use keyloan_simulator::{Fault, FaultKind};
use kube::ResourceExt;
use serde_json::json;

const SIGN_IN: &str = "POST /api/v3/auth/start";
const VAULTS: &str = "GET /api/v1/vaults";

#[tokio::test]
async fn a_token_of_a_service_account_makes_an_integration_ready() {
    let world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &token).await;
    world.put_integration("prod", json!({})).await;
    let prod = world.integration("prod", "Ready", "True Ready").await;

    let status = prod.status.expect("a status");
    assert_eq!(
        said(&status.conditions, "CredentialsValid"),
        "True TokenAccepted"
    );
    assert_eq!(said(&status.conditions, "Discovered"), "True Discovered");
    assert_eq!(said(&status.conditions, "Shareable"), "True SharingAllowed");
    assert_eq!(said(&status.conditions, "Throttled"), "False NotThrottled");
    let vaults: Vec<_> = status
        .vaults
        .iter()
        .map(|v| (v.title.as_str(), v.items))
        .collect();
    assert_eq!(
        vaults,
        [("Finance", 1), ("Infra", 4)],
        "archived items do not count"
    );
    let policy = status.share_policy.expect("a policy");
    assert_eq!(policy.max_lifetime.0, "30d");
    assert_eq!(policy.recipient_kinds, ["Email", "Domain"]);
    assert!(status.account.is_some_and(|account| account.contains('@')));
    assert_eq!(status.host.as_deref(), Some("127.0.0.1"));
    assert!(status.last_discovery_time.is_some() && status.operator_version.is_some());

    let log = world.onepassword.requests().await.expect("the log");
    assert_eq!(
        log.total,
        4 + 1 + 1 + 2 + 1,
        "sign-in, keys, vaults, items of two, policy: {log:#?}"
    );
}

#[tokio::test]
async fn a_suspended_integration_sends_nothing() {
    let world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &token).await;
    world.put_integration("prod", json!({})).await;
    world.integration("prod", "Ready", "True Ready").await;

    world
        .put_integration("prod", json!({"suspend": true}))
        .await;
    let seen = world.integration("prod", "Ready", "False Suspended").await;
    let conditions = seen.status.expect("a status").conditions;
    assert_eq!(said(&conditions, "CredentialsValid"), "True TokenAccepted");
    world.onepassword.reset_requests().await.expect("a new log");
    world.clock.advance(SignedDuration::from_hours(48));
    world
        .put_integration("prod", json!({"suspend": true, "vaults": ["Infra"]}))
        .await;
    world.integration("prod", "Ready", "False Suspended").await;
    assert_eq!(world.requests().await, 0);

    world
        .put_integration("prod", json!({"suspend": false, "vaults": ["Infra"]}))
        .await;
    let infra_only = |object: &OnePasswordIntegration| {
        object
            .status
            .as_ref()
            .is_some_and(|status| status.vaults.len() == 1)
    };
    world.wait(PLATFORM, "prod", "only Infra", infra_only).await;
    assert!(world.requests().await > 0);
}

#[tokio::test]
async fn a_throttled_integration_stays_ready_and_waits_as_long_as_it_is_asked_to() {
    let world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &token).await;
    world
        .put_integration("prod", json!({"discoveryInterval": "1h"}))
        .await;
    world.integration("prod", "Ready", "True Ready").await;

    let limited = Fault::once(VAULTS, FaultKind::rate_limited(Some(3_000)));
    world.onepassword.fault(limited).await.expect("a fault");
    move_on(&world, 61).await;
    let seen = world
        .integration("prod", "Throttled", "True RateLimited")
        .await;
    assert_eq!(
        said(&seen.status.expect("a status").conditions, "Ready"),
        "True Ready"
    );
    world.onepassword.reset_requests().await.expect("a new log");
    move_on(&world, 49).await;
    world
        .put_integration("prod", json!({"discoveryInterval": "2h"}))
        .await;
    world
        .integration("prod", "Throttled", "True RateLimited")
        .await;
    assert_eq!(world.requests().await, 0, "not before the time");
    move_on(&world, 2).await;
    world
        .integration("prod", "Throttled", "False NotThrottled")
        .await;
    world
        .integration("prod", "Discovered", "True Discovered")
        .await;
    assert!(
        world
            .onepassword
            .requests()
            .await
            .expect("the log")
            .count(VAULTS)
            >= 1
    );
}

/// Lets minutes pass, for 1Password as for the operator.
async fn move_on(world: &World, minutes: u32) {
    let by = std::time::Duration::from_secs(u64::from(minutes) * 60);
    world.onepassword.advance_clock(by).await.expect("moved");
    world
        .clock
        .advance(SignedDuration::from_mins(minutes.into()));
}

#[tokio::test]
async fn what_1password_answers_badly_is_told_and_tried_again() {
    let world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    let away = Fault {
        route: SIGN_IN.into(),
        kind: FaultKind::status(503),
        times: 1_000,
    };
    world.onepassword.fault(away).await.expect("a fault");
    world.put_token("prod", &token).await;
    world.put_integration("prod", json!({})).await;
    let seen = world
        .integration("prod", "Ready", "False OnePasswordUnavailable")
        .await;
    let says = message(&seen.status.expect("a status").conditions, "Ready");
    assert!(says.contains("Next try at"), "{says}");
    world.onepassword.clear_faults().await.expect("cleared");
    world.clock.advance(SignedDuration::from_mins(20));
    world
        .integration("prod", "CredentialsValid", "True TokenAccepted")
        .await;
    // Twenty minutes ahead of 1Password.
    world.integration("prod", "Ready", "True ClockSkew").await;
}

#[tokio::test]
async fn a_service_account_that_may_not_share_or_sees_nothing_is_not_ready() {
    let world = World::new().await;
    for (name, says) in [
        ("reader", "False SharingForbidden"),
        ("stranger", "False NoVault"),
    ] {
        let token = world.onepassword.token(name).await.expect("a token");
        world.put_token(name, &token).await;
        world.put_integration(name, json!({})).await;
        world.integration(name, "Ready", says).await;
        world
            .integration(name, "CredentialsValid", "True TokenAccepted")
            .await;
    }
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("lender", &token).await;
    world
        .put_integration("lender", json!({"vaults": ["Infra", "Attic"]}))
        .await;
    let seen = world
        .integration("lender", "Discovered", "False VaultNotFound")
        .await;
    let conditions = seen.status.expect("a status").conditions;
    assert_eq!(said(&conditions, "Ready"), "True Ready", "Infra is there");
    assert!(message(&conditions, "Discovered").contains("Attic"));
}

#[tokio::test]
async fn a_restart_costs_one_discovery_and_disturbs_nobody() {
    let mut world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &token).await;
    world.put_integration("prod", json!({})).await;
    let before = world.integration("prod", "Ready", "True Ready").await;
    world.stop_operator().await;

    world.onepassword.reset_requests().await.expect("a new log");
    world.clock.advance(SignedDuration::from_secs(5));
    world.start_operator().await;
    let after = world.discovered_anew(&before).await;
    let log = world.onepassword.requests().await.expect("the log");
    assert_eq!(
        (log.count(SIGN_IN), log.count(VAULTS), log.total),
        (1, 1, 9),
        "{log:#?}"
    );
    let since = |object: &OnePasswordIntegration| {
        let conditions = &object.status.as_ref().expect("a status").conditions;
        let ready = conditions
            .iter()
            .find(|condition| condition.type_ == "Ready");
        ready.expect("a condition").last_transition_time.clone()
    };
    assert_eq!(since(&after), since(&before), "it was Ready all the time");
}

#[tokio::test]
async fn a_flow_is_ready_once_its_integration_is_there() {
    let world = World::new().await;
    world.put_flow("oncall", "prod", json!({})).await;
    let seen = world.flow("oncall", "False IntegrationNotFound").await;
    assert!(message(&seen.status.expect("a status").conditions, "Ready").contains("prod"));
    world.put_integration("prod", json!({})).await;
    world.flow("oncall", "True Valid").await;
    world
        .put_flow(
            "oncall",
            "prod",
            json!({"grant": {"maxDuration": "1h", "defaultDuration": "2h"}}),
        )
        .await;
    world.flow("oncall", "False InvalidDuration").await;
    let nowhere =
        json!({"days": ["Mon"], "from": "09:00", "to": "18:00", "timeZone": "Europe/Atlantis"});
    world
        .put_flow("oncall", "prod", json!({"timeframe": nowhere}))
        .await;
    world.flow("oncall", "False InvalidTimeframe").await;
    world.put_flow("oncall", "prod", json!({})).await;
    let flow = world.flow("oncall", "True Valid").await;
    assert_eq!(flow.name_any(), "oncall");
    world
        .delete::<OnePasswordIntegration>(PLATFORM, "prod")
        .await;
    world.flow("oncall", "False IntegrationNotFound").await;
}

#[tokio::test]
async fn health_and_metrics_tell_how_it_goes_and_name_nobody() {
    let world = World::new().await;
    let token = world.onepassword.token("lender").await.expect("a token");
    world.put_token("prod", &token).await;
    world.put_integration("prod", json!({})).await;
    world.integration("prod", "Ready", "True Ready").await;
    // The status is there before the metric.
    let counted = async {
        while !world
            .metrics()
            .await
            .contains(r#"keyloan_integrations{ready="true"} 1"#)
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, counted)
        .await
        .expect("the integration counts as ready");
    let page = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", world.health()))
            .await
            .expect("an answer");
        (
            answer.status().as_u16(),
            answer.text().await.expect("a text"),
        )
    };
    assert_eq!(page("/livez").await.0, 200);
    assert_eq!(page("/readyz").await, (200, "ok".to_owned()));
    assert_eq!(
        page("/metrics").await.0,
        404,
        "they have a port of their own"
    );
    let metrics = world.metrics().await;
    assert!(
        metrics.contains(r#"route="/api/v1/vaults",outcome="200"} 1"#),
        "{metrics}"
    );
    for name in ["prod", "Infra", "lender", PLATFORM] {
        assert!(
            !metrics.contains(&format!("\"{name}\"")),
            "{name} is in\n{metrics}"
        );
    }
}
