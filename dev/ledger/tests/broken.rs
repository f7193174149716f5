//! A good ledger passes, and each ledger that was broken by hand is caught.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;

use keyloan_ledger::{AuditLog, Finding, Given, Limits, Rule, check, read_list, read_secrets};
use rstest::rstest;
use serde_json::{Value, json};

const GOOD: &str = include_str!("good.json");

/// The operator's username in the good ledger.
const OPERATOR: &str = "system:serviceaccount:keyloan-system:keyloan";

fn good() -> Value {
    serde_json::from_str(GOOD).unwrap()
}

fn found(ledger: &Value) -> Vec<Finding> {
    let part = |name: &str| ledger[name].to_string();
    let (records, _) = read_list(&part("records")).unwrap();
    let lines: Vec<_> = ledger["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    let given = Given {
        records,
        grants: Some(read_list(&part("grants")).unwrap().1),
        secrets: Some(read_secrets(&part("secrets")).unwrap()),
        shares: Some(serde_json::from_str(&part("shares")).unwrap()),
        before: Some(read_list(&part("before")).unwrap().0),
        audit: Some(AuditLog::read(lines.join("\n").as_bytes()).unwrap()),
    };
    let now = ledger["now"].as_str().unwrap().parse().unwrap();
    check(&given, &Limits::at(now))
}

/// Sets what a pointer names; null removes it.
fn edit(ledger: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = ledger.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(list) => match (name, value) {
            ("-", value) => list.push(value),
            (place, Value::Null) => drop(list.remove(place.parse().unwrap())),
            (place, value) => list[place.parse::<usize>().unwrap()] = value,
        },
        Value::Object(members) => match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.to_owned(), value)),
        },
        _ => panic!("{pointer} names nothing that can be edited"),
    }
}

#[test]
fn a_good_ledger_passes() {
    assert_eq!(found(&good()), []);
}

