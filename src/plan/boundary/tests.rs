use super::*;
use serde_json::{Map, json};

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

/// The release as shipped.
fn release() -> Vec<Value> {
    vec![
        policy(
            PolicyKind::Validating,
            "keyloan-status",
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                    "resourceRules": [{
                        "apiGroups": ["keyloan.dev"], "apiVersions": ["v1alpha1"], "operations": ["UPDATE"],
                        "resources": ["accessgrants/status"], "scope": "*",
                    }],
                },
                "variables": [
                    { "name": "operators", "expression": "['somebody']" },
                    { "name": "deleters", "expression": "[]" },
                    { "name": "links", "expression": "['links/somebody']" },
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

/// The release as the API server returns it, with an installation's own values.
fn in_place() -> PoliciesSeen {
    seen_of(&release())
}

fn seen_of(release: &[Value]) -> PoliciesSeen {
    let mut objects = release.to_vec();
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
        };
        ((kind.expect("known"), name.expect("named")), seen)
    });
    objects.collect()
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

/// The release in place, with this change.
fn changed(kind: PolicyKind, change: impl FnOnce(&mut Value)) -> PoliciesSeen {
    let mut seen = in_place();
    change(&mut seen.get_mut(&key(kind)).expect("there").spec);
    seen
}

#[test]
fn what_an_installation_chooses_is_no_flaw() {
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
    r#"the ValidatingAdmissionPolicyBinding keyloan-status differs from the shipped one (spec.validationActions is ["Audit"] instead of ["Deny"])"#)]
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
    "its variable operators is not a list of usernames")]
#[case::everybody_deletes(PolicyKind::Validating, "/variables/1/expression", json!("[] + [request.userInfo.username]"),
    "its variable deleters is not a list of usernames")]
#[case::another_operator(PolicyKind::Validating, "/variables/0/expression", json!("['another']"),
    "does not know system:serviceaccount:keyloan-system:keyloan as Keyloan's operator")]
#[case::links_elsewhere(PolicyKind::Validating, "/variables/2/expression", json!(format!("['elsewhere/{OPERATOR}']")),
    "does not know where it keeps links: add it to the value operators")]
#[case::a_stamp_of_their_own(PolicyKind::MutatingBinding, "/matchResources", json!({ "objectSelector": { "matchLabels": { "a": "b" } } }),
    "the MutatingAdmissionPolicyBinding keyloan-identity differs from the shipped one")]
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
    seen.remove(&key(kind));
    let flaw = shipped().flaw(&seen, &own(OPERATOR));
    match says {
        Some(says) => assert!(
            flaw.as_ref().is_some_and(|flaw| flaw.starts_with(says)),
            "{flaw:?}"
        ),
        None => assert_eq!(flaw, None),
    }
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
    let missing = shipped().flaw(&PoliciesSeen::new(), &own(OPERATOR));
    assert!(missing.is_some_and(|flaw| flaw.contains("is missing")));
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
    assert!(matches!(passed, Verdict::Open(text) if text.contains("accepts a request that")));
    let unknown = verdict(&ProbeAnswer::None("no answer in time".into()));
    assert!(matches!(unknown, Verdict::Unknown(text) if text.contains("no answer in time")));
}

/// The next release: one policy has another spec, and one is new.
fn next_release() -> Vec<Value> {
    let mut next = release();
    next[0]["spec"]["validations"][0]["message"] = json!("say who you are");
    let added = json!({ "policyName": "keyloan-status", "validationActions": ["Deny"] });
    next.push(policy(
        PolicyKind::ValidatingBinding,
        "keyloan-added",
        added,
    ));
    next
}

/// The operator of the next release, which knows the previous one.
fn next_shipped() -> Shipped {
    Shipped::new(
        &next_release(),
        &[release()],
        &["operators", "deleters", "links"],
        &["email"],
    )
}

fn policy_of(seen: &mut PoliciesSeen) -> &mut PolicySeen {
    seen.get_mut(&key(PolicyKind::Validating)).expect("there")
}

fn binding_of(seen: &mut PoliciesSeen) -> &mut PolicySeen {
    seen.get_mut(&key(PolicyKind::ValidatingBinding))
        .expect("there")
}

/// The state after the upgrade: each changed spec has a generation one higher.
fn upgraded() -> PoliciesSeen {
    let mut seen = seen_of(&next_release());
    policy_of(&mut seen).generation = 2;
    seen
}

