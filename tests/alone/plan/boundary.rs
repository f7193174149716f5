//! Whether the admission policies are in force, as far as what is shipped and a dry run tell.

use keyloan::plan::boundary::{
    PoliciesSeen, PolicyKind, PolicySeen, ProbeAnswer, Shipped, Verdict, verdict,
};
use rstest::rstest;
use serde_json::{Value, json};

#[derive(Debug, PartialEq)]
enum Says {
    Guarded,
    Open,
    Obstructed,
    Unknown,
}

#[rstest]
#[case::by_the_policy(
    "admission webhook denied request: keyloan-identity: another name",
    Says::Guarded
)]
#[case::the_value_email_fails(
    "composited variable \"email\" fails to evaluate: no such key: email",
    Says::Open
)]
#[case::by_rbac(
    "accessgrants.keyloan.dev is forbidden: cannot create",
    Says::Obstructed
)]
fn a_refused_dry_run_tells_whether_the_policies_act(#[case] message: &str, #[case] says: Says) {
    assert_eq!(says_of(ProbeAnswer::Refused(message.into()), message), says);
}

#[test]
fn a_dry_run_that_passes_shows_that_they_do_not_and_one_without_an_answer_shows_nothing() {
    assert_eq!(says_of(ProbeAnswer::Passed, ""), Says::Open);
    let answer = ProbeAnswer::None("timed out".into());
    assert_eq!(says_of(answer, "timed out"), Says::Unknown);
}

/// What is said of an answer; the message quotes it.
fn says_of(answer: ProbeAnswer, quoted: &str) -> Says {
    let (says, message) = match verdict(&answer) {
        Verdict::Guarded => return Says::Guarded,
        Verdict::Open(message) => (Says::Open, message),
        Verdict::Obstructed(message) => (Says::Obstructed, message),
        Verdict::Unknown(message) => (Says::Unknown, message),
    };
    assert!(message.contains(quoted), "{message}");
    says
}

fn policy(own: &str, ours: &str) -> Value {
    json!({ "variables": [
        { "name": "operators", "expression": own },
        { "name": "requester", "expression": ours },
    ] })
}

/// (the installation's own variable, the release's) -> whether the policy still is the shipped one.
#[rstest]
#[case::as_shipped("['keyloan']", "request.userInfo.username", true)]
#[case::with_the_installations_own_value("['keyloan', 'other']", "request.userInfo.username", true)]
#[case::with_another_rule_for_who_asks("['keyloan']", "object.spec.requester.username", false)]
fn an_installation_chooses_its_own_variables_and_no_others(
    #[case] own: &str,
    #[case] ours: &str,
    #[case] is_shipped: bool,
) {
    let name = "keyloan-grant-identity";
    let release = json!({
        "kind": PolicyKind::Validating.name(),
        "metadata": { "name": name },
        "spec": policy("['keyloan']", "request.userInfo.username"),
    });
    let shipped = Shipped::new(&[release], &[], &["operators"], &[]);
    let seen = PolicySeen {
        uid: "u".into(),
        generation: 1,
        spec: policy(own, ours),
    };
    let key = (PolicyKind::Validating, name.to_owned());
    assert_eq!(
        shipped.keys().collect::<Vec<_>>(),
        [&key],
        "what to look for"
    );
    let seen = PoliciesSeen::from([(key, seen)]);
    let flaw = shipped.flaw(&seen, &[]);
    assert_eq!(flaw.is_none(), is_shipped, "{flaw:?}");
}
