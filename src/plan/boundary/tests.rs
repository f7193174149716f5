use super::*;
use serde_json::json;

const OPERATOR: &str = "system:serviceaccount:keyloan-system:keyloan";

fn own(username: &str) -> [OwnEntry; 2] {
    [
        OwnEntry {
            list: "operators",
            text: username.into(),
            what: format!("{username} as Keyloan's operator"),
        },
        OwnEntry {
            list: "links",
            text: format!("links/{username}"),
            what: "where it keeps links".into(),
        },
    ]
}

fn policy(kind: PolicyKind, name: &str, spec: Value) -> Value {
    json!({ "kind": kind.name(), "metadata": { "name": name }, "spec": spec })
}

/// As it is shipped.
fn release() -> Vec<Value> {
    vec![
        policy(
            PolicyKind::Validating,
            "keyloan-status",
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": ["keyloan.dev"], "apiVersions": ["v1alpha1"],
                    "operations": ["UPDATE"], "resources": ["accessgrants/status"],
                }] },
                "variables": [
                    { "name": "operators", "expression": "['somebody']" },
                    { "name": "deleters", "expression": "[]" },
                    { "name": "links", "expression": "[]" },
                    { "name": "email", "expression": "request.userInfo.username" },
                ],
                "validations": [{ "expression": "request.userInfo.username in variables.operators", "reason": "Forbidden" }],
            }),
        ),
        policy(
            PolicyKind::ValidatingBinding,
            "keyloan-status",
            json!({ "policyName": "keyloan-status", "validationActions": ["Deny"] }),
        ),
        policy(
            PolicyKind::MutatingBinding,
            "keyloan-identity",
            json!({ "policyName": "keyloan-identity" }),
        ),
    ]
}

fn shipped() -> Shipped {
    Shipped::new(
        &release(),
        &[],
        &["operators", "deleters", "links"],
        &["email"],
    )
}

/// As the API server gives it back, with an installation's own values.
fn in_place() -> PoliciesSeen {
    let mut objects = release();
    objects[0]["spec"]["matchConstraints"]["matchPolicy"] = json!("Equivalent");
    objects[0]["spec"]["matchConstraints"]["namespaceSelector"] = json!({});
    objects[0]["spec"]["matchConstraints"]["objectSelector"] = json!({});
    objects[0]["spec"]["matchConstraints"]["resourceRules"][0]["scope"] = json!("*");
    objects[0]["spec"]["variables"] = json!([
        { "name": "operators", "expression": format!("[\n  \"{OPERATOR}\", 'o\\'hara',\n]\n") },
        { "name": "deleters", "expression": "['gc']" },
        { "name": "links", "expression": format!("['links/{OPERATOR}', 'links/o\\'hara']") },
        { "name": "email", "expression": "request.userInfo.extra['email'][0]\n" },
    ]);
    let objects = objects.into_iter().map(|object| {
        let kind = PolicyKind::ALL
            .into_iter()
            .find(|kind| object["kind"] == kind.name());
        let name = object["metadata"]["name"].as_str().map(str::to_owned);
        let seen = PolicySeen {
            uid: "u".into(),
            generation: 1,
            spec: object["spec"].clone(),
            changed_at: Some(at(10)),
        };
        ((kind.expect("known"), name.expect("named")), seen)
    });
    PoliciesSeen {
        readings: PolicyKind::ALL.map(|kind| (kind, Reading::Done)).into(),
        objects: objects.collect(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn key(kind: PolicyKind) -> PolicyKey {
    let name = if kind.is_optional() {
        "keyloan-identity"
    } else {
        "keyloan-status"
    };
    (kind, name.to_owned())
}

/// In place but for this change.
fn changed(kind: PolicyKind, change: impl FnOnce(&mut Value)) -> PoliciesSeen {
    let mut seen = in_place();
    change(&mut seen.objects.get_mut(&key(kind)).expect("there").spec);
    seen
}

#[test]
fn what_the_api_server_fills_in_and_an_installation_chooses_is_no_flaw() {
    assert_eq!(shipped().flaw(&in_place(), &own(OPERATOR)), None);
    assert_eq!(shipped().flaw(&in_place(), &own("o'hara")), None);
}

#[test]
fn what_refuses_may_note_it_down_besides() {
    let noted = changed(PolicyKind::ValidatingBinding, |spec| {
        spec["validationActions"] = json!(["Audit", "Deny"]);
    });
    assert_eq!(shipped().flaw(&noted, &own(OPERATOR)), None);
    let only_noted = changed(PolicyKind::ValidatingBinding, |spec| {
        spec["validationActions"] = json!(["Audit", "Warn"]);
    });
    assert!(shipped().flaw(&only_noted, &own(OPERATOR)).is_some());
}

#[rstest::rstest]
#[case::audit(PolicyKind::ValidatingBinding, "/validationActions/0", json!("Audit"),
    r#"the ValidatingAdmissionPolicyBinding keyloan-status is not as it was shipped, spec.validationActions is ["Audit"] instead of ["Deny"]"#)]
#[case::selective_binding(PolicyKind::ValidatingBinding, "/matchResources", json!({ "namespaceSelector": { "matchLabels": { "a": "b" } } }),
    "spec.matchResources is ")]
#[case::parameters(PolicyKind::ValidatingBinding, "/paramRef", json!({ "name": "p" }), "spec.paramRef is ")]
#[case::of_another_policy(PolicyKind::ValidatingBinding, "/policyName", json!("another"), "spec.policyName is \"another\"")]
#[case::ignores_failures(PolicyKind::Validating, "/failurePolicy", json!("Ignore"), "spec.failurePolicy is \"Ignore\"")]
#[case::loosened(PolicyKind::Validating, "/validations/0/expression", json!("true"), "spec.validations differs")]
#[case::conditional(PolicyKind::Validating, "/matchConditions", json!([{ "name": "never", "expression": "false" }]), "spec.matchConditions")]
#[case::fewer_resources(PolicyKind::Validating, "/matchConstraints/resourceRules/0/resources/0", json!("accessflows/status"), "spec.matchConstraints differs")]
#[case::some_namespaces(PolicyKind::Validating, "/matchConstraints/namespaceSelector", json!({ "matchLabels": { "a": "b" } }), "spec.matchConstraints differs")]
#[case::exceptions(PolicyKind::Validating, "/matchConstraints/excludeResourceRules", json!([{ "resources": ["*"] }]), "spec.matchConstraints differs")]
#[case::exact(PolicyKind::Validating, "/matchConstraints/matchPolicy", json!("Exact"), "spec.matchConstraints differs")]
#[case::unknown_to_us(PolicyKind::Validating, "/newMember", json!(1), "spec.newMember is 1 instead of absent")]
#[case::everybody_is_the_operator(PolicyKind::Validating, "/variables/0/expression", json!("[request.userInfo.username]"),
    "its variable operators is no list of usernames")]
