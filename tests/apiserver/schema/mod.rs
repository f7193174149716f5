//! The API server accepts every example, and refuses what breaks any constraint of `crds/` with a
//! message that names the field and says what to do.
//!
//! The constraints are enumerated from `crds/` itself: a new one without an object that it refuses
//! fails here.

mod broken;
mod constraints;
mod rules;
mod shown;

use std::collections::BTreeSet;

use crate::support::cluster::Cluster;
use crate::support::objects::{Person, merged, yaml_files};
use constraints::{Constraint, Demand, Step};
use keyloan::api;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// One test, because the parts share one control plane.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_what_is_meant_and_refuses_the_rest() {
    let cluster = Cluster::start().await;
    let server = cluster.person("admin").await;
    examples_are_accepted(&server).await;
    full_objects_are_accepted(&server).await;
    full_objects_are_shown_and_found(&server).await;
    near_misses_are_accepted(&server).await;
    an_unseen_status_says_so(&server).await;
    every_constraint_refuses_its_bad_object(&server).await;
    every_rule_refuses_its_violations(&server).await;
    what_people_write_wrong_is_answered_by_one_sentence_with_a_right_value(&server).await;
    optional_fields_can_neither_be_added_nor_removed(&server).await;
    a_thousand_groups_fit(&server).await;
    whatever_is_accepted_can_be_read(&server).await;
    whole_numbers_can_be_read_however_they_are_written(&server).await;
    cluster.shutdown().await;
}

async fn examples_are_accepted(server: &Person) {
    let examples = yaml_files("examples");
    assert!(examples.len() >= 4, "there are examples");
    for name in ["keyloan", "team-a"] {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        server.create(&namespace).await.unwrap();
    }
    for (file, object) in examples {
        server
            .dry_run(&object)
            .await
            .unwrap_or_else(|refusal| panic!("{file}: {refusal:?}"));
    }
}

/// The positive control of all that follows: what is broken below is accepted whole.
async fn full_objects_are_accepted(server: &Person) {
    for full in full_objects() {
        let created = server.create(&full).await.unwrap();
        for member in ["spec", "status"] {
            if member == "status" && full["status"].is_object() {
                let stored = server
                    .put_status(&with_status(&created, &full))
                    .await
                    .unwrap();
                assert_eq!(stored["status"], full["status"], "{}", full["kind"]);
            } else {
                assert_eq!(created[member], full[member], "{}", full["kind"]);
            }
        }
    }
}

async fn full_objects_are_shown_and_found(server: &Person) {
    let mut selectors = 0;
    for full in full_objects() {
        let crd = crd(full["kind"].as_str().unwrap());
        shown::each_column_says_something(server, &crd, &full).await;
        selectors += shown::each_selector_selects(server, &crd, &full).await;
    }
    assert!(selectors >= 8, "only {selectors} fields to select by");
}

async fn near_misses_are_accepted(server: &Person) {
    for (kind, change) in rules::near_misses() {
        let object = renamed(merged(full_object(kind), &change));
        server
            .dry_run(&object)
            .await
            .unwrap_or_else(|refusal| panic!("{change}: {refusal:?}"));
    }
}

async fn an_unseen_status_says_so(server: &Person) {
    for kind in [
        "OnePasswordIntegration",
        "AccessFlow",
        "AccessGrant",
        "AccessNotifier",
    ] {
        let created = server.dry_run(&renamed(full_object(kind))).await.unwrap();
        assert_eq!(
            created["status"],
            json!({ "observedGeneration": -1 }),
            "{kind}"
        );
    }
}

async fn every_constraint_refuses_its_bad_object(server: &Person) {
    let mut tried = 0;
    for constraint in all_constraints() {
        let full = full_object_for(&constraint);
        let Some(bad) = broken::broken(&constraint, &full) else {
            continue;
        };
        let answer = if constraint.is_about_status() {
            let stored = server.get(&full).await.unwrap();
            server
                .dry_run_status(&with_status(&stored, &bad.object))
                .await
        } else {
            server.dry_run(&renamed(bad.object)).await
        };
        let refusal = answer.expect_err(&format!("accepted against {constraint}"));
        assert!(
            refusal.names(&bad.field, &bad.words),
            "{constraint}: {refusal:?} does not say that `{}` {}",
            bad.field,
            bad.words
        );
        tried += 1;
    }
    assert!(tried > 200, "only {tried} constraints were tried");
}

async fn every_rule_refuses_its_violations(server: &Person) {
    let mut untested: BTreeSet<String> = all_constraints()
        .iter()
        .filter(|constraint| matches!(constraint.demand, Demand::Rule(_)))
        .map(ToString::to_string)
        .collect();
    let known = untested.clone();
    for violation in rules::violations() {
        let rule = violation.rule;
        assert!(known.contains(rule), "there is no rule `{rule}` in crds/");
        untested.remove(rule);
        let (place, message) = rule.split_once(": ").unwrap();
        let full = full_object(place.split('.').next().unwrap());
        let answer = if violation.update {
            server
                .dry_run_put(&merged(server.get(&full).await.unwrap(), &violation.change))
                .await
        } else {
            let changed = merged(full, &violation.change);
            let named = violation.change["metadata"]["name"].is_string();
            server
                .dry_run(&if named { changed } else { renamed(changed) })
                .await
        };
        let refusal =
            answer.expect_err(&format!("{} was accepted against {rule}", violation.change));
        let field = place
            .split_once('.')
            .map_or("", |(_, field)| field)
            .replace("[]", "[0]");
        assert!(
            refusal.names(&field, message),
            "{}: {refusal:?}",
            violation.change
        );
    }
    assert!(
        untested.is_empty(),
        "no object in rules.rs violates {untested:#?}"
    );
}

