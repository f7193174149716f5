//! What only the operator may write, and what only some may delete or point at.

use std::time::Duration;

use serde_json::{Value, json};

use super::boundary::{
    Boundary, alices_grant, bobs_decision, flow, integration, record, signed, unsigned_decision,
    unsigned_grant,
};
use super::every_rule;
use crate::support::objects::{Refusal, merged};

pub async fn a_service_account_asks_with_an_end_and_never_decides(b: &Boundary) {
    let signature = json!({ "username": "system:serviceaccount:ci:pipeline" });
    let grant = signed(unsigned_grant("pipeline-db"), signature.clone());
    assert_refused(b.pipeline.dry_run(&grant).await, END_IS_MISSING);
    let with_end = merged(grant, &json!({ "spec": { "notAfter": END } }));
    b.pipeline.dry_run(&with_end).await.unwrap();

    let decision = signed(unsigned_decision("pipeline-denies"), signature);
    assert_refused(
        b.pipeline.dry_run(&decision).await,
        "keyloan-identity: ServiceAccounts cannot decide on requests",
    );
}

/// What the policy wants of machines.
const END_IS_MISSING: &str = "keyloan-identity: spec.notAfter is required of ServiceAccounts and of all others whose e-mail address this \
                              cluster does not know";
const END: &str = "2027-01-31T12:00:00Z";

/// An identity without a mailbox of its own is a machine, whatever its way to sign in.
pub async fn a_machine_asks_with_an_end(b: &Boundary) {
    for username in [
        "erin",
        "repo:acme/app:ref:refs/heads/main",
        "repo:acme@123/app@456:ref:refs/heads/main",
        "system:node:ip-10-0-0-1.ec2.internal",
        "arn:aws:sts::123456789012:assumed-role/deployer/i-0123456789abcdef0",
        "builder@project.iam.gserviceaccount.com",
        "ben_other.org#EXT#@contoso.onmicrosoft.com",
    ] {
        let machine = b
            .cluster
            .impersonating(username, &["system:authenticated"])
            .await;
        let signature = json!({ "username": username });
        let grant = signed(unsigned_grant("by-a-machine"), signature.clone());
        assert_refused(machine.dry_run(&grant).await, END_IS_MISSING);
        let with_end = merged(grant, &json!({ "spec": { "notAfter": END } }));
        machine.dry_run(&with_end).await.unwrap();
        // They may still have a say: whether it counts is the flow's.
        let denial = signed(unsigned_decision("by-a-machine"), signature);
        machine.dry_run(&denial).await.unwrap();
    }
    b.alice.dry_run(&alices_grant("by-alice")).await.unwrap();
}

pub async fn only_the_operator_writes_status(b: &Boundary) {
    allow_reading_the_token(b, "default").await;
    for object in [
        alices_grant("with-status"),
        flow("with-status"),
        integration("with-status"),
    ] {
        let stored = b.alice.create(&object).await.unwrap();
        assert_eq!(
            stored["status"],
            json!({ "observedGeneration": -1 }),
            "nobody has looked at it"
        );
        let seen = json!({ "status": { "observedGeneration": 7 } });
        for person in [&b.alice, &b.bob, &b.mallory, &b.pipeline, &b.admin] {
            let current = person.get(&object).await.unwrap();
            for answer in [
                person.put_status(&merged(current, &seen)).await,
                person.patch_status(&object, &seen).await,
            ] {
                assert_refused(
                    answer,
                    "keyloan-status: only Keyloan's operator can write status",
                );
            }
            // The main resource takes no status at all.
            let unchanged = person.patch(&object, &seen).await.unwrap();
            assert_eq!(unchanged["status"], stored["status"]);
        }
        let written = b.operator.patch_status(&object, &seen).await.unwrap();
        assert_eq!(written["status"]["observedGeneration"], 7);
    }
}

pub async fn only_the_operator_writes_records(b: &Boundary) {
    const MESSAGE: &str = "keyloan-records: only Keyloan's operator can write records";
    let stored = b.operator.create(&record("kept")).await.unwrap();
    let end = json!({ "spec": { "residualUntil": "2026-11-23T13:00:00Z" } });
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    for person in [&b.alice, &b.bob, &b.mallory, &b.pipeline, &b.admin] {
        assert_refused(person.create(&record("forged")).await, MESSAGE);
        assert_refused(person.put(&merged(stored.clone(), &end)).await, MESSAGE);
        assert_refused(person.patch(&stored, &end).await, MESSAGE);
        assert_refused(person.patch(&stored, &label).await, MESSAGE);
        let applied = merged(record("kept"), &end);
        assert_refused(person.apply(&applied, "test").await, MESSAGE);
    }
    b.operator.patch(&stored, &end).await.unwrap();
}