#[test]
fn what_was_never_seen_has_changed_now() {
    let first = shipped().remember(None, &in_place(), at(10));
    assert_eq!(first.changed_at, at(10));
    assert!(shipped().is_as_kept(&first, &in_place()));
    let again = shipped().remember(Some(&first), &in_place(), at(20));
    assert_eq!(again, first);
    let text = serde_json::to_string(&first).expect("JSON");
    let kept: Memory = serde_json::from_str(&text).expect("a memory");
    assert_eq!(kept, first, "as it is kept");
}

/// A person who restores a backup is named for it, and no request that waits has to be made again.
#[test]
fn those_who_restore_records_may_change_at_any_time() {
    let mut release = release();
    let variables = release[0]["spec"]["variables"].as_array_mut();
    variables
        .expect("some")
        .push(json!({ "name": "restorers", "expression": "[]" }));
    let shipped = Shipped::new(
        &release,
        &[],
        &["operators", "deleters", "restorers", "links"],
        &["email"],
    );
    let seen = |generation, values: [(&str, &str); 2]| {
        let mut seen = seen_of(&release);
        let policy = policy_of(&mut seen);
        policy.generation = generation;
        let variables = policy.spec["variables"].as_array_mut().expect("some");
        variables.push(json!({ "name": "restorers" }));
        for (name, value) in values {
            let mut named = variables.iter_mut().filter(|v| v["name"] == name);
            named.next().expect("there")["expression"] = json!(value);
        }
        seen
    };
    let first = seen(1, [("deleters", "['gc']"), ("restorers", "[]")]);
    let before = shipped.remember(None, &first, at(10));
    let changed_at = |values| {
        let seen = seen(2, values);
        shipped.remember(Some(&before), &seen, at(20)).changed_at
    };
    let restorer = [("deleters", "['gc']"), ("restorers", "['velero']")];
    assert_eq!(changed_at(restorer), at(10));
    let deleter = [("deleters", "['velero']"), ("restorers", "[]")];
    assert_eq!(changed_at(deleter), at(20));
}

#[test]
fn an_upgrade_by_one_step_changes_nothing_in_either_order_of_the_charts() {
    let before = shipped().remember(None, &in_place(), at(10));
    // The operator first, then the policies.
    let operator_first = next_shipped().remember(Some(&before), &in_place(), at(20));
    assert_eq!(operator_first.changed_at, at(10));
    let both = next_shipped().remember(Some(&operator_first), &upgraded(), at(30));
    assert_eq!(both.changed_at, at(10));
    // The policies first: the earlier operator considers them broken and keeps its state.
    assert!(shipped().flaw(&upgraded(), &own(OPERATOR)).is_some());
    let policies_first = next_shipped().remember(Some(&before), &upgraded(), at(30));
    assert_eq!(policies_first, both);
    assert_eq!(next_shipped().flaw(&upgraded(), &own(OPERATOR)), None);
}

#[rstest::rstest]
#[case::loosened_and_put_back(|seen: &mut PoliciesSeen| binding_of(seen).generation = 3)]
#[case::made_anew(|seen: &mut PoliciesSeen| binding_of(seen).uid = "another".into())]
#[case::an_older_one_restored(|seen: &mut PoliciesSeen| binding_of(seen).generation = 0)]
#[case::other_operators(|seen: &mut PoliciesSeen| {
    let policy = policy_of(seen);
    policy.generation += 1;
    policy.spec["variables"][0]["expression"] = json!(format!("['{OPERATOR}', 'mallory']"));
})]
#[case::links_elsewhere(|seen: &mut PoliciesSeen| {
    let policy = policy_of(seen);
    policy.generation += 1;
    policy.spec["variables"][2]["expression"] = json!(format!("['elsewhere/{OPERATOR}']"));
})]
#[case::another_address(|seen: &mut PoliciesSeen| {
    let policy = policy_of(seen);
    policy.generation += 1;
    policy.spec["variables"][3]["expression"] = json!("''");
})]
#[case::another_spec_of_the_same_generation(|seen: &mut PoliciesSeen| policy_of(seen).spec["failurePolicy"] = json!("Ignore"))]
#[case::one_step_to_what_nobody_ships(|seen: &mut PoliciesSeen| {
    let policy = policy_of(seen);
    policy.generation += 1;
    policy.spec["failurePolicy"] = json!("Ignore");
})]
fn anything_else_has_changed_when_it_is_noticed(#[case] change: fn(&mut PoliciesSeen)) {
    for (operator, mut seen) in [(shipped(), in_place()), (next_shipped(), upgraded())] {
        let before = operator.remember(None, &seen, at(10));
        change(&mut seen);
        assert!(!operator.is_as_kept(&before, &seen));
        let after = operator.remember(Some(&before), &seen, at(20));
        assert_eq!(after.changed_at, at(20));
    }
}

