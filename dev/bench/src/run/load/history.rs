//! The memory that the operator keeps for each record of an ended loan.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use keyloan::api::AccessRecord;
use keyloan_cluster::wait_until;
use kube::Api;
use serde_json::{Value, json};

use super::crowd::user;
use super::{Load, PATIENCE, in_megabytes};
use crate::report::{Figure, Section, Unit};
use crate::stage::{self, PLATFORM, TEAM};

/// The upper limit.
const BYTES_EACH: f64 = 600.0;
/// How many records are written at the same time.
const AT_A_TIME: usize = 16;
/// The number of people in the records.
pub(super) const PEOPLE: usize = 1000;
/// How long before their pattern the copies have ended.
const EARLIER: SignedDuration = SignedDuration::from_hours(48);
/// The borrower of the pattern.
const ALICE: &str = "alice@example.com";

impl Load {
    /// Writes records of ended loans, as the operator would, while it runs.
    pub(super) async fn remember_what_was(&mut self) -> Result<Section> {
        let records = self.scale.history;
        let mut section = Section::new(
            "History",
            format!(
                "{records} records of ended loans of {PEOPLE} people, copies of a real one with names, times and digests of their own, \
                 whose grants are gone, written while the operator runs; then it restarts. Beside what was lent before."
            ),
        );
        let pattern = self.an_ended_record().await?;
        self.restart().await?;
        let before = self.replicas()?.memory()?.anonymous;
        self.write_records(&pattern, 0..records).await?;
        self.rest().await?;
        let written = self.replicas()?.memory()?.anonymous;
        let mut replicas = self.take_replicas()?.restart_one(&self.ground).await?;
        let peak = replicas.follow_memory();
        replicas.until_complete(&self.ground).await?;
        self.replicas = Some(replicas);
        self.rest().await?;
        let restarted = self.replicas()?.memory()?.anonymous;

        section.add(in_megabytes(
            "RssAnon after a restart, without them",
            before,
        ));
        section.add(in_megabytes("RssAnon once they are written", written));
        section.add(
            in_megabytes("RssAnon after a restart, with them", restarted)
                .made_of(format!("{:.1} MB at its peak", peak.so_far())),
        );
        let each = |megabytes: f64| (megabytes - before) * 1e6 / records as f64;
        section.add(
            Figure::new(
                "each record, after the restart",
                each(restarted),
                Unit::Bytes,
            )
            .at_most(BYTES_EACH)
            .made_of(format!(
                "{:.0} B before the restart; as JSON it has {} B",
                each(written),
                pattern.to_string().len()
            )),
        );
        Ok(section)
    }

    /// The record of a loan that alice returns.
    pub(super) async fn an_ended_record(&mut self) -> Result<Value> {
        let loan = self.lend().await?;
        let stage = &self.ground.stage;
        stage.revoke(TEAM, &loan.name, &loan.uid).await?;
        let records = Api::<AccessRecord>::namespaced(stage.admin.clone(), PLATFORM);
        let record = wait_until("its record has ended", PATIENCE, async || {
            let record = records.get(&loan.uid).await.ok()?;
            let (end, residual) = (&record.spec.end, &record.spec.residual_until);
            (end.is_some() && residual.is_some()).then_some(record)
        })
        .await?;
        let mut spec = serde_json::to_value(record.spec)?;
        for times in ["requestedAt", "residualUntil", "end", "links", "decisions"] {
            earlier(&mut spec[times])?;
        }
        spec["residualUntil"] = spec["end"]["at"].clone();
        ensure!(
            spec["grant"]["uid"] == loan.uid.as_str(),
            "the record does not say whose it is"
        );
        Ok(spec)
    }

    /// Writes the copies with these numbers.
    pub(super) async fn write_records(&self, pattern: &Value, copies: Range<usize>) -> Result<()> {
        let count = self.progress.count("records of ended loans", copies.len());
        let client = self.ground.operators_client().await?;
        let pattern = pattern.clone();
        let writing = copies.map(|number| {
            let (record, client, count) = (copy(&pattern, number), &client, &count);
            async move {
                stage::create::<AccessRecord>(client, PLATFORM, record?).await?;
                count.one();
                anyhow::Ok(())
            }
        });
        futures::stream::iter(writing)
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }
}

/// The record of another loan, which differs as records of different people and grants do.
fn copy(pattern: &Value, number: usize) -> Result<Value> {
    let old_uid = pattern["grant"]["uid"].as_str().context("no uid")?;
    let old_name = pattern["grant"]["name"].as_str().context("no name")?;
    let uid = format!("00000000-0000-4000-8000-{number:012}");
    let text = pattern
        .to_string()
        .replace(old_uid, &uid)
        .replace(old_name, &format!("ended-{number:05}"))
        .replace(ALICE, &user(number % PEOPLE));
    let mut spec: Value = serde_json::from_str(&text)?;
    spec["digest"] = json!(format!("v1:sha256:{number:064x}"));
    Ok(json!({ "metadata": { "name": uid }, "spec": spec }))
}

/// Moves all times in a part of a record.
fn earlier(part: &mut Value) -> Result<()> {
    match part {
        Value::Array(parts) => parts.iter_mut().try_for_each(earlier),
        Value::Object(parts) => parts.values_mut().try_for_each(earlier),
        Value::String(text) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.checked_sub(EARLIER)?.to_string();
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_another_persons_and_another_grants() {
        let pattern = json!({
            "grant": { "name": "loan-00007", "namespace": "team", "uid": "u7" },
            "requester": { "username": ALICE, "email": ALICE },
            "digest": "v1:sha256:77", "links": [{ "sequence": 1 }],
        });
        let uid = "00000000-0000-4000-8000-000000001002";
        let expected = json!({
            "metadata": { "name": uid },
            "spec": {
                "grant": { "name": "ended-01002", "namespace": "team", "uid": uid },
                "requester": { "username": "user-2@example.com", "email": "user-2@example.com" },
                "digest": format!("v1:sha256:{:064x}", 1002), "links": [{ "sequence": 1 }],
            },
        });
        assert_eq!(copy(&pattern, 1002).unwrap(), expected);
    }

    #[test]
    fn times_are_moved_and_nothing_else_is() {
        let mut links =
            json!([{ "sequence": 1, "issuedAt": "2026-11-29T10:00:00Z", "outcome": "Issued" }]);
        earlier(&mut links).unwrap();
        let expected =
            json!([{ "sequence": 1, "issuedAt": "2026-11-27T10:00:00Z", "outcome": "Issued" }]);
        assert_eq!(links, expected);
    }
}