/// Tools that migrate or re-encrypt stored objects write each of them in this way; RBAC decides who
/// may do so.
pub async fn a_write_of_a_record_that_changes_nothing_passes(b: &Boundary) {
    const NO_OWNERS: &str = "keyloan-records: a record cannot have owners";
    const NO_FINALIZERS: &str = "keyloan-ownership: leave metadata.finalizers out";
    const OTHERS: &str = "keyloan-records: only Keyloan's operator can write records";
    let named =
        json!({ "metadata": { "labels": { "kept": "yes" }, "annotations": { "note": "kept" } } });
    let object = merged(record("written-again"), &named);
    b.operator.create(&object).await.unwrap();
    let migrator = "system:serviceaccount:kube-system:storage-version-migrator-controller";
    let mut people = vec![b.bob.clone(), b.mallory.clone(), b.admin.clone()];
    for machinery in [migrator, "system:kube-controller-manager"] {
        let groups = ["system:authenticated"];
        people.push(b.cluster.impersonating(machinery, &groups).await);
    }
    let owner = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone" });
    let owned = json!({ "metadata": { "ownerReferences": [owner] } });
    let kept = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
    for person in &people {
        let stored = person.get(&object).await.unwrap();
        let again = person.put(&stored).await.unwrap();
        assert_eq!(again["spec"], stored["spec"]);
        assert_eq!(again["metadata"]["labels"], stored["metadata"]["labels"]);
        let stored = person.get(&object).await.unwrap();
        for (change, refusal) in [(&owned, NO_OWNERS), (&kept, NO_FINALIZERS)] {
            let changed = merged(stored.clone(), change);
            assert_refused(person.put(&changed).await, refusal);
        }
    }
    for person in &people[..4] {
        for change in [
            json!({ "metadata": { "labels": { "kept": "no" } } }),
            json!({ "metadata": { "labels": null } }),
            json!({ "metadata": { "annotations": { "note": "lost" } } }),
        ] {
            assert_refused(person.patch(&object, &change).await, OTHERS);
        }
    }
    // The operator, or a thief of its token, cannot hand one to the garbage collector either.
    assert_refused(b.operator.patch(&object, &owned).await, NO_OWNERS);
    let made = merged(record("owned"), &owned);
    assert_refused(b.operator.create(&made).await, NO_OWNERS);
}

/// All kinds: only what changes something is refused.
pub async fn a_write_that_changes_nothing_passes(b: &Boundary) {
    allow_reading_the_token(b, "default").await;
    for (object, maker) in [
        (alices_grant("stored-again"), &b.alice),
        (bobs_decision("stored-again"), &b.bob),
        (flow("stored-again"), &b.alice),
        (integration("stored-again"), &b.alice),
    ] {
        maker.create(&object).await.unwrap();
        let stored = b.mallory.get(&object).await.unwrap();
        let again = b.mallory.put(&stored).await.unwrap();
        assert_eq!(again["spec"], stored["spec"]);
    }
}

pub async fn decisions_and_records_stay(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-records: only Keyloan's operator can delete decisions and records";
    let decision = bobs_decision("stays");
    b.bob.create(&decision).await.unwrap();
    b.operator.create(&record("stays")).await.unwrap();
    for object in [decision, record("stays")] {
        for person in [&b.alice, &b.bob, &b.mallory, &b.pipeline, &b.admin] {
            assert_refused(person.delete(&object).await, MESSAGE);
        }
        b.operator.delete(&object).await.unwrap();
    }
}

/// By the refusal of a dry run it sees that these policies are in force.
pub async fn the_operator_asks_for_nothing_and_decides_nothing(b: &Boundary) {
    let signature = json!({ "username": "system:serviceaccount:keyloan-system:keyloan" });
    let end = json!({ "spec": { "notAfter": "2027-01-31T12:00:00Z" } });
    let grant = signed(unsigned_grant("operators-own"), signature.clone());
    let grant = merged(grant, &end);
    for answer in [
        b.operator.dry_run(&grant).await,
        b.operator.create(&grant).await,
    ] {
        assert_refused(
            answer,
            "keyloan-identity: Keyloan's operator cannot request items",
        );
    }
    b.alice
        .create(&alices_grant("not-the-operators"))
        .await
        .unwrap();

    let decision = signed(unsigned_decision("operators-own"), signature);
    for answer in [
        b.operator.dry_run(&decision).await,
        b.operator.create(&decision).await,
    ] {
        assert_refused(
            answer,
            "keyloan-identity: Keyloan's operator cannot decide on requests",
        );
    }
    b.bob
        .create(&bobs_decision("not-the-operators"))
        .await
        .unwrap();
}

