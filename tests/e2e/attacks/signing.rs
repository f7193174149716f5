//! Asking and deciding in somebody else's name.

use serde_json::{Value, json};

use super::scene::{Scene, create, identity_of, refused};

/// Mallory asks as alice, with groups or an address that are not hers, or without the address by which she could be known.
pub async fn forged_requests(scene: &Scene) {
    let forgeries: [(&str, Value, &str); 5] = [
        (
            "username",
            json!("alice@example.com"),
            "spec.requester.username must be your own username",
        ),
        (
            "groups",
            json!(["engineering", "security"]),
            "spec.requester.groups must list all your groups",
        ),
        (
            "groups",
            json!([]),
            "spec.requester.groups must list all your groups",
        ),
        (
            "email",
            json!("alice@example.com"),
            "spec.requester.email must be the address that this cluster knows you by",
        ),
        (
            "email",
            Value::Null,
            "spec.requester.email must be the address that this cluster knows you by: set it to \"mallory@example.com\"",
        ),
    ];
    for (member, value, why) in forgeries {
        let mut request = scene.request_of("mallory");
        if scene.stamped {
            request["spec"]["requester"] = identity_of("mallory");
        }
        let requester = request["spec"]["requester"].as_object_mut();
        let requester = requester.expect("signed");
        match value {
            Value::Null => drop(requester.remove(member)),
            value => drop(requester.insert(member.into(), value)),
        }
        let made = scene.create("mallory", request).await;
        if scene.stamped {
            let made = made.expect("the forgery is overwritten");
            assert_eq!(made["spec"]["requester"], identity_of("mallory"));
        } else {
            refused(made, why);
        }
    }
    let twin = scene.waiting().await;
    assert_eq!(
        twin.spec.requester.as_ref().map(|r| r.username.as_str()),
        Some("alice@example.com")
    );
    scene.is_lent(&twin).await;
}

/// Mallory approves as bob; bob approves with groups that are not his, or without the address by which he could be known.
pub async fn forged_decisions(scene: &Scene) {
    let grant = scene.waiting().await;
    let mut both = identity_of("bob");
    both["groups"] = json!(["platform-owners", "security"]);
    let mut without_address = identity_of("bob");
    without_address
        .as_object_mut()
        .expect("one")
        .remove("email");
    for (who, forged, why) in [
        (
            "mallory",
            identity_of("bob"),
            "spec.approver.username must be your own username",
        ),
        (
            "bob",
            both,
            "spec.approver.groups must list all your groups",
        ),
        (
            "bob",
            without_address,
            "spec.approver.email must be the address that this cluster knows you by",
        ),
    ] {
        let mut decision = scene.decision_of(who, &grant, "Approve");
        decision["spec"]["approver"] = forged;
        let made = scene.create(who, decision).await;
        match (scene.stamped, who) {
            (true, "mallory") => {
                let made = made.expect("the forgery is overwritten");
                assert_eq!(made["spec"]["approver"]["username"], "mallory@example.com");
                let why = "this person is in none of the groups that approve the request";
                scene.is_ignored(&grant, &made, why).await;
            }
            (true, _) => {
                let made = made.expect("the forgery is overwritten");
                assert_eq!(made["spec"]["approver"], identity_of("bob"));
            }
            (false, _) => refused(made, why),
        }
    }
    let twin = scene.waiting().await;
    scene.is_lent(&twin).await;
}

/// Who may impersonate others is them, as far as the API server knows: and only who may.
pub async fn impersonation(scene: &Scene) {
    let grant = scene.waiting().await;
    let decision = scene.decision_of("bob", &grant, "Approve");
    let as_bob = scene
        .world
        .impersonated_by("mallory", "bob@example.com", Vec::new());
    let made = create(as_bob.await, decision).await;
    refused(made, "cannot impersonate");
    scene.is_lent(&grant).await;
}
