//! Where the cluster has mutating policies, it writes who made a grant or a decision, whatever the
//! manifest says.

use keyloan::manifests;
use keyloan::plan::boundary::{ProbeAnswer, Verdict, verdict};
use serde_json::{Value, json};

use super::boundary::{Boundary, signature_of, signed, unsigned_decision, unsigned_grant};

use super::guards::{allow, assert_refused};
use crate::support::objects::{Person, merged};

fn alice() -> Value {
    json!({ "username": "alice@example.com", "groups": ["engineering"], "email": "alice@example.com" })
}

fn bob() -> Value {
    json!({ "username": "bob@example.com", "groups": ["platform-owners"], "email": "bob@example.com" })
}

pub async fn a_request_is_signed_with_who_makes_it(b: &Boundary) {
    let grant = b.alice.create(&unsigned_grant("alice-db")).await.unwrap();
    assert_eq!(grant["spec"]["requester"], alice());
    let of_no_group = b.erin.dry_run(&unsigned_grant("erin-db")).await.unwrap();
    assert_eq!(
        of_no_group["spec"]["requester"],
        json!({ "username": "erin@example.com", "groups": [], "email": "erin@example.com" })
    );
}

pub async fn a_decision_is_signed_with_who_makes_it(b: &Boundary) {
    let decision = b
        .bob
        .create(&unsigned_decision("bob-denies"))
        .await
        .unwrap();
    assert_eq!(decision["spec"]["approver"], bob());
}

pub async fn a_forged_signature_is_overwritten(b: &Boundary) {
    for forgery in [
        bob(),
        json!({ "username": "bob@example.com" }),
        json!({ "username": "alice@example.com", "groups": ["engineering", "platform-owners"] }),
        json!({ "username": "alice@example.com", "groups": [], "email": "bob@example.com" }),
    ] {
        for object in [unsigned_grant("forged"), unsigned_decision("forged")] {
            let field = signature_of(&object);
            let stored = b
                .alice
                .dry_run(&signed(object, forgery.clone()))
                .await
                .unwrap();
            assert_eq!(stored["spec"][field], alice(), "{forgery}");
        }
    }
}

/// `alice-db` and `bob-denies` are there since they were signed.
pub async fn a_signature_survives_every_kind_of_update(b: &Boundary) {
    for (unsigned, maker, truth) in [
        (unsigned_grant("alice-db"), &b.alice, alice()),
        (unsigned_decision("bob-denies"), &b.bob, bob()),
    ] {
        let field = signature_of(&unsigned);
        let as_mallory = json!({ "username": "mallory@example.com" });
        let forged = signed(unsigned.clone(), as_mallory.clone());
        let forged_patch = json!({ "spec": { field: as_mallory } });
        let removal = json!({ "spec": { field: null } });

        for (what, answer) in [
            (
                "the maker replaces it",
                maker.put(&current(b, &unsigned).await).await,
            ),
            (
                "the maker applies it",
                maker.apply(&unsigned, "kubectl").await,
            ),
            (
                "mallory replaces it",
                b.mallory.put(&current(b, &unsigned).await).await,
            ),
            (
                "mallory replaces it, forged",
                b.mallory.put(&current(b, &forged).await).await,
            ),
            (
                "mallory applies it",
                b.mallory.apply(&unsigned, "mallory").await,
            ),
            (
                "mallory applies it, forged",
                b.mallory.apply(&forged, "mallory").await,
            ),
            (
                "mallory patches the signature",
                b.mallory.patch(&unsigned, &forged_patch).await,
            ),
            (
                "mallory removes the signature",
                b.mallory.patch(&unsigned, &removal).await,
            ),
        ] {
            let stored = answer.unwrap_or_else(|refusal| panic!("{what}: {refusal:?}"));
            assert_eq!(stored["spec"][field], truth, "{what}");
        }
    }
}

/// The manifest with the version of the object as it is stored: what `kubectl replace` sends.
async fn current(b: &Boundary, manifest: &Value) -> Value {
    let stored = b.admin.get(manifest).await.unwrap();
    let version = stored["metadata"]["resourceVersion"].clone();
    merged(
        manifest.clone(),
        &json!({ "metadata": { "resourceVersion": version } }),
    )
}

