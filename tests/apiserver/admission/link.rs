//! Links and the rights to read them are the operator's to make, and it can give no others.

use serde_json::{Value, json};

use super::boundary::Boundary;
use super::ending::{gone, owned_by};
use super::guards::assert_refused;
use crate::support::objects::merged;

const UID: &str = "0c1f6a52-6d0b-4b9e-9a53-1f2d3c4b5a69";
const RBAC: &str = "rbac.authorization.k8s.io";
/// Where the operator of these policies keeps links.
pub const LINKS: &str = "keyloan-system-links";
const NOT_A_LINK: &str = "keyloan-link: Keyloan's operator can write only the Secrets of links, in its own links namespace";

fn name_of(uid: &str) -> String {
    format!("keyloan-link-{uid}")
}

fn link_secret(uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name_of(uid), "namespace": LINKS, "labels": { "keyloan.dev/secret": "link" },
        },
        "type": "keyloan.dev/link",
        "stringData": { "url": "https://share.example/s#key" },
    })
}

fn link_role(uid: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "Role",
        "metadata": { "name": name_of(uid), "namespace": LINKS },
        "rules": [{
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": [name_of(uid)], "verbs": ["get"],
        }],
    })
}

fn link_binding(uid: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding",
        "metadata": { "name": name_of(uid), "namespace": LINKS },
        "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": name_of(uid) },
        "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": "alice@example.com" }],
    })
}

fn link(uid: &str) -> [Value; 3] {
    [link_secret(uid), link_role(uid), link_binding(uid)]
}

const NAMED: &str = "keyloan-link: only Keyloan's operator can write objects named keyloan-link-... in a links namespace";
const RIGHT_TO_ONE: &str = "keyloan-link: Keyloan's operator can grant only the right to get the Secret of one link, in its own links namespace";
const NOT_FOR_OTHERS: &str = "keyloan-link: this namespace holds the links of loans, and only Keyloan's operator can let people read them";

/// The same object in another namespace.
fn in_namespace(object: Value, namespace: &str) -> Value {
    merged(object, &json!({ "metadata": { "namespace": namespace } }))
}

/// The same object under another name.
fn named(object: Value, name: &str) -> Value {
    merged(object, &json!({ "metadata": { "name": name } }))
}

pub async fn only_the_operator_writes_links(b: &Boundary) {
    let changes = [
        json!({ "stringData": { "url": "https://elsewhere.example" } }),
        json!({ "rules": [] }),
        json!({ "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": "mallory@example.com" }] }),
    ];
    for (object, change) in link(UID).into_iter().zip(changes) {
        let others = [&b.alice, &b.mallory, &b.pipeline, &b.admin];
        for person in others {
            assert_refused(person.create(&object).await, NAMED);
            assert_refused(person.apply(&object, "somebody").await, NAMED);
            let generated =
                json!({ "metadata": { "name": null, "generateName": "keyloan-link-" } });
            let generated = merged(object.clone(), &generated);
            assert_refused(person.create(&generated).await, NAMED);
            let elsewhere = in_namespace(object.clone(), "default");
            person
                .dry_run(&elsewhere)
                .await
                .expect("the name is free elsewhere");
            if object["kind"] != "RoleBinding" {
                let another = named(object.clone(), "somebodys-own");
                person
                    .dry_run(&another)
                    .await
                    .expect("another name is free");
            }
        }
        b.operator.create(&object).await.unwrap();
        for person in others {
            assert_refused(person.patch(&object, &change).await, NAMED);
            for metadata in [
                json!({ "labels": { "keyloan.dev/secret": null, "a": "b" } }),
                json!({ "annotations": { "keyloan.dev/sequence": "9" } }),
                json!({ "finalizers": ["example.com/keep"] }),
            ] {
                let change = json!({ "metadata": metadata });
                assert_refused(person.patch(&object, &change).await, NAMED);
            }
        }
        let label = json!({ "metadata": { "labels": { "a": "b" } } });
        b.operator.patch(&object, &label).await.unwrap();
    }
}

/// Who re-encrypts what is stored writes each object as it is.
pub async fn a_link_may_be_deleted_and_stored_again(b: &Boundary) {
    for object in link(UID) {
        let stored = b.admin.get(&object).await.unwrap();
        b.admin.put(&stored).await.unwrap();
        b.admin.delete(&object).await.unwrap();
    }
}

/// A finalizer that somebody's webhook has put on a link is taken off by whom it belongs to, once the link is deleted.
pub async fn what_keeps_a_deleted_link_may_be_taken_off(b: &Boundary) {
    for object in link(UID) {
        let kept = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
        b.operator
            .create(&merged(object.clone(), &kept))
            .await
            .unwrap();
        let free = json!({ "metadata": { "finalizers": null } });
        assert_refused(b.admin.patch(&object, &free).await, NAMED);
        b.admin.delete(&object).await.unwrap();
        let more = json!({ "metadata": { "finalizers": null, "labels": { "a": "b" } } });
        assert_refused(b.admin.patch(&object, &more).await, NAMED);
        b.admin.patch(&object, &free).await.unwrap();
        b.admin.get(&object).await.expect_err("it is gone");
    }
}

