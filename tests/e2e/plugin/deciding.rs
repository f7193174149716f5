//! Approving, denying, revoking: the test itself writes what the operator would, so that each answer can be tried.

use std::time::Duration;

use keyloan::api::*;
use keyloan::cluster::KubeAccess;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::program::{ended, run, start, until_said};
use super::terminal;
use crate::world::{PLATFORM, TEAM, World};

const PROD: &str = "--integration=keyloan/prod";

/// The operator itself, for what only it may write.
async fn operator(world: &World) -> Client {
    let kubeconfig = world.cluster.operator_kubeconfig().await;
    let access = KubeAccess::Kubeconfig(kubeconfig.expect("a kubeconfig"));
    keyloan::cluster::connect(&access).await.expect("a client")
}

async fn say_status(operator: &Client, name: &str, status: Value) {
    let grants: Api<AccessGrant> = Api::namespaced(operator.clone(), TEAM);
    let patch = Patch::Merge(json!({ "status": status }));
    grants
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .expect("written");
}

async fn grant(world: &World, name: &str) -> AccessGrant {
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    grants.get(name).await.expect("there")
}

async fn decisions(world: &World) -> Vec<AccessDecision> {
    let decisions: Api<AccessDecision> = Api::namespaced(world.admin.clone(), TEAM);
    decisions
        .list(&ListParams::default())
        .await
        .expect("listed")
        .items
}

pub async fn people_decide_about_a_request(world: &World) {
    let operator = operator(world).await;

    // Wrapped by a terminal, the end would look like a line of ours.
    let forged = format!("--justification=lag{:200}Duration       1h", "");
    let line = [
        "request",
        "Infra/db password",
        PROD,
        "--name=db",
        &forged,
        "--no-wait",
        "-o",
        "json",
    ];
    let asked = run(world, "alice", &line).await.json();
    assert_eq!(asked["spec"]["requester"]["username"], "alice@example.com");
    let line = ["approve", "db", "--yes"];
    let told = run(world, "carol", &line).await.failed(1);
    assert!(
        told.contains("has not been looked at by the operator yet"),
        "{told}"
    );
    say_status(&operator, "db", waits()).await;

    what_waits_for_whom(world).await;
    an_approver_sees_the_terms_first(world).await;
    on_a_terminal_whoever_says_nothing_approves_nothing(world).await;
    what_is_missing_is_asked_for_on_a_terminal(world).await;
    an_approval_is_about_these_terms(world, &operator).await;
    a_second_approval_does_not_count_by_the_first_one(world).await;
    a_decision_without_effect_is_a_failure(world, &operator).await;
    who_waits_is_told_that_somebody_said_no(world, &operator).await;
    who_may_revoke_says_so(world).await;
    a_cluster_that_stamps_nobody_takes_their_word_and_checks_it(world).await;
}

/// The status of a request that waits for one of the security people, and one of the owners.
fn waits() -> Value {
    let object = |name: &str| json!({ "namespace": PLATFORM, "name": name, "uid": "u" });
    json!({
        "observedGeneration": 1, "phase": "Pending", "flow": "infra", "digest": "sha256:d1",
        "waitingFor": "1 more of security",
        "conditions": [{
            "type": "Approved", "status": "False", "reason": "NotApproved", "message": "1 more of security",
            "lastTransitionTime": "2026-11-23T12:00:00Z", "observedGeneration": 1,
        }],
        "terms": {
            "integration": object("prod"), "flow": object("infra"), "flowGeneration": 1, "account": "lender",
            "vault": { "id": "v", "title": "Infra" }, "item": { "id": "i", "title": "db password" },
            "itemUpdatedAt": "2026-11-01T00:00:00Z", "recipients": ["alice@example.com"], "duration": "4h",
            "viewOnce": false, "linkLifetime": "1h", "renewal": "OnRequest",
            "approval": { "mode": "AnyOf", "timeout": "24h", "reason": "Optional", "groups": [
                { "name": "security", "required": 1, "approvers": [{ "kind": "Group", "name": "security" }] },
            ] },
        },
    })
}

async fn what_waits_for_whom(world: &World) {
    for (who, waits) in [("carol", true), ("bob", false), ("alice", false)] {
        let listed = run(world, who, &["list", "--for-me", "-o", "name"])
            .await
            .done();
        assert_eq!(listed.contains("/db"), waits, "{who}: {listed}");
    }
    let listed = run(world, "carol", &["list", "--for-me", "-A"])
        .await
        .done();
    assert!(listed.contains("1 more of security"), "{listed}");
}

async fn an_approver_sees_the_terms_first(world: &World) {
    let unasked = run(world, "carol", &["approve", "db"]).await;
    for words in [
        "Requester      alice@example.com (engineering)",
        "Duration       4h",
        "Recipients     alice@example.com",
    ] {
        assert!(unasked.out.contains(words), "{words} in {}", unasked.out);
    }
    let told = unasked.failed(2);
    assert!(told.contains("pass --yes"), "{told}");
    assert!(decisions(world).await.is_empty());
}