/// In such a deletion the API server does not say which object it is about.
pub async fn nobody_deletes_by_the_dozen_what_they_cannot_delete_alone(b: &Boundary) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "dozens" },
    });
    b.admin.create(&namespace).await.unwrap();
    let there = |object: Value| merged(object, &json!({ "metadata": { "namespace": "dozens" } }));
    let (grant, decision) = (there(alices_grant("one")), there(bobs_decision("one")));
    b.alice.create(&grant).await.unwrap();
    b.bob.create(&decision).await.unwrap();

    for person in [&b.mallory, &b.bob] {
        assert_refused(
            person.delete_collection(&grant).await,
            "keyloan-identity: only the requester",
        );
    }
    for person in [&b.mallory, &b.bob, &b.admin] {
        assert_refused(
            person.delete_collection(&decision).await,
            "keyloan-records: only Keyloan's operator can delete decisions and records",
        );
    }
    b.alice.delete_collection(&grant).await.unwrap();
    b.operator.delete_collection(&decision).await.unwrap();
    for object in [grant, decision] {
        assert_eq!(b.admin.get(&object).await.unwrap_err().0.code, 404);
    }
}

pub async fn only_those_entitled_delete_a_grant(b: &Boundary) {
    const MESSAGE: &str = "keyloan-identity: only the requester, or someone with the verb 'revoke' on the grant, can delete a grant";
    let grant = alices_grant("deleted");
    b.alice.create(&grant).await.unwrap();
    for person in [&b.bob, &b.mallory, &b.pipeline] {
        assert_refused(person.delete(&grant).await, MESSAGE);
    }
    b.alice.delete(&grant).await.unwrap();

    b.alice.create(&grant).await.unwrap();
    b.operator.delete(&grant).await.unwrap();

    b.alice.create(&grant).await.unwrap();
    let revoker = b
        .cluster
        .impersonating("revoker", &["revokers", "system:authenticated"])
        .await;
    assert_refused(revoker.delete(&grant).await, MESSAGE);
    allow(
        b,
        "default",
        "revoke",
        "revokers",
        json!({
            "apiGroups": ["keyloan.dev"], "resources": ["accessgrants"], "verbs": ["revoke"],
        }),
    )
    .await;
    revoker.delete(&grant).await.unwrap();
}

pub async fn an_integration_needs_the_right_to_read_its_token(b: &Boundary) {
    const MESSAGE: &str = "keyloan-token: to create or change an integration, you must be allowed to get the \
                           Secret with its token: ask for the right to get the Secret \"op-token\" in \
                           namespace \"default\", or ask someone who has it";
    let borrowed = integration("on-anothers-token");
    assert_refused(b.mallory.create(&borrowed).await, MESSAGE);
    assert_refused(b.mallory.apply(&borrowed, "mallory").await, MESSAGE);
    b.alice.create(&borrowed).await.unwrap();

    let plan = json!({ "spec": { "plan": "Teams" } });
    assert_refused(b.mallory.patch(&borrowed, &plan).await, MESSAGE);
    b.alice.patch(&borrowed, &plan).await.unwrap();

    let label = json!({ "metadata": { "labels": { "team": "a" } } });
    b.mallory
        .patch(&borrowed, &label)
        .await
        .expect("labels lend nothing");

    // The right is asked for on the Secret that the change names.
    let elsewhere = json!({
        "spec": { "auth": { "serviceAccountToken": { "secretRef": { "name": "another-token" } } } },
    });
    let refusal = b.alice.patch(&borrowed, &elsewhere).await.unwrap_err();
    assert!(
        format!("{refusal:?}").contains("\"another-token\""),
        "{refusal:?}"
    );
}

