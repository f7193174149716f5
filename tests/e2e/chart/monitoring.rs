//! The objects that the chart renders for Prometheus and Grafana.

use keyloan_cluster::{Chart, Helm, promtool};
use serde_json::{Value, json};

use crate::chart::rendering::{IMAGE, objects, render};

const RULES: &str = include_str!("../../../charts/keyloan/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../../charts/keyloan/files/dashboard.json");

async fn rendered(arguments: &[&str]) -> Vec<Value> {
    let helm = Helm::find().await.unwrap();
    let all = [&[IMAGE], arguments].concat();
    objects(&render(&helm, Chart::Operator, &all).await.unwrap())
}

fn of_kind<'a>(objects: &'a [Value], kind: &str, ends: &str) -> Option<&'a Value> {
    let is_it = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        object["kind"] == kind && name.ends_with(ends)
    };
    objects.iter().find(is_it)
}

#[tokio::test]
async fn alerts_and_dashboard_are_off_by_default() {
    let objects = rendered(&[]).await;
    assert_eq!(of_kind(&objects, "PrometheusRule", ""), None);
    assert_eq!(of_kind(&objects, "ConfigMap", "-dashboard"), None);
}

#[tokio::test]
async fn each_alert_is_about_this_release_and_links_to_its_runbook() {
    let objects = rendered(&[
        "--set=prometheusRule.enabled=true,prometheusRule.labels.release=prometheus",
        "--set=prometheusRule.runbookUrl=https://docs.example.com/alerts.md",
    ])
    .await;
    let rule = of_kind(&objects, "PrometheusRule", "").unwrap();
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let alerts = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
    let written: Value = serde_saphyr::from_str(RULES).unwrap();
    let written = written["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(alerts.len(), written.len());
    for (alert, written) in alerts.iter().zip(written) {
        let name = written["alert"].as_str().unwrap();
        let address = format!("https://docs.example.com/alerts.md#{}", name.to_lowercase());
        let of_release = written
            .to_string()
            .replace("RELEASE_NAMESPACE", "keyloan-system");
        let mut expected: Value = serde_json::from_str(&of_release).unwrap();
        expected["annotations"]["runbook_url"] = json!(address);
        assert_eq!(*alert, expected, "{name}");
        assert!(
            of_release.contains("namespace=\\\"keyloan-system\\\""),
            "{name}"
        );
    }

    // Prometheus reads what the Prometheus operator makes of it.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, rule["spec"].to_string()).unwrap();
    let program = promtool().await.unwrap();
    let check = tokio::process::Command::new(program)
        .args(["check", "rules"])
        .arg(&file)
        .output()
        .await
        .unwrap();
    assert!(check.status.success(), "{check:?}");

    let elsewhere = "--set=prometheusRule.enabled=true,namespaceOverride=lending";
    let elsewhere = rendered(&[elsewhere]).await;
    let rule = of_kind(&elsewhere, "PrometheusRule", "").unwrap();
    assert_eq!(rule["metadata"]["namespace"], "lending");
    let rule = rule.to_string();
    assert!(
        rule.contains("lending") && !rule.contains("keyloan-system"),
        "{rule}"
    );
    assert!(!rule.contains("runbook_url"), "{rule}");
}

#[tokio::test]
async fn grafana_finds_the_dashboard_as_it_is_written() {
    let objects = rendered(&[
        "--set=grafanaDashboard.enabled=true,grafanaDashboard.labels.team=platform",
        "--set=grafanaDashboard.annotations.grafana_folder=Security",
    ])
    .await;
    let map = of_kind(&objects, "ConfigMap", "-dashboard").unwrap();
    let metadata = &map["metadata"];
    assert_eq!(metadata["labels"]["grafana_dashboard"], "1");
    assert_eq!(metadata["labels"]["team"], "platform");
    assert_eq!(metadata["annotations"]["grafana_folder"], "Security");
    let dashboard = map["data"]["keyloan.json"].as_str().unwrap();
    assert_eq!(dashboard.trim_end(), DASHBOARD.trim_end());
}