/// The Role owns the other two, so that one delete ends all three.
pub async fn what_the_role_of_a_link_owns_goes_with_it(b: &Boundary) {
    let role = b.operator.create(&link_role(UID)).await.unwrap();
    for object in [link_secret(UID), link_binding(UID)] {
        b.operator
            .create(&merged(object, &owned_by(&role)))
            .await
            .unwrap();
    }
    b.operator.delete(&role).await.unwrap();
    for object in link(UID) {
        let what = format!("the {} of the link goes", object["kind"]);
        gone(b, &object, &what).await;
    }
}

/// A tool that binds a role in each new namespace lets nobody read the links of all others.
pub async fn nobody_else_is_bound_where_links_are(b: &Boundary) {
    let edit = |subjects: Value| {
        json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding",
            "metadata": { "name": "team-edit", "namespace": LINKS },
            "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": "edit" },
            "subjects": subjects,
        })
    };
    let user = json!({ "apiGroup": RBAC, "kind": "User", "name": "alice@example.com" });
    let group = json!({ "apiGroup": RBAC, "kind": "Group", "name": "engineering" });
    let account = |namespace: &str| json!({ "kind": "ServiceAccount", "name": "keyloan", "namespace": namespace });
    let operator = account("keyloan-system");
    for subjects in [
        json!([user]),
        json!([group]),
        json!([account("default")]),
        json!([operator, user]),
    ] {
        let binding = edit(subjects);
        for person in [&b.admin, &b.pipeline] {
            assert_refused(person.create(&binding).await, NOT_FOR_OTHERS);
            let elsewhere = in_namespace(binding.clone(), "default");
            person
                .dry_run(&elsewhere)
                .await
                .expect("elsewhere anybody may be bound");
        }
    }
    // As the chart binds the operator's own role.
    let own = edit(json!([operator]));
    b.admin.create(&own).await.unwrap();
    let widened = json!({ "subjects": [operator, user] });
    assert_refused(b.admin.patch(&own, &widened).await, NOT_FOR_OTHERS);
    let stored = b.admin.get(&own).await.unwrap();
    b.admin.put(&stored).await.unwrap();
    b.admin.delete(&own).await.unwrap();
}

pub async fn the_operator_writes_no_secret_but_those_of_links(b: &Boundary) {
    let secret = || link_secret(UID);
    let unlabelled = merged(
        secret(),
        &json!({ "metadata": { "labels": { "keyloan.dev/secret": null } } }),
    );
    let wrong = [
        named(secret(), "op-token"),
        named(secret(), "keyloan-link-1"),
        in_namespace(secret(), "default"),
        in_namespace(secret(), "keyloan-system"),
        merged(secret(), &json!({ "type": "Opaque" })),
        merged(secret(), &json!({ "stringData": { "kubeconfig": "x" } })),
        merged(secret(), &json!({ "data": { "token": "eA==" } })),
        merged(
            secret(),
            &json!({ "metadata": { "labels": { "keyloan.dev/secret": "token" } } }),
        ),
        unlabelled,
    ];
    for object in wrong {
        assert_refused(b.operator.create(&object).await, NOT_A_LINK);
    }
    b.operator.dry_run(&secret()).await.unwrap();
}

pub async fn the_operator_deletes_nothing_but_links(b: &Boundary) {
    const MESSAGE: &str = "keyloan-link: Keyloan's operator can delete only Secrets, Roles and RoleBindings named keyloan-link-... in its own links namespace";
    for object in link(UID) {
        let elsewhere = in_namespace(object.clone(), "default");
        let mut others = vec![elsewhere];
        if object["kind"] != "RoleBinding" {
            others.push(named(object.clone(), "somebodys-own"));
        }
        for other in others {
            b.admin.create(&other).await.unwrap();
            assert_refused(b.operator.delete(&other).await, MESSAGE);
            b.admin.delete(&other).await.unwrap();
        }
        b.operator.create(&object).await.unwrap();
        b.operator.delete(&object).await.unwrap();
    }
}

pub async fn the_operator_gives_no_right_but_the_one_to_a_link(b: &Boundary) {
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
        in_namespace(link_role(UID), "default"),
        in_namespace(link_binding(UID), "default"),
    ];
    for object in wrong {
        assert_refused(b.operator.create(&object).await, RIGHT_TO_ONE);
        let own = in_namespace(named(object, "given-by-an-administrator"), "default");
        b.admin
            .dry_run(&own)
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
    assert_refused(b.operator.apply(&wider, "operator").await, RIGHT_TO_ONE);
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
            "keyloan-link: Keyloan's operator cannot grant rights in the whole cluster",
        );
        b.admin.dry_run(&object).await.unwrap();
    }
}
