//! The operator's counts, and whether Prometheus' own tool accepts the metrics, the alerts and the dashboard's queries.

mod promtool;

use std::path::Path;
use std::time::Duration;

use keyloan::api::{ACCEPTED, AccessGrant, LinkOutcome, Phase, Time};
use keyloan_simulator::{Fault, FaultKind};
use kube::ResourceExt as _;
use serde_json::Value;

use crate::world::{Ask, PLATFORM, Say, World, condition, needs_approval, outcomes};
use promtool::{Promtool, Series};

const SHARE: &str = "POST /api/v4/itemshare";
const ONE_APPROVAL: &[(&str, &str, u32)] = &[("owner", "platform-owners", 1)];
const DASHBOARD: &str = include_str!("../../../charts/keyloan/files/dashboard.json");

/// The path of a file of the alerts: the rules, or their unit tests.
fn path(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(name).display().to_string()
}

#[tokio::test]
async fn the_alerts_fire_when_they_should_and_not_before() {
    let promtool = Promtool::find().await;
    let alerts = path("charts/keyloan/files/alerts.yaml");
    promtool
        .succeeds(&["check", "rules", "--lint-fatal", &alerts])
        .await;
    let tests = path("tests/e2e/observability/alerts.test.yaml");
    promtool.succeeds(&["test", "rules", &tests]).await;

    // Each has a case in which it fires and one in which it does not.
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(&alerts).unwrap()).unwrap();
    let tests: Value = serde_saphyr::from_str(&std::fs::read_to_string(&tests).unwrap()).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let cases = tests["tests"].as_array().unwrap().iter();
        let cases = cases.flat_map(|case| case["alert_rule_test"].as_array().unwrap());
        let mut fires: Vec<_> = cases
            .filter(|case| case["alertname"] == rule["alert"])
            .map(|case| !case["exp_alerts"].as_array().unwrap().is_empty())
            .collect();
        fires.sort_unstable();
        fires.dedup();
        assert_eq!(fires, [false, true], "{}", rule["alert"]);
    }
}

