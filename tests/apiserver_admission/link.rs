//! Links and the rights to read them are the operator's to make, and it can give no others.

use serde_json::{Value, json};

use super::boundary::Boundary;
use super::guards::assert_refused;
use super::objects::merged;

const UID: &str = "0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69";
const RBAC: &str = "rbac.authorization.k8s.io";

fn name_of(uid: &str) -> String {
    format!("keyloan-link-{uid}")
}

pub fn link_secret(uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name_of(uid), "namespace": "default", "labels": { "keyloan.dev/secret": "link" },
        },
        "stringData": { "url": "https://share.example/s#key" },
    })
}

pub fn link_role(uid: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "Role",
        "metadata": { "name": name_of(uid), "namespace": "default" },
        "rules": [{
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": [name_of(uid)], "verbs": ["get"],
        }],
    })
}

fn link_binding(uid: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding",
        "metadata": { "name": name_of(uid), "namespace": "default" },
        "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": name_of(uid) },
        "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": "alice@example.com" }],
    })
}

fn link(uid: &str) -> [Value; 3] {
    [link_secret(uid), link_role(uid), link_binding(uid)]
}

pub async fn only_the_operator_writes_links(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-link: only Keyloan's operator writes what is named keyloan-link-...";
    let changes = [
        json!({ "stringData": { "url": "https://elsewhere.example" } }),
        json!({ "rules": [] }),
        json!({ "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": "mallory@example.com" }] }),
    ];
    for (object, change) in link(UID).into_iter().zip(changes) {
        let others = [&b.alice, &b.mallory, &b.pipeline, &b.admin];
        for person in others {
            assert_refused(person.create(&object).await, MESSAGE);
            assert_refused(person.apply(&object, "somebody").await, MESSAGE);
            let generated =
                json!({ "metadata": { "name": null, "generateName": "keyloan-link-" } });
            let generated = merged(object.clone(), &generated);
            assert_refused(person.create(&generated).await, MESSAGE);
            let elsewhere = json!({ "metadata": { "name": "somebodys-own" } });
            person
                .dry_run(&merged(object.clone(), &elsewhere))
                .await
                .expect("another name is free");
        }
        b.operator.create(&object).await.unwrap();
        for person in others {
            assert_refused(person.patch(&object, &change).await, MESSAGE);
            for metadata in [
                json!({ "labels": { "keyloan.dev/secret": null, "a": "b" } }),
                json!({ "annotations": { "keyloan.dev/sequence": "9" } }),
                json!({ "finalizers": ["example.com/keep"] }),
            ] {
                let change = json!({ "metadata": metadata });
                assert_refused(person.patch(&object, &change).await, MESSAGE);
            }
        }
        let label = json!({ "metadata": { "labels": { "a": "b" } } });
        b.operator.patch(&object, &label).await.unwrap();
    }
}

/// Who re-encrypts what is stored writes each object as it is.
pub async fn a_link_may_be_deleted_and_stored_anew(b: &Boundary) {
    for object in link(UID) {
        let stored = b.admin.get(&object).await.unwrap();
        b.admin.put(&stored).await.unwrap();
        b.admin.delete(&object).await.unwrap();
    }
}

/// A finalizer that somebody's webhook has put on a link is taken off by whom it belongs to, once the link is deleted.
pub async fn what_keeps_a_deleted_link_may_be_taken_off(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-link: only Keyloan's operator writes what is named keyloan-link-...";
    for object in link(UID) {
        let kept = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
        b.operator
            .create(&merged(object.clone(), &kept))
            .await
            .unwrap();
        let free = json!({ "metadata": { "finalizers": null } });
        assert_refused(b.admin.patch(&object, &free).await, MESSAGE);
        b.admin.delete(&object).await.unwrap();
        let more = json!({ "metadata": { "finalizers": null, "labels": { "a": "b" } } });
        assert_refused(b.admin.patch(&object, &more).await, MESSAGE);
        b.admin.patch(&object, &free).await.unwrap();
        b.admin.get(&object).await.expect_err("it is gone");
    }
}

pub async fn the_operator_gives_no_right_but_the_one_to_a_link(b: &Boundary) {
    const MESSAGE: &str = "keyloan-link: Keyloan's operator gives nobody any right but the one to get the Secret of one link";
    let rule = |change: Value| {
        let rule = merged(link_role(UID)["rules"][0].clone(), &change);
        merged(link_role(UID), &json!({ "rules": [rule] }))
    };
    let user = |name: &str| json!({ "apiGroup": RBAC, "kind": "User", "name": name });
    let binding = |change: Value| merged(link_binding(UID), &change);
    let wrong = [
        merged(link_role(UID), &json!({ "rules": [] })),
        merged(
            link_role(UID),
            &json!({ "rules": [link_role(UID)["rules"][0], link_role(UID)["rules"][0]] }),
        ),
        rule(json!({ "verbs": ["get", "list"] })),
        rule(json!({ "verbs": ["*"] })),
        rule(json!({ "resources": ["secrets", "configmaps"] })),
        rule(json!({ "resources": ["pods"] })),
        rule(json!({ "apiGroups": ["*"] })),
        rule(json!({ "resourceNames": null })),
        rule(json!({ "resourceNames": ["op-token"] })),
        rule(json!({ "resourceNames": [name_of(UID), "op-token"] })),
        merged(
            link_role(UID),
            &json!({ "metadata": { "name": "another" } }),
        ),
        link_role("1"),
        binding(json!({ "roleRef": { "kind": "ClusterRole", "name": "cluster-admin" } })),
        binding(json!({ "roleRef": { "name": "another" } })),
        binding(json!({ "subjects": [] })),
        binding(json!({ "subjects": [user("alice@example.com"), user("mallory@example.com")] })),
        binding(
            json!({ "subjects": [{ "apiGroup": RBAC, "kind": "Group", "name": "engineering" }] }),
        ),
        binding(json!({ "metadata": { "name": "another" } })),
    ];
    for object in wrong {
        assert_refused(b.operator.create(&object).await, MESSAGE);
        let own = json!({ "metadata": { "name": "given-by-an-administrator" } });
        b.admin
            .dry_run(&merged(object, &own))
            .await
            .expect("others give what they may");
    }

    let to_an_account = binding(json!({ "subjects": [{
        "kind": "ServiceAccount", "name": "pipeline", "namespace": "ci",
    }] }));
    for right in [link_role(UID), link_binding(UID), to_an_account] {
        b.operator.dry_run(&right).await.unwrap();
    }
    // What is there is not widened, either.
    b.operator.create(&link_role(UID)).await.unwrap();
    let wider = rule(json!({ "verbs": ["get", "watch"] }));
    assert_refused(b.operator.apply(&wider, "operator").await, MESSAGE);
    b.operator.delete(&link_role(UID)).await.unwrap();

    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        let object = match kind {
            "ClusterRole" => merged(
                link_role(UID),
                &json!({ "kind": kind, "metadata": { "namespace": null } }),
            ),
            _ => json!({
                "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": { "name": name_of(UID) },
                "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": "view" },
                "subjects": [user("alice@example.com")],
            }),
        };
        assert_refused(
            b.operator.create(&object).await,
            "keyloan-link: Keyloan's operator gives nobody rights in the whole cluster",
        );
        b.admin.dry_run(&object).await.unwrap();
    }
}