#[test]
fn one_step_with_the_same_meaning_changes_nothing() {
    let before = shipped().remember(None, &in_place(), at(10));
    let mut noted = in_place();
    let binding = binding_of(&mut noted);
    binding.generation += 1;
    binding.spec["validationActions"] = json!(["Deny", "Audit"]);
    let after = shipped().remember(Some(&before), &noted, at(20));
    assert_eq!(after.changed_at, at(10));
    // Mutating policies may disappear and return: the validating ones refuse false identities.
    let mut unstamped = in_place();
    unstamped.remove(&key(PolicyKind::MutatingBinding));
    let without = shipped().remember(Some(&before), &unstamped, at(20));
    let with = shipped().remember(Some(&without), &in_place(), at(30));
    assert_eq!((without.changed_at, with.changed_at), (at(10), at(10)));
}

#[test]
fn a_release_that_was_skipped_and_an_added_policy_with_a_history_have_changed() {
    let mut after_next = next_release();
    after_next[0]["spec"]["validations"][0]["message"] = json!("yet another");
    let third = Shipped::new(
        &after_next,
        &[next_release()],
        &["operators", "deleters", "links"],
        &["email"],
    );
    let before = shipped().remember(None, &in_place(), at(10));
    let mut seen = seen_of(&after_next);
    policy_of(&mut seen).generation = 2;
    assert_eq!(third.flaw(&seen, &own(OPERATOR)), None);
    assert_eq!(
        third.remember(Some(&before), &seen, at(20)).changed_at,
        at(20)
    );

    let mut seen = upgraded();
    let added = (PolicyKind::ValidatingBinding, "keyloan-added".to_owned());
    seen.get_mut(&added).expect("there").generation = 2;
    let after = next_shipped().remember(Some(&before), &seen, at(20));
    assert_eq!(after.changed_at, at(20), "nobody knows what it was before");
}

fn kind(name: &str, spec: Value) -> Value {
    let schema =
        json!({ "properties": { "metadata": { "properties": { "name": {} } }, "spec": spec } });
    json!({ "spec": { "names": { "kind": name }, "versions": [{ "schema": { "openAPIV3Schema": schema } }] } })
}

fn grant_kind(more: Value) -> Value {
    let mut members =
        json!({ "items": { "type": "array", "items": { "properties": { "id": {} } } } });
    for (name, member) in more.as_object().expect("an object") {
        members[name] = member.clone();
    }
    kind(
        "AccessGrant",
        json!({ "description": "any words", "properties": members }),
    )
}

fn served(definitions: &[Value]) -> Fields {
    let mut schemas = Map::new();
    for definition in definitions {
        let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        let kind = definition["spec"]["names"]["kind"].as_str().expect("named");
        schema["description"] = json!("other words");
        schema["x-kubernetes-group-version-kind"] = json!([{ "kind": kind }]);
        schemas.insert(format!("dev.keyloan.{kind}"), schema);
    }
    fields_served(&json!({ "components": { "schemas": schemas } }))
}

#[test]
fn kinds_that_are_not_there_or_of_another_release_are_named() {
    let choice = |choices: &[&str]| json!({ "mode": { "enum": choices } });
    let ours = [
        grant_kind(choice(&["A", "B"])),
        kind("AccessFlow", json!({})),
    ];
    let fields = fields_of(&ours);
    assert_eq!(misfit(&fields, &served(&ours)), None);
    let said = |there: &[Value]| misfit(&fields, &served(there)).expect("a misfit");
    assert!(said(&[]).contains("are not installed"));
    let one = said(&ours[..1]);
    assert!(
        one.starts_with("the kind AccessFlow is not installed"),
        "{one}"
    );
    let with = |grant: Value| said(&[grant, ours[1].clone()]);
    let older = with(grant_kind(json!({})));
    assert!(
        older.contains("AccessGrant is older than this operator and has no spec.mode"),
        "{older}"
    );
    let older = with(grant_kind(choice(&["A"])));
    assert!(older.contains("and has no spec.mode=B"), "{older}");
    let newer = with(grant_kind(choice(&["A", "B", "C"])));
    assert!(
        newer.contains(
            "AccessGrant is newer than this operator, which does not know its spec.mode=C"
        ),
        "{newer}"
    );
    assert!(newer.contains("helm upgrade keyloan"), "{newer}");
}