/// One sentence each: no pattern, no failure of CEL's, and nothing of the rules that come after.
async fn what_people_write_wrong_is_answered_by_one_sentence_with_a_right_value(server: &Person) {
    let of_grant = |change: Value| ("AccessGrant", json!({ "spec": change }));
    let duration = |text: &str| of_grant(json!({ "duration": text }));
    let not_after = |text: &str| of_grant(json!({ "notAfter": text }));
    let recipient = |text: &str| of_grant(json!({ "recipients": [text] }));
    let mut cases = Vec::new();
    for text in ["1.5h", "1h 30m", "01h", "8H", "P1D", "", "0m", "-1h"] {
        cases.push((
            duration(text),
            "spec.duration",
            "such as 4h, 90m, 1d12h, 2w or 2h0m0s",
        ));
    }
    for text in ["2027-02-29T12:00:00Z", "2027-01-31T12:00:00", "tomorrow"] {
        cases.push((
            not_after(text),
            "spec.notAfter",
            "such as 2027-01-31T12:00:00Z",
        ));
    }
    for text in [
        "Alice@Example.com",
        "Bob <bob@example.com>",
        "bob@example.com ",
    ] {
        let sentence = "in lower case, without a display name, such as alice@example.com";
        cases.push((recipient(text), "spec.recipients[0]", sentence));
    }
    let domain = json!({ "spec": { "recipientDomains": ["Example.COM"] } });
    cases.push((
        ("OnePasswordIntegration", domain),
        "spec.recipientDomains[0]",
        "must be a domain in lower case, such as example.com",
    ));
    let days = json!({ "spec": { "timeframe": { "from": "00:00", "to": "00:00" } } });
    cases.push((
        ("AccessFlow", days),
        "spec.timeframe",
        "write from 00:00 to 24:00 for whole days",
    ));
    for ((kind, change), field, sentence) in cases {
        let object = renamed(merged(full_object(kind), &change));
        let refusal = server
            .dry_run(&object)
            .await
            .expect_err(&change.to_string());
        assert!(refusal.names(field, sentence), "{change}: {refusal:?}");
        assert_eq!(refusal.causes().count(), 1, "{change}: {refusal:?}");
    }
}

async fn optional_fields_can_neither_be_added_nor_removed(server: &Person) {
    for (kind, fixed, message) in [
        (
            "AccessGrant",
            &["spec"][..],
            "a request cannot be changed after its creation",
        ),
        ("AccessDecision", &["spec"], "a decision cannot be changed"),
        (
            "AccessRecord",
            &["spec.grant", "spec.requester", "spec.terms"],
            "the agreed terms of a record cannot be changed",
        ),
    ] {
        let full = full_object(kind);
        let mut tried = 0;
        for path in constraints::optional_fields(&crd(kind), "spec") {
            let place = constraints::place("", &path);
            if !fixed
                .iter()
                .any(|fixed| place.starts_with(&format!(".{fixed}.")))
            {
                continue;
            }
            // An approval without digest is no object at all: there nothing but the digest would have to differ, so it is a denial.
            let full = match (kind, &*place) {
                ("AccessDecision", ".spec.digest") => denial(&full),
                _ => full.clone(),
            };
            for (before, after, what) in [
                (full.clone(), without(&full, &path), "removed"),
                (without(&full, &path), full.clone(), "added"),
            ] {
                let stored = server.create(&renamed(before)).await.unwrap();
                let mut changed = stored.clone();
                changed["spec"] = after["spec"].clone();
                let refusal = server.dry_run_put(&changed).await;
                server.delete(&stored).await.unwrap();
                let refusal = refusal.expect_err(&format!("{kind}{place} could be {what}"));
                assert!(
                    refusal.names("spec", message),
                    "{kind}{place} {what}: {refusal:?}"
                );
                tried += 1;
            }
        }
        assert!(tried >= 4, "{kind}: only {tried} were tried");
    }
}

async fn a_thousand_groups_fit(server: &Person) {
    let groups: Vec<_> = (0..1000).map(|n| format!("{n:0>256}")).collect();
    for (kind, field) in [
        ("AccessGrant", "requester"),
        ("AccessDecision", "approver"),
        ("AccessRecord", "requester"),
    ] {
        let mut object = renamed(full_object(kind));
        object["spec"][field]["groups"] = json!(groups);
        let mut stored = server.create(&object).await.unwrap();
        stored["metadata"]["labels"] = json!({ "seen": "yes" });
        server
            .dry_run_put(&stored)
            .await
            .expect("the rules over it stay within their budget");
        server.delete(&stored).await.unwrap();
    }
}