#[rstest]
#[case::of_another_grant("/records/1/spec/grant/uid", json!("other"), Rule::OneRecord)]
#[case::a_denied_request_that_lends("/records/0/spec/outcome", json!("Denied"), Rule::UnlentHasNoLinks)]
#[case::a_link_that_is_left_out("/records/0/spec/links/0", Value::Null, Rule::Sequence)]
#[case::a_number_that_is_repeated("/records/0/spec/links/3/sequence", json!(3), Rule::Sequence)]
#[case::issued_before_its_intent("/records/0/spec/links/1/issuedAt", json!("2026-11-30T12:00:59Z"), Rule::LinkTimes)]
#[case::issued_without_an_end("/records/0/spec/links/3/expiresAt", Value::Null, Rule::LinkTimes)]
#[case::no_lifetime_of_1password("/records/0/spec/links/1/expiresAt", json!("2026-11-30T12:31:02Z"), Rule::Lifetime)]
#[case::a_longer_link_than_agreed("/records/0/spec/terms/linkLifetime", json!("30m"), Rule::Lifetime)]
#[case::longer_than_the_loan("/records/0/spec/decisions/0/maxDuration", json!("90m"), Rule::OutlivesLoan)]
#[case::begun_after_the_end("/records/0/spec/end/at", json!("2026-11-30T12:55:30Z"), Rule::AfterEnd)]
#[case::an_approval_too_few("/records/0/spec/decisions/1", Value::Null, Rule::Unapproved)]
#[case::an_approval_that_came_later("/records/0/spec/decisions/1/at", json!("2026-11-30T12:00:30Z"), Rule::Unapproved)]
#[case::an_approval_of_the_requester("/records/0/spec/decisions/1/user", json!("alice@example.com"), Rule::Unapproved)]
#[case::begun_after_a_revocation("/records/0/spec/decisions/2/at", json!("2026-11-30T12:55:30Z"), Rule::AfterRefusal)]
#[case::an_end_with_an_open_link("/records/0/spec/links/3/outcome", Value::Null, Rule::NoOutcome)]
#[case::two_open_links("/records/0/spec/links/2/outcome", Value::Null, Rule::NoOutcome)]
#[case::a_residual_too_early("/records/0/spec/residualUntil", json!("2026-11-30T13:40:00Z"), Rule::Residual)]
#[case::no_residual("/records/0/spec/residualUntil", Value::Null, Rule::Residual)]
#[case::a_second_link_without_renewal("/records/0/spec/terms/renewal", json!("Never"), Rule::OneLinkOnly)]
#[case::a_second_single_view_link("/records/0/spec/terms/viewOnce", json!(true), Rule::OneLinkOnly)]
#[case::two_links_at_once("/records/0/spec/links/2/intentAt", json!("2026-11-30T12:01:30Z"), Rule::TooSoon)]
#[case::another_version_of_the_item("/records/0/spec/links/3/itemVersion", json!(4), Rule::ItemVersion)]
#[case::a_loan_that_goes_on("/now", json!("2026-12-01T15:06:00Z"), Rule::Overdue)]
#[case::an_end_by_a_restore_that_no_label_names("/records/0/spec/end/reason", json!("Restored"), Rule::Restored)]
#[case::a_share_that_is_not_counted("/records/1/spec/links", json!([]), Rule::UncountedShare)]
#[case::a_second_share_of_one_intent("/shares/-", good()["shares"][1].clone(), Rule::UncountedShare)]
#[case::a_share_of_a_refused_link("/records/0/spec/links/0/outcome", json!("Refused"), Rule::UncountedShare)]
#[case::a_share_for_others("/shares/3/recipients", json!(["mallory@example.com"]), Rule::UncountedShare)]
#[case::an_issued_link_without_a_share("/shares/2", Value::Null, Rule::MissingShare)]
#[case::a_public_share("/shares/0/type", json!("Public"), Rule::PublicShare)]
#[case::a_share_that_opens_longer("/shares/2/expiresAt", json!("2026-12-01T12:56:01Z"), Rule::LongerThanRecorded)]
#[case::a_secret_of_an_ended_loan("/secrets/0/metadata/labels", json!({ "keyloan.dev/grant-uid": "ended" }), Rule::SecretStays)]
#[case::a_secret_without_a_record("/secrets/0/metadata/labels", json!({ "keyloan.dev/grant-uid": "nobody" }), Rule::SecretStays)]
#[case::a_second_secret("/secrets/-", good()["secrets"][0].clone(), Rule::OneSecret)]
#[case::a_secret_with_an_old_link("/secrets/0/metadata/annotations", json!({ "keyloan.dev/sequence": "7" }), Rule::OneSecret)]
#[case::a_record_that_is_gone("/records/1", Value::Null, Rule::RecordGone)]
#[case::an_end_that_was_made_earlier("/before/0/spec/links/0/latestEnd", json!("2026-11-30T17:01:01Z"), Rule::Rewritten)]
#[case::an_intent_of_another_time("/before/0/spec/links/0/intentAt", json!("2026-11-30T14:59:00Z"), Rule::Rewritten)]
#[case::an_outcome_that_was_changed("/before/0/spec/links/0/outcome", json!("Lost"), Rule::Rewritten)]
#[case::a_link_that_was_taken_out("/before/0/spec/links/-", json!({ "sequence": 2, "intentAt": "2026-11-30T15:20:00Z", "latestEnd": "2026-11-30T16:21:00Z" }), Rule::Rewritten)]
#[case::a_decision_that_was_taken_out("/before/0/spec/decisions", json!([{ "user": "bob@example.com", "decision": "Approve", "at": "2026-11-30T14:00:00Z" }]), Rule::Rewritten)]
#[case::other_terms("/before/0/spec/terms/duration", json!("8h"), Rule::Rewritten)]
#[case::an_end_that_was_taken_back("/before/0/spec/end", json!({ "reason": "Revoked", "at": "2026-11-30T15:20:00Z" }), Rule::Unended)]
#[case::a_version_that_rewrites_one_before("/audit/5/responseObject/spec/links", json!([]), Rule::Rewritten)]
#[case::a_record_that_another_wrote("/audit/4/user/username", json!("admin@example.com"), Rule::ForeignWrite)]
#[case::a_link_that_another_wrote("/audit/2/user/username", json!("admin@example.com"), Rule::ForeignWrite)]
#[case::handed_over_after_the_end("/audit/3", Value::Null, Rule::HandedOverLate)]
#[case::handed_over_and_said_to_be_lost("/audit/0/requestURI", json!("/api/v1/namespaces/links/secrets"), Rule::HandedOverUnsaid)]
fn a_broken_ledger_is_caught(#[case] pointer: &str, #[case] value: Value, #[case] rule: Rule) {
    let mut broken = good();
    edit(&mut broken, pointer, value);
    let findings = found(&broken);
    assert!(
        findings.iter().any(|finding| finding.rule == rule),
        "{findings:#?}"
    );
}

/// A good ledger in which this record was restored at this time.
fn restored(record: usize, at: &str) -> Value {
    let mut ledger = good();
    let meta = &mut ledger["records"][record]["metadata"];
    meta["labels"] = json!({ "velero.io/restore-name": "nightly" });
    meta["creationTimestamp"] = json!(at);
    ledger
}

#[rstest]
#[case::after_its_end("2026-11-30T14:00:00Z", "/records/0/metadata/labels", json!({ "keyloan.dev/restored": "nightly" }), &[])]
#[case::and_ended_by_that("2026-11-30T13:30:00Z", "/records/0/spec/end/reason", json!("Restored"), &[])]
#[case::and_goes_on("2026-11-30T14:00:00Z", "/records/0/spec/end", Value::Null, &[Rule::Restored])]
#[case::and_ended_otherwise("2026-11-30T13:00:00Z", "/records/0/metadata/uid", json!("r"), &[Rule::Restored])]
#[case::and_issues_a_link("2026-11-30T12:55:30Z", "/records/0/spec/end/reason", json!("Restored"), &[Rule::Restored])]
fn a_restored_record_is_history(
    #[case] at: &str,
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] rules: &[Rule],
) {
    let mut ledger = restored(0, at);
    edit(&mut ledger, pointer, value);
    let findings = found(&ledger);
    let restored = findings.iter().filter(|f| f.rule == Rule::Restored);
    let restored = Vec::from_iter(restored.map(|finding| finding.rule));
    assert_eq!(restored, rules, "{findings:#?}");
    assert!(!rules.is_empty() || findings.is_empty(), "{findings:#?}");
}

