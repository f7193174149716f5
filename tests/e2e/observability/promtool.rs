//! Prometheus' own tool, and the operator's page as series for it.

use std::path::PathBuf;
use std::process::Stdio;

use keyloan_cluster::promtool;
use regex::Regex;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

/// The real promtool.
pub struct Promtool(PathBuf);

impl Promtool {
    pub async fn find() -> Self {
        Self(promtool().await.unwrap())
    }

    /// Runs it; returns whether it succeeded, and what it said.
    pub async fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = tokio::process::Command::new(&self.0)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut pipe, input) = (child.stdin.take().unwrap(), input.to_owned());
        let writing = tokio::spawn(async move { pipe.write_all(input.as_bytes()).await });
        let output = child.wait_with_output().await.unwrap();
        writing.await.unwrap().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    pub async fn succeeds(&self, arguments: &[&str]) {
        let (succeeded, said) = self.run(arguments, "").await;
        assert!(succeeded, "{said}");
    }

    /// Executes queries on these series; fails unless each finds something.
    pub async fn finds(&self, series: &Series, queries: &[String]) -> (bool, String) {
        let found = |query: &String| {
            json!({
                "expr": format!("count({query}) > bool 0"),
                "eval_time": "30m",
                "exp_samples": [{ "labels": "{}", "value": 1 }],
            })
        };
        let tests: Vec<_> = queries.iter().map(found).collect();
        let test = json!({
            "evaluation_interval": "1m",
            "tests": [{ "interval": "1m", "input_series": series.0, "promql_expr_test": tests }],
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queries.yaml");
        std::fs::write(&file, test.to_string()).unwrap();
        self.run(&["test", "rules", &file.display().to_string()], "")
            .await
    }
}

/// Half an hour of what one page of the operator shows: counters rise by one a minute.
pub struct Series(Vec<Value>);

impl Series {
    /// The series, as Prometheus labels them for a target in this namespace.
    pub fn of(page: &str, namespace: &str) -> Self {
        let sample = Regex::new(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$").unwrap();
        let of_target = format!(r#"namespace="{namespace}",instance="10.0.0.7:8081""#);
        let series = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let parts = sample
                    .captures(line)
                    .unwrap_or_else(|| panic!("no sample: {line}"));
                let (name, value) = (&parts[1], &parts[3]);
                let labels = parts.get(2).map_or("", |labels| labels.as_str());
                let comma = if labels.is_empty() { "" } else { "," };
                let rises = ["_total", "_bucket", "_sum", "_count"];
                let by = u8::from(rises.iter().any(|suffix| name.ends_with(suffix)));
                json!({
                    "series": format!("{name}{{{labels}{comma}{of_target}}}"),
                    "values": format!("{value}+{by}x60"),
                })
            });
        Self(series.collect())
    }
}
