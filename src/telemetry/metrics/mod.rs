//! Metrics for Prometheus. No label contains an object's name: there are many names, and they reveal
//! who borrows what.
//!
//! * `lending`: counters of requests, loans and links.
//! * `standing`: how requests, loans, integrations and the admission policies are right now.
//! * `notices`: notices to the receivers of notifiers.
//! * `onepassword`: calls and requests to 1Password, and their limits.
//! * `operator`: the operator's own work.
//! * `labels`: the values of labels that are known in advance; `registering`: adds a metric to the
//!   page.

mod labels;
mod lending;
mod notices;
mod onepassword;
mod operator;
mod registering;
mod standing;

use std::collections::HashSet;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

pub use labels::{CauseLabel, DecisionLabel, LinkLabel, NoticeLabel, PhaseLabel, RequestLabel};
pub use lending::Lending;
pub use notices::Notices;
pub use onepassword::OnePassword;
pub use operator::{ApiCall, Operator};
pub use standing::Standing;

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    /// Counters of requests, loans and links.
    pub lending: Lending,
    /// How requests, loans, integrations and the admission policies are right now.
    pub standing: Standing,
    /// Notices to the receivers of notifiers.
    pub notices: Notices,
    /// Calls and requests to 1Password, and their limits.
    pub onepassword: OnePassword,
    /// The operator's own work.
    pub operator: Operator,
    registry: Registry,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("keyloan");
        Self {
            lending: Lending::new(&mut registry),
            standing: Standing::new(&mut registry),
            notices: Notices::new(&mut registry),
            onepassword: OnePassword::new(&mut registry),
            operator: Operator::new(&mut registry),
            registry,
        }
    }

    /// The metrics in the OpenMetrics format.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        text::encode(&mut page, &self.registry).ok();
        page
    }

    /// The metrics in Prometheus' own text format. It describes a counter by its name with the
    /// suffix, and has no mark at its end.
    pub fn encode_plain(&self) -> String {
        let page = self.encode();
        let described = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let counters: HashSet<_> = described
            .filter_map(|line| line.strip_suffix(" counter"))
            .collect();
        let mut plain = String::new();
        for line in page.lines().filter(|line| *line != "# EOF") {
            let mut words = line.splitn(4, ' ');
            let words = [(); 4].map(|()| words.next().unwrap_or_default());
            match words {
                ["#", what, name, rest] if counters.contains(name) => {
                    plain += &format!("# {what} {name}_total {rest}\n");
                }
                _ => plain += &format!("{line}\n"),
            }
        }
        plain
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use regex::Regex;

    use super::*;

    /// A metric whose labels are not known in advance is served from its first use on.
    fn with_one_of_each() -> Metrics {
        let metrics = Metrics::new();
        metrics.operator.pass("integration", "waiting");
        metrics.operator.queue_depth("integration", 3);
        metrics.operator.api_call(ApiCall {
            verb: "get",
            kind: "Secret".into(),
            outcome: "ok",
        });
        metrics.operator.watch_error("Secret");
        metrics
            .onepassword
            .request("GET", "/api/v1/vaults", "200".into());
        metrics.onepassword.call("vaults", "ok", 0.1);
        metrics.onepassword.quota_used("day", 0.25);
        metrics.standing.boundary_check("guarded");
        metrics.standing.integrations(1, 0);
        for phase in PhaseLabel::ALL {
            metrics.standing.grants(*phase, 0);
        }
        metrics.standing.residuals_open(0);
        metrics.standing.loans_overdue(0);
        metrics.standing.token_expiry(Some(1_796_000_000));
        metrics
            .lending
            .request_decided(DecisionLabel::Approved, 60.0);
        metrics.lending.request_decided(DecisionLabel::Denied, 60.0);
        metrics
    }

    /// The rows of the tables in docs/metrics.md: a metric and what is said about its labels.
    fn explained() -> BTreeMap<String, String> {
        const PAGE: &str = include_str!("../../../docs/metrics.md");
        let rows = PAGE.lines().filter(|line| line.starts_with("| `keyloan_"));
        rows.filter_map(|row| {
            let name = row.split('`').nth(1)?;
            Some((name.to_owned(), row.split(" | ").nth(1)?.to_owned()))
        })
        .collect()
    }

    #[test]
    fn every_metric_is_explained_and_no_other() {
        let page = with_one_of_each().encode();
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let served = types.map(|line| match line.split_once(' ') {
            Some((name, "counter")) => format!("{name}_total"),
            Some((name, _)) => name.to_owned(),
            None => line.to_owned(),
        });
        let served: BTreeSet<_> = served.collect();
        let explained: BTreeSet<_> = explained().into_keys().collect();
        assert_eq!(served, explained, "docs/metrics.md");
    }

    #[test]
    fn every_label_is_explained_and_so_is_each_value_that_is_known_in_advance() {
        let sample = Regex::new(r"^(keyloan_[a-z_]+?)(?:_bucket|_sum|_count)?\{(.*)\} ").unwrap();
        let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
        // A new operator serves only what is known in advance.
        for (page, with_values) in [
            (Metrics::new().encode(), true),
            (with_one_of_each().encode(), false),
        ] {
            for line in page.lines() {
                let Some(found) = sample.captures(line) else {
                    continue;
                };
                let row = &explained()[&found[1]];
                for label in label.captures_iter(&found[2]) {
                    let (name, value) = (format!("`{}`", &label[1]), format!("`{}`", &label[2]));
                    let is_open = ["`le`", "`version`"].contains(&&*name);
                    assert!(is_open || row.contains(&name), "{name} of {line}: {row}");
                    let is_said = is_open || !with_values || row.contains(&value);
                    assert!(is_said, "{value} of {line}: {row}");
                }
            }
        }
    }

    #[test]
    fn what_was_counted_is_on_the_page() {
        let page = with_one_of_each().encode();
        for line in [
            r#"keyloan_passes_total{controller="integration",outcome="waiting"} 1"#,
            r#"keyloan_onepassword_requests_total{method="GET",route="/api/v1/vaults",outcome="200"} 1"#,
            r#"keyloan_onepassword_quota_used_ratio{limit="day"} 0.25"#,
            r#"keyloan_request_decision_seconds_bucket{le="60.0",decision="approved"} 1"#,
            "keyloan_token_expiry_timestamp_seconds{} 1796000000",
            concat!(
                r#"keyloan_build_info{version=""#,
                env!("CARGO_PKG_VERSION"),
                r#""} 1"#
            ),
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn the_plain_text_describes_counters_as_they_are_named() {
        let metrics = Metrics::new();
        metrics.operator.event_failed();
        let (page, plain) = (metrics.encode(), metrics.encode_plain());
        assert!(
            page.contains("# TYPE keyloan_events_failed counter\n"),
            "{page}"
        );
        assert!(page.ends_with("# EOF\n"), "{page}");
        for line in [
            "# HELP keyloan_events_failed_total Events that could not be published.\n",
            "# TYPE keyloan_events_failed_total counter\n",
            "keyloan_events_failed_total 1\n",
            "# TYPE keyloan_leader gauge\n",
        ] {
            assert!(plain.contains(line), "{line} is not in\n{plain}");
        }
        assert!(!plain.contains("EOF"), "{plain}");
    }

    /// A counter that first appears with the value 1 never rises for Prometheus.
    #[test]
    fn what_an_alert_counts_is_served_before_it_happens_first() {
        let page = Metrics::new().encode();
        for line in [
            r#"keyloan_requests_total{outcome="lent"} 0"#,
            r#"keyloan_links_total{outcome="lost",reason="interrupted"} 0"#,
            r#"keyloan_link_failures_total{reason="unauthorized"} 0"#,
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn a_replica_that_does_not_lead_serves_no_numbers_of_loans_and_tokens() {
        let page = Metrics::new().encode();
        assert!(page.contains("keyloan_leader 0"), "{page}");
        for name in [
            "keyloan_grants{",
            "keyloan_residuals_open{",
            "keyloan_loans_overdue{",
            "keyloan_token_expiry_timestamp_seconds{",
            "keyloan_integrations{",
        ] {
            assert!(!page.contains(name), "{name} is in\n{page}");
        }
    }

    #[test]
    fn a_token_without_an_expiry_is_not_served() {
        let metrics = with_one_of_each();
        let sample = "keyloan_token_expiry_timestamp_seconds{";
        assert!(metrics.encode().contains(sample));
        metrics.standing.token_expiry(None);
        let page = metrics.encode();
        assert!(!page.contains(sample), "{page}");
    }
}