async fn on_a_terminal_whoever_says_nothing_approves_nothing(world: &World) {
    let (code, screen) =
        terminal::typed(world, "carol", &["approve", "db"], &[("Approve?", "")]).await;
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("No decision was made."), "{screen}");
    assert!(decisions(world).await.is_empty());
    let (terms, _) = screen.split_once("Approve?").expect("it asks");
    for line in terms.lines() {
        let fits = line.trim_end().chars().count() <= usize::from(terminal::WIDTH);
        assert!(fits, "the terminal breaks {line:?}");
    }
    let durations = terms.lines().filter(|line| line.starts_with("Duration "));
    assert_eq!(durations.count(), 1, "{terms}");
    assert!(terms.contains("Justification  lag Duration 1h"), "{terms}");
}

async fn what_is_missing_is_asked_for_on_a_terminal(world: &World) {
    let answers = &[
        ("Vault", "Infra"),
        ("Item", "db password"),
        ("Integration", "keyloan/prod"),
        ("Why do you need it", "INC-1"),
    ];
    let line = ["request", "--name=asked", "--no-wait"];
    let (code, screen) = terminal::typed(world, "alice", &line, answers).await;
    assert_eq!(code, 0, "{screen}");
    let asked = grant(world, "asked").await.spec;
    assert_eq!(
        (asked.item.vault.0.as_str(), asked.item.item.0.as_str()),
        ("Infra", "db password")
    );
    assert_eq!(asked.integration.namespace.as_deref(), Some(PLATFORM));
    assert_eq!(asked.justification.as_deref(), Some("INC-1"));
}

async fn an_approval_is_about_these_terms(world: &World, operator: &Client) {
    let line = [
        "approve",
        "db",
        "--yes",
        "--max-duration=2h",
        "--reason=on call",
        "-n",
        TEAM,
    ];
    let approving = start(world, "carol", &line);
    let made = until_decided(world, 1).await.remove(0);
    let uid = grant(world, "db").await.uid();
    let made_at = made.creation_timestamp();
    let spec = made.spec;
    assert_eq!(
        (spec.decision, Some(spec.grant_uid)),
        (Decision::Approve, uid)
    );
    assert_eq!(spec.digest.as_deref(), Some("sha256:d1"));
    assert_eq!(spec.max_duration, Some(Span("2h".into())));
    assert_eq!(spec.reason.as_deref(), Some("on call"));
    assert_eq!(
        spec.approver.expect("stamped").username,
        "carol@example.com"
    );
    let owners = made.metadata.owner_references;
    assert_eq!(owners, None, "it stays when its request is deleted");

    let listed = run(world, "carol", &["list", "--for-me", "-o", "name"])
        .await
        .done();
    assert_eq!(listed, "", "she has decided");
    let counted = json!({ "decisions": [{
        "user": "carol@example.com", "decision": "Approve", "group": "security", "at": made_at,
        "reason": "on call", "maxDuration": "2h",
    }] });
    say_status(operator, "db", counted).await;
    let told = ended(approving, &line).await.done();
    assert!(
        told.contains("Approval recorded. db is pending: 1 more of security."),
        "{told}"
    );
}

/// Everybody counts once; that the first one counted says nothing of the second.
async fn a_second_approval_does_not_count_by_the_first_one(world: &World) {
    let line = ["approve", "db", "--yes", "--timeout=1s"];
    let told = run(world, "carol", &line).await.failed(4);
    assert!(
        told.contains("the operator has not counted it yet"),
        "{told}"
    );
    let look = format!(
        "To see whether it counts, run `kubectl keyloan explain db -n {TEAM} --kubeconfig "
    );
    assert!(told.contains(&look), "{told}");
    let open = run(world, "carol", &["explain", "db"]).await.done();
    assert!(open.contains("Decisions not counted yet"), "{open}");
}

async fn a_decision_without_effect_is_a_failure(world: &World, operator: &Client) {
    let line = ["approve", "db", "--yes", "-n", TEAM];
    let approving = start(world, "bob", &line);
    let made = until_decided(world, 3).await;
    let name = made
        .iter()
        .find(|d| {
            d.spec
                .approver
                .as_ref()
                .is_some_and(|a| a.username == "bob@example.com")
        })
        .expect("bob's")
        .name_any();
    let ignored = json!({ "ignoredDecisions": [{
        "name": name, "user": "bob@example.com", "reason": "bob@example.com is in none of the groups that decide",
    }] });
    say_status(operator, "db", ignored).await;
    let told = ended(approving, &line).await.failed(1);
    assert!(
        told.contains("note: bob@example.com is in none of the approver groups"),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "decision {name} has no effect: bob@example.com is in none"
        )),
        "{told}"
    );
    let told = run(world, "alice", &["explain", "db"]).await.done();
    assert!(
        told.contains("Decisions without effect") && told.contains(&name),
        "{told}"
    );
}

