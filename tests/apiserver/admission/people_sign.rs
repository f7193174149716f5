//! Where the cluster has no mutating policies, people write who they are, and cannot lie.

use serde_json::{Value, json};

use super::boundary::{
    Boundary, alices_grant, bobs_decision, signature_of, signed, unsigned_decision, unsigned_grant,
};
use super::guards::assert_refused;
use crate::support::objects::{merged, yaml_files};

fn alice() -> Value {
    json!({ "username": "alice@example.com", "groups": ["engineering"], "email": "alice@example.com" })
}

/// A request as machines, and people without an address, have to make it.
fn with_an_end(object: Value) -> Value {
    match signature_of(&object) {
        "requester" => merged(
            object,
            &json!({ "spec": { "notAfter": "2027-01-31T12:00:00Z" } }),
        ),
        _ => object,
    }
}

fn both(name: &str) -> [Value; 2] {
    [unsigned_grant(name), unsigned_decision(name)]
}

pub async fn who_signs_truly_is_accepted(b: &Boundary) {
    for object in both("true") {
        let field = signature_of(&object);
        let stored = b.alice.dry_run(&signed(object, alice())).await.unwrap();
        assert_eq!(stored["spec"][field], alice());
    }
    let of_no_address = b
        .cluster
        .impersonating("erin", &["system:authenticated"])
        .await;
    for object in both("true") {
        let signature = json!({ "username": "erin" });
        of_no_address
            .dry_run(&with_an_end(signed(object, signature)))
            .await
            .unwrap();
    }
    for of_no_group in [
        json!({ "username": "erin@example.com", "email": "erin@example.com" }),
        json!({ "username": "erin@example.com", "groups": [], "email": "erin@example.com" }),
    ] {
        for object in both("true") {
            b.erin
                .dry_run(&signed(object, of_no_group.clone()))
                .await
                .unwrap();
        }
    }
}

pub async fn a_false_signature_is_refused(b: &Boundary) {
    const NAME: &str = "username must be your own username: set it to \"alice@example.com\"";
    const GROUPS: &str = "groups must list all your groups, except system groups (system:...): set it to [\"engineering\"]";
    const ADDRESS: &str =
        "email must be the address that this cluster knows you by: set it to \"alice@example.com\"";
    for (forgery, correction) in [
        (json!(null), NAME),
        (
            json!({ "username": "bob@example.com", "groups": ["engineering"] }),
            NAME,
        ),
        (
            json!({ "username": "Alice@example.com", "groups": ["engineering"] }),
            NAME,
        ),
        (json!({ "username": "alice@example.com" }), GROUPS),
        (
            json!({ "username": "alice@example.com", "groups": [] }),
            GROUPS,
        ),
        (
            json!({ "username": "alice@example.com", "groups": ["security"] }),
            GROUPS,
        ),
        (
            json!({ "username": "alice@example.com", "groups": ["engineering", "security"] }),
            GROUPS,
        ),
        (
            json!({ "username": "alice@example.com", "groups": ["engineering", "system:authenticated"] }),
            GROUPS,
        ),
        (
            json!({ "username": "alice@example.com", "groups": ["engineering"] }),
            ADDRESS,
        ),
        (
            json!({ "username": "alice@example.com", "groups": ["engineering"], "email": "bob@example.com" }),
            ADDRESS,
        ),
        (
            json!({ "username": "alice@example.com", "groups": ["engineering"], "email": "alice+x@example.com" }),
            ADDRESS,
        ),
    ] {
        for object in both("false") {
            let message = format!(
                "keyloan-identity: spec.{}.{correction}",
                signature_of(&object)
            );
            let forged = if forgery.is_null() {
                object
            } else {
                signed(object, forgery.clone())
            };
            assert_refused(b.alice.dry_run(&forged).await, &message);
        }
    }
    let nameless = b
        .cluster
        .impersonating("erin", &["system:authenticated"])
        .await;
    let claim = json!({ "username": "erin", "email": "erin@example.com" });
    for object in both("false") {
        let field = signature_of(&object);
        let message = format!(
            "keyloan-identity: spec.{field}.email must be left out: this cluster does not know your address"
        );
        let claimed = with_an_end(signed(object, claim.clone()));
        assert_refused(nameless.dry_run(&claimed).await, &message);
    }
}

pub async fn a_signature_cannot_be_changed_later(b: &Boundary) {
    for object in both("kept") {
        let object = signed(object, alice());
        let field = signature_of(&object);
        b.alice.create(&object).await.unwrap();
        let again = b.alice.apply(&object, "kubectl").await.unwrap();
        assert_eq!(
            again["spec"][field],
            alice(),
            "the same manifest is accepted again"
        );
        for change in [
            json!({ "spec": { field: { "username": "mallory@example.com" } } }),
            json!({ "spec": { field: { "groups": ["security"] } } }),
            json!({ "spec": { field: { "email": "alice+x@example.com" } } }),
            json!({ "spec": { field: { "email": null } } }),
            json!({ "spec": { field: null } }),
        ] {
            let refusal = b.mallory.patch(&object, &change).await.unwrap_err();
            assert!(
                refusal.names("spec", "cannot be changed"),
                "{change}: {refusal:?}"
            );
        }
    }
}