#[case::everybody_deletes(PolicyKind::Validating, "/variables/1/expression", json!("[] + [request.userInfo.username]"),
    "its variable deleters is no list of usernames")]
#[case::another_operator(PolicyKind::Validating, "/variables/0/expression", json!("['another']"),
    "does not know system:serviceaccount:keyloan-system:keyloan as Keyloan's operator")]
#[case::links_elsewhere(PolicyKind::Validating, "/variables/2/expression", json!(format!("['elsewhere/{OPERATOR}']")),
    "does not know where it keeps links: name it in the value operators")]
#[case::a_stamp_of_their_own(PolicyKind::MutatingBinding, "/matchResources", json!({ "objectSelector": { "matchLabels": { "a": "b" } } }),
    "the MutatingAdmissionPolicyBinding keyloan-identity is not as it was shipped")]
fn what_is_not_as_it_was_shipped_is_named(
    #[case] kind: PolicyKind,
    #[case] member: &str,
    #[case] value: Value,
    #[case] says: &str,
) {
    let seen = changed(kind, |spec| {
        let (parent, name) = member.rsplit_once('/').expect("a path");
        let parent = spec.pointer_mut(parent).expect("there");
        match name.parse::<usize>() {
            Ok(index) => parent[index] = value,
            Err(_) => parent[name] = value,
        }
    });
    let flaw = shipped().flaw(&seen, &own(OPERATOR)).expect("a flaw");
    assert!(flaw.contains(says), "{flaw}");
    assert!(flaw.contains("helm upgrade keyloan-crds"), "{flaw}");
}

#[rstest::rstest]
#[case(
    PolicyKind::Validating,
    Some("the ValidatingAdmissionPolicy keyloan-status is missing")
)]
#[case(
    PolicyKind::ValidatingBinding,
    Some("the ValidatingAdmissionPolicyBinding keyloan-status is missing")
)]
#[case::optional(PolicyKind::MutatingBinding, None)]
fn only_what_stamps_may_be_missing(#[case] kind: PolicyKind, #[case] says: Option<&str>) {
    let mut seen = in_place();
    seen.objects.remove(&key(kind));
    let flaw = shipped().flaw(&seen, &own(OPERATOR));
    match says {
        Some(says) => assert!(
            flaw.as_ref().is_some_and(|flaw| flaw.starts_with(says)),
            "{flaw:?}"
        ),
        None => assert_eq!(flaw, None),
    }
}