pub async fn only_an_address_in_the_identity_becomes_the_email(b: &Boundary) {
    // 255 characters: one more than an address may have.
    let long = format!("{}@example.com", "a".repeat(243));
    for (username, email) in [
        ("carol@example.com", Some("carol@example.com")),
        ("Carol.Smith@Example.COM", Some("carol.smith@example.com")),
        ("builder@project.iam.gserviceaccount.com", None),
        ("carol", None),
        ("oidc:carol@example.com", None),
        ("Carol <carol@example.com>", None),
        ("carol@example.com,mallory@example.com", None),
        ("carol@example", None),
        (long.as_str(), None),
    ] {
        let person = b
            .cluster
            .impersonating(username, &["engineering", "system:authenticated"])
            .await;
        let stored = person.dry_run(&addressed()).await.unwrap();
        assert_eq!(
            stored["spec"]["requester"]["email"],
            json!(email),
            "{username}"
        );
        assert_eq!(stored["spec"]["requester"]["username"], username);
    }
}

pub async fn the_email_comes_from_where_the_cluster_keeps_it(b: &Boundary) {
    let everybody = ["system:authenticated"];
    // As where an OIDC provider's usernames carry a prefix.
    b.install_with_email("request.userInfo.username.replace('oidc:', '')")
        .await;
    let carol = b
        .cluster
        .impersonating("oidc:carol@example.com", &everybody)
        .await;
    until_stored_as(&carol, "carol@example.com").await;

    // Where it is elsewhere in the identity.
    let elsewhere = "has(request.userInfo.extra) && 'example.com/email' in request.userInfo.extra ? request.userInfo.extra['example.com/email'].join(',') : ''";
    b.install_with_email(elsewhere).await;
    let address = ("example.com/email", "dave@example.com");
    let dave = b.cluster.impersonating_with("4711", &everybody, address);
    until_stored_as(&dave.await, "dave@example.com").await;
    // Whose identity has other members, or none.
    let other = ("example.com/floor", "2");
    let erin = b.cluster.impersonating_with("erin", &everybody, other);
    for person in [&erin.await, &b.alice] {
        let stored = person.dry_run(&addressed()).await.unwrap();
        assert_eq!(stored["spec"]["requester"]["email"], json!(null));
    }
    assert_refused(
        b.operator.dry_run(&unsigned_grant("addressed")).await,
        "keyloan-identity: Keyloan's operator cannot request items",
    );

    // An impersonated member is in lower case, whatever is asked for.
    b.install_with_email("has(request.userInfo.extra) && 'canonicalarn' in request.userInfo.extra ? request.userInfo.extra['canonicalarn'].join(',') : ''")
        .await;
    let in_capitals = ("canonicalArn", "frank@example.com");
    let frank = b
        .cluster
        .impersonating_with("4712", &everybody, in_capitals);
    until_stored_as(&frank.await, "frank@example.com").await;

    // One that fails stops everybody for whom it fails, the operator too, who sees it by that.
    b.install_with_email("request.userInfo.extra['example.com/email'][0]")
        .await;
    let mut said = String::new();
    for _ in 0..200 {
        let answer = b.operator.dry_run(&unsigned_grant("addressed")).await;
        said = answer.unwrap_err().0.message.clone();
        if !said.contains("cannot request items") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let shown = verdict(&ProbeAnswer::Refused(said.clone()));
    assert!(
        matches!(shown, Verdict::Open(text) if text.contains("correct the value email")),
        "{said}"
    );
    b.install_with_email(&manifests::Boundary::default().email)
        .await;
    until_stored_as(&b.alice, "alice@example.com").await;
}

/// A request as anybody may make it, also without an address.
fn addressed() -> Value {
    let end = json!({ "spec": { "notAfter": "2027-01-31T12:00:00Z" } });
    merged(unsigned_grant("addressed"), &end)
}

/// The API server learns of another expression a moment later.
async fn until_stored_as(person: &Person, email: &str) {
    let mut stored = None;
    for _ in 0..200 {
        let grant = person.dry_run(&addressed()).await;
        stored = grant.ok().map(|g| g["spec"]["requester"]["email"].clone());
        if stored == Some(json!(email)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it is stored with {stored:?}, not with {email}");
}

pub async fn who_is_in_900_groups_can_ask(b: &Boundary) {
    let groups: Vec<_> = (0..900).map(|n| format!("group-{n}")).collect();
    let mut all: Vec<&str> = groups.iter().map(String::as_str).collect();
    all.push("system:authenticated");
    let joiner = b.cluster.impersonating("joiner@example.com", &all).await;
    let stored = joiner.dry_run(&unsigned_grant("joiner")).await.unwrap();
    assert_eq!(stored["spec"]["requester"]["groups"], json!(groups));
}

pub async fn groups_that_no_rule_can_name_are_left_out(b: &Boundary) {
    let (longest, longer) = ("g".repeat(256), "g".repeat(257));
    let all = ["engineering", &longest, &longer, "system:authenticated"];
    let joiner = b.cluster.impersonating("joiner@example.com", &all).await;
    for object in [unsigned_grant("joiner"), unsigned_decision("joiner")] {
        let field = signature_of(&object);
        let stored = joiner.dry_run(&object).await.unwrap();
        assert_eq!(
            stored["spec"][field]["groups"],
            json!(["engineering", longest])
        );
    }
}

pub async fn who_is_in_too_many_groups_is_told_so(b: &Boundary) {
    let groups: Vec<_> = (0..1001).map(|n| format!("g-{n}")).collect();
    let mut all: Vec<&str> = groups.iter().map(String::as_str).collect();
    all.push("system:authenticated");
    let joiner = b.cluster.impersonating("joiner@example.com", &all).await;
    for object in [unsigned_grant("joiner"), unsigned_decision("joiner")] {
        let message = "keyloan-identity: you are in more than 1000 groups";
        assert_refused(joiner.dry_run(&object).await, message);
    }
}

pub async fn impersonation_signs_as_the_impersonated(b: &Boundary) {
    let as_alice = b
        .cluster
        .impersonating("alice@example.com", &["engineering"])
        .await;
    let stored = as_alice
        .dry_run(&signed(unsigned_grant("as-alice"), bob()))
        .await
        .unwrap();
    assert_eq!(stored["spec"]["requester"], alice());
}

pub async fn whether_one_may_revoke_is_written_down(b: &Boundary) {
    let rule = json!({
        "apiGroups": ["keyloan.dev"], "resources": ["accessgrants"], "verbs": ["revoke"],
    });
    allow(b, "default", "heads", "heads", rule).await;
    let head = b
        .cluster
        .impersonating("head@example.com", &["heads", "system:authenticated"])
        .await;
    let revokes = |name: &str, claim: Value| {
        let change = json!({ "spec": { "decision": "Revoke", "mayRevoke": claim } });
        merged(unsigned_decision(name), &change)
    };
    for claim in [json!(null), json!(false), json!(true)] {
        for (person, may) in [(&b.alice, false), (&b.bob, false), (&head, true)] {
            let stored = person
                .dry_run(&revokes("revokes", claim.clone()))
                .await
                .unwrap();
            assert_eq!(stored["spec"]["mayRevoke"], may, "{claim}");
        }
        let change = json!({ "spec": { "mayRevoke": claim } });
        let denial = merged(unsigned_decision("denies"), &change);
        let stored = head.dry_run(&denial).await.unwrap();
        assert_eq!(stored["spec"].get("mayRevoke"), None, "it only denies");
    }

    b.alice
        .create(&revokes("alice-revokes", json!(true)))
        .await
        .unwrap();
    let again = revokes("alice-revokes", json!(null));
    let claim = json!({ "spec": { "mayRevoke": true } });
    for answer in [
        b.alice.patch(&again, &claim).await,
        head.patch(&again, &claim).await,
        head.apply(&again, "kubectl").await,
    ] {
        let stored = answer.unwrap();
        assert_eq!(stored["spec"]["mayRevoke"], false, "as it was when made");
    }
}