pub async fn who_is_in_900_groups_can_ask(b: &Boundary) {
    let groups: Vec<_> = (0..900).map(|n| format!("group-{n}")).collect();
    let mut all: Vec<&str> = groups.iter().map(String::as_str).collect();
    all.push("system:authenticated");
    let joiner = b.cluster.impersonating("joiner@example.com", &all).await;
    let truth = json!({ "username": "joiner@example.com", "groups": groups, "email": "joiner@example.com" });
    joiner
        .dry_run(&signed(unsigned_grant("joiner"), truth.clone()))
        .await
        .unwrap();

    let mut lie = truth;
    lie["groups"].as_array_mut().unwrap().pop();
    let lying = signed(unsigned_grant("joiner"), lie);
    let message = "keyloan-identity: spec.requester.groups must list all your groups";
    assert_refused(joiner.dry_run(&lying).await, message);
}

pub async fn groups_that_no_rule_can_name_are_left_out(b: &Boundary) {
    let (longest, longer) = ("g".repeat(256), "g".repeat(257));
    let all = ["engineering", &longest, &longer, "system:authenticated"];
    let joiner = b.cluster.impersonating("joiner@example.com", &all).await;
    let truth = json!({ "username": "joiner@example.com", "groups": ["engineering", longest], "email": "joiner@example.com" });
    for object in both("joiner") {
        joiner
            .dry_run(&signed(object, truth.clone()))
            .await
            .unwrap();
    }
}

pub async fn who_is_in_too_many_groups_is_told_so(b: &Boundary) {
    let groups: Vec<_> = (0..1001).map(|n| format!("g-{n}")).collect();
    let mut all: Vec<&str> = groups.iter().map(String::as_str).collect();
    all.push("system:authenticated");
    let joiner = b.cluster.impersonating("joiner@example.com", &all).await;
    // As `kubectl keyloan` writes it: a thousand and one are more than an identity takes.
    let truth = json!({ "username": "joiner@example.com", "email": "joiner@example.com" });
    for object in both("joiner") {
        let message = "keyloan-identity: you are in more than 1000 groups";
        assert_refused(
            joiner.dry_run(&signed(object, truth.clone())).await,
            message,
        );
    }
}

/// As somebody does who applies a whole folder that others wrote.
pub async fn a_manifest_of_somebody_else_is_theirs_alone(b: &Boundary) {
    for (manifest, maker) in [
        (alices_grant("theirs"), &b.alice),
        (bobs_decision("theirs"), &b.bob),
    ] {
        let field = signature_of(&manifest);
        let message = format!(
            "keyloan-identity: spec.{field}.username must be your own username: set it to \"mallory@example.com\""
        );
        assert_refused(b.mallory.apply(&manifest, "mallory").await, &message);

        let stored = maker.apply(&manifest, "kubectl").await.unwrap();
        let again = b.mallory.apply(&manifest, "mallory").await.unwrap();
        assert_eq!(again["spec"], stored["spec"], "nothing is theirs by that");
        let replaced = b.mallory.put(&again).await.unwrap();
        assert_eq!(replaced["spec"], stored["spec"]);

        let as_mallory = json!({ "username": "mallory@example.com", "groups": ["engineering"] });
        let taken = signed(replaced, as_mallory);
        let refusal = b.mallory.put(&taken).await.unwrap_err();
        assert!(refusal.names("spec", "cannot be changed"), "{refusal:?}");
    }
}

/// docs/gitops.md says what to add to a manifest whose requester is the ServiceAccount of a tool.
pub async fn a_manifest_in_git_names_the_account_of_the_tool(b: &Boundary) {
    const PAGE: &str = include_str!("../../../docs/gitops.md");
    let (_, member) = PAGE.split_once("`requester: ").unwrap();
    let requester = member.split('`').next().unwrap();
    let requester: Value = serde_saphyr::from_str(requester).unwrap();
    let tool = b.cluster.service_account("team-a", "deployer").await;
    let files = yaml_files("examples/gitops/team-a/requests");
    assert!(!files.is_empty());
    for (file, manifest) in files {
        let unsigned = tool.dry_run(&manifest).await;
        let message = "keyloan-identity: spec.requester.username must be your own username";
        assert_refused(unsigned, message);
        let stored = tool.dry_run(&signed(manifest, requester.clone())).await;
        assert!(stored.is_ok(), "{file}: {stored:?}");
    }
}

pub async fn nobody_claims_to_hold_the_verb_revoke(b: &Boundary) {
    let revokes = |signature: Value, claim: Value| {
        let change = json!({ "spec": { "decision": "Revoke", "mayRevoke": claim } });
        signed(merged(unsigned_decision("claims"), &change), signature)
    };
    assert_refused(
        b.alice.dry_run(&revokes(alice(), json!(true))).await,
        "keyloan-identity: spec.mayRevoke claims the verb 'revoke' on this grant, which you do not have",
    );
    for honest in [json!(null), json!(false)] {
        b.alice.dry_run(&revokes(alice(), honest)).await.unwrap();
    }
    // The heads hold the verb since they were seen to sign.
    let head = b
        .cluster
        .impersonating("head@example.com", &["heads", "system:authenticated"])
        .await;
    let signature =
        json!({ "username": "head@example.com", "groups": ["heads"], "email": "head@example.com" });
    let stored = head
        .dry_run(&revokes(signature, json!(true)))
        .await
        .unwrap();
    assert_eq!(stored["spec"]["mayRevoke"], true);
}