#[rstest::rstest]
#[case(
    PolicyKind::Validating,
    Reading::Absent,
    Some("Kubernetes 1.30 or later")
)]
#[case(PolicyKind::Mutating, Reading::Absent, None)]
#[case(
    PolicyKind::ValidatingBinding,
    Reading::Begun,
    Some("still being asked")
)]
#[case(PolicyKind::Mutating, Reading::Begun, Some("still being asked"))]
#[case(PolicyKind::Validating, Reading::Failed("forbidden".into()), Some("give its role get, list and watch"))]
#[case(PolicyKind::MutatingBinding, Reading::Failed("forbidden".into()), Some("(forbidden)"))]
fn what_cannot_be_read_is_not_taken_for_in_force(
    #[case] kind: PolicyKind,
    #[case] reading: Reading,
    #[case] says: Option<&str>,
) {
    let mut seen = in_place();
    seen.readings.insert(kind, reading);
    let flaw = shipped().flaw(&seen, &own(OPERATOR));
    match says {
        Some(says) => assert!(
            flaw.as_ref().is_some_and(|flaw| flaw.contains(says)),
            "{flaw:?}"
        ),
        None => assert_eq!(flaw, None),
    }
    assert!(
        shipped()
            .flaw(&PoliciesSeen::default(), &own(OPERATOR))
            .is_some()
    );
}

#[test]
fn the_policies_of_the_release_before_will_do_but_no_mixture() {
    let mut newer = release();
    newer[0]["spec"]["validations"][0]["expression"] = json!("false");
    newer[1]["spec"]["matchResources"] = json!({ "matchPolicy": "Exact" });
    let both = Shipped::new(
        &newer,
        &[release()],
        &["operators", "deleters", "links"],
        &["email"],
    );
    assert_eq!(both.flaw(&in_place(), &own(OPERATOR)), None);
    let mixture = changed(PolicyKind::Validating, |spec| {
        spec["validations"][0]["expression"] = json!("false");
    });
    let flaw = both.flaw(&mixture, &own(OPERATOR)).expect("a flaw");
    assert!(flaw.contains("spec.matchResources"), "{flaw}");
    assert!(both.names(PolicyKind::Validating, "keyloan-status"));
    assert!(!both.names(PolicyKind::Mutating, "keyloan-status"));
}

#[test]
fn a_dry_run_by_the_operator_must_not_pass() {
    let refused = |message: &str| verdict(&ProbeAnswer::Refused(message.into()));
    let by_us = "ValidatingAdmissionPolicy 'keyloan-grant-identity' with binding 'keyloan-grant-identity' denied request: keyloan-identity: ";
    assert_eq!(refused(by_us), Verdict::Guarded);
    let for_want_of_a_right = refused("User cannot create resource: keyloan-identity: ");
    assert!(
        matches!(for_want_of_a_right, Verdict::Obstructed(text) if text.contains("let the operator create AccessGrants"))
    );
    let passed = verdict(&ProbeAnswer::Passed);
    assert!(matches!(passed, Verdict::Open(text) if text.contains("lets a request pass that")));
    let unknown = verdict(&ProbeAnswer::None("no answer in time".into()));
    assert!(matches!(unknown, Verdict::Unknown(text) if text.contains("no answer in time")));
}

#[test]
fn what_changed_at_an_unknown_time_is_noticed() {
    let mut history = History::default();
    let mut seen = in_place();
    assert!(!history.take(&seen), "nothing is known of before");
    assert_eq!(history.changed_at(), Some(at(10)));

    let policy = |seen: &mut PoliciesSeen, generation, changed_at| {
        let policy = seen
            .objects
            .get_mut(&key(PolicyKind::Validating))
            .expect("there");
        (policy.generation, policy.changed_at) = (generation, changed_at);
    };
    policy(&mut seen, 2, Some(at(20)));
    assert!(!history.take(&seen), "it tells");
    assert_eq!(history.changed_at(), Some(at(20)));

    policy(&mut seen, 3, Some(at(5)));
    assert!(history.take(&seen), "its times were taken out");
    history.changed(at(30));
    assert_eq!(history.changed_at(), Some(at(30)));

    seen.objects.clear();
    assert!(!history.take(&seen));
    assert_eq!(history.changed_at(), Some(at(30)), "time does not go back");

    let mut anew = in_place();
    for policy in anew.objects.values_mut() {
        (policy.uid, policy.changed_at) = ("another".into(), Some(at(40)));
    }
    assert!(
        history.take(&anew),
        "it acts only a while after it was made"
    );
    assert!(!history.take(&anew));
}