/// One object that the operator cannot read would hide the whole list that it is in: so what the
/// API server accepts, however odd, has to be readable.
async fn whatever_is_accepted_can_be_read(server: &Person) {
    for full in full_objects() {
        let stored = server.get(&full).await.unwrap();
        assert_eq!(
            read_and_written_again(&stored).unwrap()["spec"],
            full["spec"],
            "{}",
            full["kind"]
        );
    }
    let mut accepted = 0;
    for time in [
        "2026-11-24T00:00:00Z",
        "2026-11-24T00:00:00.123456789Z",
        "2028-02-29T23:59:59Z",
        "2027-02-29T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T23:59:60Z",
        "2026-13-24T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        // The API server's own check of times lets this one pass.
        "2026-11-24T00:00:00+99:99",
    ] {
        let change = json!({ "spec": { "notAfter": time } });
        let answer = server
            .dry_run(&renamed(merged(full_object("AccessGrant"), &change)))
            .await;
        if let Ok(stored) = answer {
            read_and_written_again(&stored).unwrap_or_else(|error| panic!("{time}: {error}"));
            accepted += 1;
        }
    }
    assert!(accepted >= 3, "real times are accepted: {accepted}");
}

/// JSON knows one kind of number; the operator's types do not.
async fn whole_numbers_can_be_read_however_they_are_written(server: &Person) {
    for number in ["2", "2.0", "0.2e1"] {
        let number: Value = serde_json::from_str(number).unwrap();
        let change = json!({ "spec": { "limits": { "activePerRequester": number } } });
        let object = renamed(merged(full_object("AccessFlow"), &change));
        if let Ok(stored) = server.dry_run(&object).await {
            read_and_written_again(&stored).unwrap_or_else(|error| panic!("{number}: {error}"));
        } else {
            assert_ne!(number, json!(2), "the plain number is accepted");
        }
    }
}

/// As the operator's own types see the object.
fn read_and_written_again(object: &Value) -> serde_json::Result<Value> {
    fn through<T: DeserializeOwned + Serialize>(object: &Value) -> serde_json::Result<Value> {
        serde_json::to_value(T::deserialize(object)?)
    }
    match object["kind"].as_str().unwrap() {
        "OnePasswordIntegration" => through::<api::OnePasswordIntegration>(object),
        "AccessFlow" => through::<api::AccessFlow>(object),
        "AccessGrant" => through::<api::AccessGrant>(object),
        "AccessDecision" => through::<api::AccessDecision>(object),
        "AccessRecord" => through::<api::AccessRecord>(object),
        "AccessNotifier" => through::<api::AccessNotifier>(object),
        other => panic!("{other} is not ours"),
    }
}

fn all_constraints() -> Vec<Constraint> {
    let all: Vec<_> = crds().iter().flat_map(constraints::constraints).collect();
    assert!(all.len() > 200, "the walk sees the schemas: {}", all.len());
    all
}

/// The CRDs as they are committed.
fn crds() -> Vec<Value> {
    let manifests = yaml_files("crds").into_iter().map(|(_, object)| object);
    manifests
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .collect()
}

fn crd(kind: &str) -> Value {
    crds()
        .into_iter()
        .find(|crd| crd["spec"]["names"]["kind"] == kind)
        .unwrap()
}

fn full_objects() -> Vec<Value> {
    yaml_files("tests/apiserver/schema/full")
        .into_iter()
        .map(|(_, object)| object)
        .collect()
}

fn full_object(kind: &str) -> Value {
    full_objects()
        .into_iter()
        .find(|object| object["kind"] == kind)
        .unwrap()
}

/// An object that has what the constraint is about: a kind may have members that exclude each other.
fn full_object_for(constraint: &Constraint) -> Value {
    let of_kind = full_objects()
        .into_iter()
        .filter(|object| object["kind"] == constraint.kind);
    let mut of_kind: Vec<_> = of_kind.collect();
    let place = of_kind
        .iter()
        .position(|object| broken::concerns(constraint, object));
    of_kind.swap_remove(place.unwrap_or(0))
}

/// The object under a name that is free.
fn renamed(object: Value) -> Value {
    merged(object, &json!({ "metadata": { "name": "another" } }))
}

fn with_status(stored: &Value, object: &Value) -> Value {
    let mut with_status = stored.clone();
    with_status["status"] = object["status"].clone();
    with_status
}

fn without(object: &Value, path: &[Step]) -> Value {
    let mut object = object.clone();
    let (last, parents) = path.split_last().unwrap();
    let Step::Property(name) = last else {
        panic!("{path:?} is no field")
    };
    let parent = broken::at(&mut object, parents)
        .unwrap()
        .as_object_mut()
        .unwrap();
    parent
        .remove(name)
        .unwrap_or_else(|| panic!("the full object lacks {path:?}, add it there"));
    object
}

/// The same decision as a denial, which may name a digest and may not shorten a loan.
fn denial(decision: &Value) -> Value {
    let denial = json!({ "spec": { "decision": "Deny", "maxDuration": null } });
    merged(decision.clone(), &denial)
}