/// Alice may read the Secret `op-token`, and mallory no Secret.
pub async fn a_notifier_needs_the_right_to_read_each_of_its_secrets(b: &Boundary) {
    const MESSAGE: &str =
        "keyloan-notifier: to create or change a notifier, you must be allowed to get each Secret";
    let at = |name: &str| json!({ "name": name, "key": "url" });
    let notifier = |name: &str, spec: Value| {
        json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessNotifier",
            "metadata": { "name": name, "namespace": "default" }, "spec": spec,
        })
    };
    let own = notifier(
        "own",
        json!({ "slack": { "urlSecretRef": at("op-token") } }),
    );
    assert_refused(b.mallory.create(&own).await, MESSAGE);
    b.alice.create(&own).await.unwrap();
    let label = json!({ "metadata": { "labels": { "team": "a" } } });
    b.alice
        .patch(&own, &label)
        .await
        .expect("labels send nothing");

    let foreign = at("another-token");
    let mail = json!({ "host": "smtp.example.com", "credentials": {
        "usernameSecretRef": at("op-token"), "passwordSecretRef": foreign,
    } });
    let elsewhere = [
        json!({ "slack": { "urlSecretRef": foreign } }),
        json!({ "slack": { "urlSecretRef": at("op-token"), "groups": [{ "name": "g", "urlSecretRef": foreign }] } }),
        json!({ "teams": { "urlSecretRef": foreign } }),
        json!({ "teams": { "urlSecretRef": at("op-token"), "groups": [{ "name": "g", "urlSecretRef": foreign }] } }),
        json!({ "webhook": { "urlSecretRef": foreign, "signingKeys": [at("op-token")] } }),
        json!({ "webhook": { "urlSecretRef": at("op-token"), "signingKeys": [at("op-token"), foreign] } }),
        json!({ "email": { "server": mail, "from": "k@example.com", "to": { "requester": true } } }),
    ];
    for spec in elsewhere {
        assert_refused(b.alice.create(&notifier("elsewhere", spec)).await, MESSAGE);
    }
    let patch = json!({ "spec": { "slack": { "urlSecretRef": { "name": "another-token" } } } });
    assert_refused(b.alice.patch(&own, &patch).await, MESSAGE);
}

pub async fn no_object_can_be_made_unreadable(b: &Boundary) {
    let secret = |name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": name, "namespace": "default", "labels": labels },
        })
    };
    let ours = secret("ours", json!({ "keyloan.dev/secret": "link" }));
    b.alice.create(&alices_grant("unreadable")).await.unwrap();
    b.admin.create(&ours).await.unwrap();
    for (person, object) in [(&b.alice, alices_grant("unreadable")), (&b.admin, ours)] {
        let claiming = |time: &str| {
            json!({ "metadata": { "managedFields": [{
                "manager": "m", "operation": "Update", "apiVersion": object["apiVersion"],
                "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": {} }, "time": time,
            }] } })
        };
        // This client could not read the object either, had it been accepted.
        let never = claiming("9999-12-31T23:59:59Z");
        assert_refused(
            person.patch(&object, &never).await,
            "keyloan-metadata: the times in",
        );
        let renamed = json!({ "metadata": { "name": "another-unreadable" } });
        let another = merged(merged(object.clone(), &never), &renamed);
        match person.create(&another).await {
            // Of some new objects the API server drops the claim by itself.
            Ok(stored) => assert!(
                !stored["metadata"]["managedFields"]
                    .to_string()
                    .contains("9999")
            ),
            refused => assert_refused(refused, "keyloan-metadata: the times in"),
        }

        person
            .patch(&object, &claiming("2026-11-23T12:00:00Z"))
            .await
            .unwrap();
    }
}

/// A policy refuses with a message that begins so; which rule that was is noted.
pub fn assert_refused<T>(answer: Result<T, Refusal>, message: &str) {
    let Err(refusal) = answer else {
        panic!("accepted, not refused with: {message}")
    };
    assert!(refusal.is_by(message), "{refusal:?}");
    every_rule::note(&refusal);
}

/// Alice, and not the rest of her group.
pub async fn allow_reading_the_token(b: &Boundary, namespace: &str) {
    let rule = json!({
        "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["op-token"], "verbs": ["get"],
    });
    allow(b, namespace, "token-reader", "alice@example.com", rule).await;
}

/// Allow something to a user or a group of this name, and wait until it is in force.
pub async fn allow(b: &Boundary, namespace: &str, role: &str, subject: &str, rule: Value) {
    let rbac = "rbac.authorization.k8s.io";
    let metadata = json!({ "name": role, "namespace": namespace });
    let objects = [
        json!({ "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata, "rules": [rule.clone()] }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": { "apiGroup": rbac, "kind": "Role", "name": role },
            "subjects": [
                { "apiGroup": rbac, "kind": "User", "name": subject },
                { "apiGroup": rbac, "kind": "Group", "name": subject },
            ],
        }),
    ];
    for object in objects {
        b.admin.apply(&object, "test").await.unwrap();
    }
    until_allowed(b, namespace, subject, &rule).await;
}

/// The authorizer learns of roles by a watch.
async fn until_allowed(b: &Boundary, namespace: &str, subject: &str, rule: &Value) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {},
        "spec": {
            "user": subject,
            "groups": [subject],
            "resourceAttributes": {
                "namespace": namespace,
                "group": rule["apiGroups"][0],
                "resource": rule["resources"][0],
                "name": rule["resourceNames"][0].as_str().unwrap_or("any"),
                "verb": rule["verbs"][0],
            },
        },
    });
    for _ in 0..100 {
        if b.admin.create(&review).await.unwrap()["status"]["allowed"] == true {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{subject} was never allowed to {rule}");
}