/// The operator has some minutes to end it, but its link is no longer the loan's.
#[test]
fn the_secret_of_a_restored_record_is_caught() {
    let findings = found(&restored(1, "2026-11-30T15:29:00Z"));
    let rules = Vec::from_iter(findings.into_iter().map(|finding| finding.rule));
    assert_eq!(rules, [Rule::SecretStays]);
}

/// What takes more than one edit.
#[test]
fn a_request_for_a_link_that_nobody_answers_is_caught() {
    let mut broken = good();
    edit(&mut broken, "/now", json!("2026-11-30T16:30:00Z"));
    let asked = "/grants/0/metadata/annotations/keyloan.dev~1renew-requested-at";
    *broken.pointer_mut(asked).unwrap() = json!("2026-11-30T15:55:00Z");
    let rules: Vec<_> = found(&broken)
        .into_iter()
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(rules, [Rule::Gap]);

    let told = json!({ "type": "Active", "status": "False", "reason": "OnePasswordThrottled" });
    edit(&mut broken, "/grants/0/status/conditions", json!([told]));
    assert_eq!(found(&broken), []);
}

#[test]
fn a_loan_that_loses_link_after_link_is_caught() {
    let mut broken = good();
    let lost = |number: u32| {
        json!({
            "sequence": number, "outcome": "Lost",
            "intentAt": format!("2026-11-30T15:0{number}:00Z"), "latestEnd": format!("2026-11-30T16:0{}:00Z", number + 1),
        })
    };
    let links: Vec<_> = (1..=4).map(lost).collect();
    edit(&mut broken, "/records/1/spec/links", json!(links));
    let rules: BTreeSet<_> = found(&broken)
        .into_iter()
        .map(|finding| finding.rule)
        .collect();
    assert!(rules.contains(&Rule::TooManyLost), "{rules:?}");
}

/// Two loans of one item to one person at the same moment: each share is one of their links,
/// whichever comes first.
#[test]
fn shares_are_matched_to_the_links_that_they_can_be() {
    let mut ledger = good();
    let mut twin = ledger["records"][1].clone();
    twin["metadata"]["name"] = json!("twin");
    twin["spec"]["grant"]["uid"] = json!("twin");
    twin["spec"]["links"][0]["intentAt"] = json!("2026-11-30T15:00:30Z");
    twin["spec"]["links"][0]["latestEnd"] = json!("2026-11-30T16:01:31Z");
    twin["spec"]["links"][0]["issuedAt"] = json!("2026-11-30T15:00:32Z");
    twin["spec"]["links"][0]["expiresAt"] = json!("2026-11-30T16:00:32Z");
    edit(&mut ledger, "/records/-", twin);
    // Made while both intents were open: only the first one can also be the share before.
    let mut share = ledger["shares"][3].clone();
    share["createdAt"] = json!("2026-11-30T15:00:31Z");
    share["expiresAt"] = json!("2026-11-30T16:00:31Z");
    edit(&mut ledger, "/shares/-", share);
    assert_eq!(found(&ledger), []);
}

/// An operator was killed while it deleted a Secret, or while it wrote one: the API server answers
/// nobody, and the log says 504.
#[rstest]
#[case::a_deletion_that_may_have_been_done("/audit/3")]
#[case::a_link_that_may_not_have_been_written("/audit/2")]
fn a_call_without_an_answer_breaks_nothing(#[case] entry: &str) {
    let mut ledger = good();
    edit(
        &mut ledger,
        &format!("{entry}/responseStatus/code"),
        json!(504),
    );
    assert_eq!(found(&ledger), []);
}

#[test]
fn the_operator_may_have_another_name() {
    let mut renamed = good();
    for entry in renamed["audit"].as_array_mut().unwrap() {
        entry["user"]["username"] = json!("system:serviceaccount:other:keyloan");
    }
    let rules: BTreeSet<_> = found(&renamed)
        .into_iter()
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(rules, BTreeSet::from([Rule::ForeignWrite]));
    assert_eq!(Limits::at(jiff::Timestamp::UNIX_EPOCH).operator, OPERATOR);
}

/// Each rule is in one of the cases above, or it could be broken without anybody knowing.
#[test]
fn every_rule_has_a_case() {
    let cases = include_str!("broken.rs");
    let untested: Vec<_> = Rule::ALL
        .iter()
        .filter(|rule| !cases.contains(&format!("Rule::{rule:?}")))
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}