#[tokio::test]
async fn an_alert_that_fires_too_late_fails_its_test() {
    let promtool = Promtool::find().await;
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let rules = read("charts/keyloan/files/alerts.yaml");
    let tests = read("tests/e2e/observability/alerts.test.yaml");
    let tests = tests.replace("../../../charts/keyloan/files/alerts.yaml", "alerts.yaml");
    let file = folder.path().join("tests.yaml");
    std::fs::write(&file, tests).unwrap();
    let file = file.display().to_string();
    for (rules, passes) in [
        (&rules, true),
        (&rules.replacen("for: 2m", "for: 9m", 1), false),
    ] {
        std::fs::write(folder.path().join("alerts.yaml"), rules).unwrap();
        let (passed, said) = promtool.run(&["test", "rules", &file], "").await;
        assert_eq!(passed, passes, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted_once_and_the_dashboard_shows_it() {
    let mut world = World::without_operator().await;
    world.settings.listen_metrics = Some(([127, 0, 0, 1], 0).into());
    world.restart_operator().await;
    let token_ends: Time = serde_json::from_str("\"2126-01-01T00:00:00Z\"").unwrap();
    world
        .integration_with("prod", "lender", |integration| {
            let source = integration.auth.service_account_token.as_mut();
            source.expect("a token").expires_at = Some(token_ends);
        })
        .await;
    world
        .flow("oncall", |flow| flow.limits.active_per_requester = 100)
        .await;
    world
        .flow("reviewed", needs_approval("AnyOf", ONE_APPROVAL))
        .await;
    lend_and_refuse(&world).await;
    let happened = [
        (r#"requests_total{outcome="lent"}"#, 3.0),
        (r#"requests_total{outcome="denied"}"#, 1.0),
        (r#"requests_total{outcome="failed"}"#, 1.0),
        (r#"requests_total{outcome="taken_back"}"#, 2.0),
        (r#"links_total{outcome="issued",reason="none"}"#, 3.0),
        (r#"links_total{outcome="lost",reason="unavailable"}"#, 1.0),
        (r#"links_total{outcome="refused",reason="forbidden"}"#, 1.0),
        (r#"link_failures_total{reason="unavailable"}"#, 1.0),
        (r#"link_failures_total{reason="forbidden"}"#, 1.0),
        (
            r#"request_decision_seconds_count{decision="approved"}"#,
            1.0,
        ),
        (r#"request_decision_seconds_count{decision="denied"}"#, 1.0),
        (r#"request_link_seconds_count{approval="none"}"#, 2.0),
        (r#"request_link_seconds_count{approval="required"}"#, 1.0),
        (r#"grants{phase="active"}"#, 3.0),
        (r#"grants{phase="denied"}"#, 1.0),
        (r#"integrations{ready="true"}"#, 1.0),
        ("token_expiry_timestamp_seconds{}", 4_922_899_200.0),
        ("loans_overdue{}", 0.0),
        ("leader", 1.0),
    ];
    world.until_counted(&happened).await;

    // All three expire.
    world.advance(Duration::from_secs(61 * 60)).await;
    let ended = [
        ("end_lag_seconds_count", 3.0),
        (r#"grants{phase="active"}"#, 0.0),
        ("loans_overdue{}", 0.0),
        // The link of the lost one may still open: its intent was a moment later.
        (r#"requests_total{outcome="lent"}"#, 3.0),
        (r#"requests_total{outcome="failed"}"#, 1.0),
    ];
    world.until_counted(&ended).await;
    let page = world.metrics().await;
    assert_names_nobody(&page);
    check_with_promtool(&page).await;

    // The next process counts none of that again.
    world.restart_operator().await;
    let all_looked_at = [
        ("leader", 1.0),
        (r#"grants{phase="denied"}"#, 1.0),
        (r#"queue_depth{controller="loan"}"#, 0.0),
    ];
    world.until_counted(&all_looked_at).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&grant).await;
    world
        .until_counted(&[(r#"requests_total{outcome="lent"}"#, 1.0)])
        .await;
    let page = world.metrics().await;
    for (counter, before) in happened {
        let is_lasting = !counter.contains("_total{") && !counter.contains("_count");
        let is_new =
            counter.contains("lent") || counter.contains("issued") || counter.contains("\"none\"");
        if !is_lasting && !is_new {
            assert_eq!(
                sample(&page, counter),
                Some(0.0),
                "{counter} was {before}\n{page}"
            );
        }
    }
}

/// Three loans, one of them approved and one after a lost link; one request each that is denied, refused by 1Password, wrong, or taken back.
async fn lend_and_refuse(world: &World) {
    let grant = world
        .ask("alice", Ask::item("db password").by("oncall"))
        .await;
    world.until_active(&grant).await;

    let fault = |kind| Fault::once(SHARE, kind);
    let lost = world.control.fault(fault(FaultKind::ResetAfterEffect));
    lost.await.expect("ordered");
    let grant = world
        .ask("alice", Ask::item("db password").by("oncall"))
        .await;
    world.until_active(&grant).await;
    let is_lost_first = |record: &keyloan::api::AccessRecord| {
        outcomes(record) == [Some(LinkOutcome::Lost), Some(LinkOutcome::Issued)]
    };
    world.until_record(&grant, is_lost_first).await;

    let refused = world.control.fault(fault(FaultKind::status(403)));
    refused.await.expect("ordered");
    let grant = world
        .ask("alice", Ask::item("web console").by("oncall"))
        .await;
    let refused =
        |record: &keyloan::api::AccessRecord| outcomes(record) == [Some(LinkOutcome::Refused)];
    world.until_record(&grant, refused).await;
    world.delete("alice", &grant).await;
    world.until_record(&grant, |r| r.spec.end.is_some()).await;

    let ask = || world.ask("alice", Ask::item("db password").by("reviewed"));
    let waits = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.waiting_for.is_some());
    let grant = ask().await;
    let grant = world.until(&grant, waits).await;
    world.decide("bob", &grant, Say::approve(&grant)).await;
    world.until_active(&grant).await;
    let grant = ask().await;
    let grant = world.until(&grant, waits).await;
    world.decide("bob", &grant, Say::deny(&grant)).await;
    let is_denied =
        |g: &AccessGrant| g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Denied);
    world.until(&grant, is_denied).await;
    let grant = ask().await;
    let grant = world.until(&grant, waits).await;
    world.delete("alice", &grant).await;

    let wrong = world.ask("alice", Ask::item("no such item")).await;
    let failed =
        |g: &AccessGrant| condition(g, ACCEPTED).is_some_and(|c| c.reason == "ItemNotFound");
    let wrong = world.until(&wrong, failed).await;
    world.delete("alice", &wrong).await;
    assert!(wrong.uid().is_some());
}

impl World {
    /// The page that the operator serves, as a person reads it.
    async fn metrics(&self) -> String {
        let address = self.metrics_address();
        let answer = reqwest::get(format!("http://{address}/metrics")).await;
        answer.expect("an answer").text().await.expect("text")
    }

    /// Waits until each of these metrics has this value.
    async fn until_counted(&self, expected: &[(&str, f64)]) {
        let mut last = String::new();
        let look = async {
            loop {
                last = self.metrics().await;
                if expected
                    .iter()
                    .all(|(name, value)| sample(&last, name) == Some(*value))
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), look).await;
        let wrong: Vec<_> = expected
            .iter()
            .map(|(name, value)| (name, value, sample(&last, name)))
            .filter(|(_, value, found)| *found != Some(**value))
            .collect();
        assert!(in_time.is_ok(), "{wrong:?} in\n{last}");
    }
}

/// The value of a sample on the page.
fn sample(page: &str, name: &str) -> Option<f64> {
    let prefix = format!("keyloan_{name} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&prefix))?;
    value.parse().ok()
}

fn assert_names_nobody(page: &str) {
    for name in [
        "prod",
        "Infra",
        "db password",
        "alice",
        "oncall",
        "team-a",
        "lender",
        PLATFORM,
    ] {
        assert!(!page.contains(&format!("\"{name}")), "{name} is in\n{page}");
    }
}

async fn check_with_promtool(page: &str) {
    let promtool = Promtool::find().await;
    let (passed, said) = promtool.run(&["check", "metrics"], page).await;
    assert!(passed, "{said}");
    let wrong = page.replace(
        "# TYPE keyloan_requests_total counter",
        "# TYPE keyloan_requests_total gauge",
    );
    let (passed, said) = promtool.run(&["check", "metrics"], &wrong).await;
    assert!(!passed && said.contains("keyloan_requests_total"), "{said}");

    let series = Series::of(page, "keyloan-system");
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$namespace", "keyloan-system");
            queries.push(query.replace("$__rate_interval", "5m"));
        }
    }
    assert!(queries.len() >= 30, "{}", queries.len());
    let (passed, said) = promtool.finds(&series, &queries).await;
    assert!(passed, "{said}");
    let nothing = [r#"keyloan_requests_total{outcome="no such"}"#.to_owned()];
    let (passed, said) = promtool.finds(&series, &nothing).await;
    assert!(!passed, "{said}");
    let wrong = ["sum by (outcome (keyloan_requests_total)".to_owned()];
    let (passed, said) = promtool.finds(&series, &wrong).await;
    assert!(!passed && said.contains("parse error"), "{said}");
}