async fn who_waits_is_told_that_somebody_said_no(world: &World, operator: &Client) {
    let line = ["request", "Infra/root", PROD, "--name=root", "-n", TEAM];
    let mut asking = start(world, "alice", &line);
    until_said(&mut asking, "Requested root").await;
    say_status(operator, "root", waits()).await;
    // It says what it waits for.
    until_said(&mut asking, "Pending: 1 more of security").await;
    let line_of_carol = [
        "deny",
        "root",
        "--reason=use the replica",
        "--no-wait",
        "-o",
        "json",
    ];
    let denied = run(world, "carol", &line_of_carol).await.json();
    assert_eq!(denied["spec"]["decision"], "Deny");
    assert_eq!(denied["spec"]["reason"], "use the replica");
    let status = json!({ "phase": "Denied", "waitingFor": null, "conditions": [{
        "type": "Stalled", "status": "True", "reason": "Denied", "message": "carol@example.com said no: use the replica",
        "lastTransitionTime": "2026-11-23T12:00:00Z", "observedGeneration": 1,
    }] });
    say_status(operator, "root", status).await;
    let told = ended(asking, &line).await.failed(3);
    assert!(
        told.contains("root was not granted: carol@example.com said no: use the replica."),
        "{told}"
    );
    let told = run(world, "carol", &["deny", "root"]).await.failed(1);
    assert!(told.contains("root is already over"), "{told}");
}

async fn who_may_revoke_says_so(world: &World) {
    for (who, may) in [("dave", true), ("carol", false)] {
        let revoked = revoke(world, who, "db").await;
        assert_eq!(revoked.decision, Decision::Revoke);
        assert_eq!(revoked.reason.as_deref(), Some("leaked"));
        assert_eq!(revoked.may_revoke.unwrap_or_default(), may, "{who}");
    }
    let line = ["revoke", "db", "--timeout=1s"];
    let told = run(world, "alice", &line).await.failed(4);
    assert!(
        told.contains("the operator has not counted it yet"),
        "{told}"
    );
}

async fn revoke(world: &World, who: &str, grant: &str) -> AccessDecisionSpec {
    let line = [
        "revoke",
        grant,
        "--reason=leaked",
        "--no-wait",
        "-o",
        "json",
    ];
    let made = run(world, who, &line).await.json();
    serde_json::from_value(made["spec"].clone()).expect("a decision")
}

async fn a_cluster_that_stamps_nobody_takes_their_word_and_checks_it(world: &World) {
    remove_the_stamps(world).await;
    let line = [
        "request",
        "Infra/db password",
        PROD,
        "--name=unstamped",
        "--no-wait",
        "-o",
        "json",
    ];
    let asked = run(world, "alice", &line).await.json();
    let signed = json!({ "username": "alice@example.com", "groups": ["engineering"], "email": "alice@example.com" });
    assert_eq!(asked["spec"]["requester"], signed);
    let line = ["deny", "unstamped", "--no-wait", "-o", "json"];
    let denied = run(world, "erin", &line).await.json();
    assert_eq!(
        denied["spec"]["approver"],
        json!({ "username": "erin@example.com", "email": "erin@example.com" })
    );
    for (who, claimed) in [("dave", Some(true)), ("carol", None)] {
        assert_eq!(
            revoke(world, who, "unstamped").await.may_revoke,
            claimed,
            "{who}"
        );
    }
}

/// Without the mutating policies a cluster is like one of a version that does not know them.
async fn remove_the_stamps(world: &World) {
    use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
    let kinds = ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"];
    let has_any = world.cluster.has_mutating_policies();
    for kind in kinds.into_iter().filter(|_| has_any) {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let plural = format!("{}s", kind.kind.to_lowercase()).replace("policys", "policies");
        let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
        let api: Api<DynamicObject> = Api::all_with(world.admin.clone(), &resource);
        api.delete_collection(&Default::default(), &ListParams::default())
            .await
            .expect("deleted");
    }
    // No longer in force, once unsigned requests and decisions are refused.
    let client = world.cluster.client("alice").await.expect("a client");
    let grants: Api<AccessGrant> = Api::namespaced(client, TEAM);
    let client = world.cluster.client("bob").await.expect("a client");
    let decisions: Api<AccessDecision> = Api::namespaced(client, TEAM);
    let undecided = json!({ "grant": "canary", "grantUid": "u", "decision": "Deny" });
    let undecided = serde_json::from_value(undecided).expect("a decision");
    let undecided = AccessDecision::new("canary", undecided);
    let unsigned = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant", "metadata": { "name": "canary" },
        "spec": { "integration": { "name": "prod" }, "item": { "vault": "Infra", "item": "db" } },
    });
    let unsigned = serde_json::from_value(unsigned).expect("a grant");
    let dry_run = kube::api::PostParams {
        dry_run: true,
        ..Default::default()
    };
    let refused = async {
        while grants.create(&dry_run, &unsigned).await.is_ok()
            || decisions.create(&dry_run, &undecided).await.is_ok()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused)
        .await
        .expect("the policies are gone");
}

/// Waits until so many decisions have been made.
async fn until_decided(world: &World, number: usize) -> Vec<AccessDecision> {
    let made = async {
        loop {
            let made = decisions(world).await;
            if made.len() >= number {
                return made;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), made)
        .await
        .expect("a decision")
}
