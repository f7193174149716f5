//! The alerts and the dashboard against what the operator serves, as docs/metrics.md has it, and against their own pages. A unit test
//! compares docs/metrics.md with the metrics themselves.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

const METRICS: &str = include_str!("../../docs/metrics.md");
const RUNBOOKS: &str = include_str!("../../docs/alerts.md");
const ALERTS: &str = include_str!("../../charts/keyloan/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../charts/keyloan/files/dashboard.json");

/// Prometheus adds these to what it scrapes.
const OF_THE_TARGET: [&str; 2] = ["namespace", "instance"];

fn alerts() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(ALERTS).unwrap();
    let groups = file["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// Each query with the name of what has it.
fn queries() -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of_alerts = alerts();
    let of_alerts = of_alerts
        .iter()
        .map(|alert| (text(&alert["alert"]), text(&alert["expr"])));
    let panels = panels();
    let of_panels = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (text(&panel["title"]), text(&target["expr"])))
    });
    of_alerts.chain(of_panels).collect()
}

/// The labels of each metric, by the page.
fn served() -> BTreeMap<&'static str, &'static str> {
    let rows = METRICS
        .lines()
        .filter(|line| line.starts_with("| `keyloan_"));
    rows.map(|row| {
        let name = row.split('`').nth(1).unwrap();
        (name, row.split(" | ").nth(1).unwrap())
    })
    .collect()
}

/// The parts of a query that the operator does not serve.
fn strangers(query: &str) -> Vec<String> {
    let served = served();
    let selector = Regex::new(r"\b(keyloan_[a-z_]+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(=~|!~|!=|=)"([^"]*)""#).unwrap();
    let grouping = Regex::new(r"\b(?:by|on|without|ignoring) ?\(([^)]*)\)").unwrap();
    let mut strangers = Vec::new();
    let (mut found, mut labels_of_all) = (0, String::new());
    for selector in selector.captures_iter(query) {
        found += 1;
        let name = &selector[1];
        let is_part = |suffix| {
            let base = name.strip_suffix(suffix);
            base.filter(|base| served.contains_key(base))
        };
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(is_part);
        let Some(labels) = served.get(base.unwrap_or(name)) else {
            strangers.push(name.to_owned());
            continue;
        };
        labels_of_all += labels;
        let matchers = selector.get(2).map_or("", |matchers| matchers.as_str());
        if !matchers.contains("namespace=\"") {
            strangers.push(format!("{name} of another install"));
        }
        for matcher in matcher.captures_iter(matchers) {
            let (label, values) = (&matcher[1], &matcher[3]);
            if OF_THE_TARGET.contains(&label) {
                continue;
            }
            let words = [label].into_iter().chain(values.split('|'));
            let unknown = words.filter(|word| !labels.contains(&format!("`{word}`")));
            strangers.extend(unknown.map(|word| format!("{word} of {name}")));
        }
    }
    let labels = grouping.captures_iter(query);
    for label in labels.flat_map(|list| list[1].split(", ").map(str::to_owned).collect::<Vec<_>>())
    {
        let is_known = label == "le"
            || OF_THE_TARGET.contains(&&*label)
            || labels_of_all.contains(&format!("`{label}`"));
        if !is_known {
            strangers.push(label);
        }
    }
    if found == 0 {
        strangers.push(format!("nothing of Keyloan's in {query}"));
    }
    strangers
}

#[test]
fn alerts_and_panels_ask_only_for_what_the_operator_serves() {
    let queries = queries();
    assert!(queries.len() > 40, "{}", queries.len());
    for (what, query) in queries {
        assert_eq!(strangers(&query), [""; 0], "{what}: {query}");
    }
}

#[test]
fn a_wrong_name_label_or_value_is_found() {
    for (query, wrong) in [
        (
            r#"keyloan_request_total{namespace="a"}"#,
            "keyloan_request_total",
        ),
        (
            r#"keyloan_leader_bucket{namespace="a"} + keyloan_x{namespace="a"}"#,
            "keyloan_x",
        ),
        (r#"keyloan_leader"#, "keyloan_leader of another install"),
        (
            r#"keyloan_requests_total{namespace="a",result="lent"}"#,
            "result of keyloan_requests_total",
        ),
        (
            r#"keyloan_requests_total{namespace="a",outcome=~"lent|refused"}"#,
            "refused of keyloan_requests_total",
        ),
        (r#"sum by (phase) (keyloan_leader{namespace="a"})"#, "phase"),
        ("up == 0", "nothing of Keyloan's in up == 0"),
    ] {
        assert!(
            strangers(query).contains(&wrong.to_owned()),
            "{query}: {:?}",
            strangers(query)
        );
    }
    let right = r#"sum by (le, decision) (rate(keyloan_request_decision_seconds_bucket{namespace="a"}[5m]))"#;
    assert_eq!(strangers(right), [""; 0]);
}

#[test]
fn everything_that_the_operator_serves_is_on_the_dashboard_or_in_an_alert() {
    let queries: String = queries()
        .into_iter()
        .map(|(_, query)| query + "\n")
        .collect();
    let is_unseen = |name: &&&str| !queries.contains(**name);
    let unseen: Vec<_> = served().keys().copied().collect();
    let unseen: Vec<_> = unseen.iter().filter(is_unseen).collect();
    assert_eq!(unseen, [&""; 0]);
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let alerts = alerts();
    let names: Vec<_> = alerts
        .iter()
        .map(|alert| alert["alert"].as_str().unwrap())
        .collect();
    let headings: Vec<_> = RUNBOOKS
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(names, headings, "in this order");
    let different: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(different.len(), names.len(), "the anchors are lower case");
    for alert in &alerts {
        let said = ["summary", "description"].map(|part| alert["annotations"][part].as_str());
        assert!(
            said.iter()
                .all(|text| text.is_some_and(|text| !text.is_empty())),
            "{alert}"
        );
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{alert}");
    }
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    let panels = panels();
    let ids: BTreeSet<_> = panels.iter().map(|p| p["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeMap::new();
    for panel in &panels {
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{}", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            let before = taken.insert(cell, &panel["title"]);
            assert_eq!(before, None, "{} is below {}", panel["title"], cell.0);
        }
    }
}
