//! `kubectl keyloan` as people run it: the real program, their own kubeconfigs and rights, on a real API server.

mod world;

use std::process::Stdio;
use std::time::Duration;

use keyloan::api::*;
use keyloan::cluster::KubeAccess;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use world::{Ask, PLATFORM, TEAM, World};

/// What people may do, as the roles for requesters and approvers say.
const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: decide}
rules:
- {apiGroups: [keyloan.dev], resources: [accessdecisions], verbs: [create, get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: decide}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: decide}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: revoke}
rules:
- {apiGroups: [keyloan.dev], resources: [accessgrants], verbs: [revoke]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: revoke}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: revoke}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave@example.com}]
"#;

/// What a run of the program has left.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    /// What was printed, if it went well.
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    fn json(self) -> Value {
        let out = self.done();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }

    /// What was complained about, with this exit code.
    fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self.err
    }
}

fn keyloan(world: &World, who: &str, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyloan"));
    command
        .arg("--kubeconfig")
        .arg(world.cluster.kubeconfig(who))
        .args(line)
        .env_remove("KUBECONFIG")
        .env_remove("KEYLOAN_INTEGRATION")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Somebody runs `kubectl keyloan` in the team's namespace; what hangs is a failure.
async fn run(world: &World, who: &str, line: &[&str]) -> Ran {
    let line = [line, &["-n", TEAM]].concat();
    let running = start(world, who, &line);
    ended(running, &line).await
}

fn start(world: &World, who: &str, line: &[&str]) -> Child {
    keyloan(world, who, line).spawn().expect("the program")
}

async fn ended(running: Child, line: &[&str]) -> Ran {
    let output = tokio::time::timeout(Duration::from_secs(90), running.wait_with_output());
    let output = output
        .await
        .unwrap_or_else(|_| panic!("{line:?} hangs"))
        .expect("it ran");
    Ran {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

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

const PROD: &str = "--integration=keyloan/prod";

#[tokio::test(flavor = "multi_thread")]
async fn alice_borrows_an_item_and_opens_it() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| {
            flow.access_details = Some(AccessDetails("psql -h ${HOST}".into()));
        })
        .await;

    let line = [
        "request",
        "Infra/db password",
        PROD,
        "--duration=4h",
        "--name=mine",
    ];
    let asked = run(&world, "alice", &line).await;
    assert!(
        asked
            .err
            .contains("Asked for db password (vault Infra) as mine."),
        "{}",
        asked.err
    );
    let told = asked.done();
    assert!(told.starts_with("mine is active."), "{told}");
    assert!(told.contains("Loan ends  in 3h 59m ("), "{told}");

    let url = run(&world, "alice", &["open", "mine", "-o", "url"])
        .await
        .done();
    let seen = world
        .control
        .open(url.trim(), "alice@example.com")
        .await
        .expect("it opens");
    assert_eq!(seen.title, "db password");
    let opened = run(&world, "alice", &["open", "mine"]).await.done();
    assert!(opened.starts_with(url.trim()), "the link comes first");
    assert!(opened.contains("Access     psql -h ${HOST}"), "{opened}");

    let refused = run(&world, "mallory", &["open", "mine"]).await.failed(1);
    assert!(
        refused.contains("the link of mine is for alice@example.com alone"),
        "{refused}"
    );

    a_list_shows_ones_own(&world).await;
    explanations_are_for_people_and_programs(&world).await;
    a_link_that_has_ended_is_followed_by_the_next_one(&world, url.trim()).await;
    what_cannot_be_lent_is_explained(&world).await;
    rules_are_exported_as_code(&world).await;
    nothing_hangs_and_each_failure_says_what_to_do(&world).await;
}

async fn a_list_shows_ones_own(world: &World) {
    let listed = run(world, "alice", &["list"]).await.done();
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME  ITEM"), "{listed}");
    assert!(lines[1].contains("Active"), "{listed}");
    assert_eq!(lines.len(), 2, "{listed}");
    let names = run(world, "alice", &["list", "-o", "name"]).await.done();
    assert_eq!(names, "accessgrant.keyloan.dev/mine\n");
    let list = run(world, "alice", &["list", "-A", "-o", "json"])
        .await
        .json();
    assert_eq!(list["items"][0]["metadata"]["name"], "mine");
    let others = run(world, "mallory", &["list"]).await;
    assert!(
        others.err.contains("You have no requests in team-a"),
        "{}",
        others.err
    );
    let theirs = world.ask("mallory", Ask::item("db password")).await;
    world.until_active(&theirs).await;
    let own = run(world, "alice", &["list", "-o", "name"]).await.done();
    assert_eq!(own.lines().count(), 1, "{own}");
    let everyone = run(world, "mallory", &["list", "--everyone"]).await.done();
    assert!(everyone.contains("alice@example.com"), "{everyone}");
}

async fn explanations_are_for_people_and_programs(world: &World) {
    let told = run(world, "alice", &["explain", "mine"]).await.done();
    for words in [
        "Active\n",
        "oncall  chosen",
        "Link     number 1, issued",
        "LinkIssued",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
    assert!(!told.contains("https://"), "{told}");
    let both = run(world, "alice", &["explain", "mine", "-o", "json"])
        .await
        .json();
    assert_eq!(both["grant"]["status"]["phase"], "Active");
}

async fn a_link_that_has_ended_is_followed_by_the_next_one(world: &World, first: &str) {
    world.advance(Duration::from_secs(61 * 60)).await;
    let mine = grant(world, "mine").await;
    let ended =
        |g: &AccessGrant| world::condition(g, ACTIVE).is_some_and(|c| c.reason == "LinkEnded");
    world.until(&mine, ended).await;
    let opened = run(world, "alice", &["open", "mine", "-o", "json"]).await;
    assert!(
        opened.err.contains("Asked for the next link."),
        "{}",
        opened.err
    );
    let opened = opened.json();
    assert_eq!(opened["sequence"], 2);
    let url = opened["url"].as_str().expect("a link");
    assert_ne!(url, first);
    world
        .control
        .open(url, "alice@example.com")
        .await
        .expect("it opens");
}

async fn what_cannot_be_lent_is_explained(world: &World) {
    let line = ["request", "Infra/no such item", PROD, "--name=typo"];
    let refused = run(world, "alice", &line).await.failed(3);
    assert!(
        refused.contains("typo did not come to a loan. Failed: "),
        "{refused}"
    );
    assert!(
        refused.contains("kubectl keyloan explain typo"),
        "{refused}"
    );
    let refused = run(world, "alice", &["open", "typo"]).await.failed(3);
    assert!(refused.contains("typo has no link"), "{refused}");
}

async fn rules_are_exported_as_code(world: &World) {
    let export = |form: &'static str| async move {
        let line = ["export", "flow", "oncall", "--as", form, "-n", PLATFORM];
        ended(start(world, "admin", &line), &line).await.done()
    };
    let yaml: Value = serde_saphyr::from_str(&export("yaml").await).expect("YAML");
    assert_eq!(
        yaml["metadata"],
        json!({ "name": "oncall", "namespace": PLATFORM })
    );
    assert!(yaml.get("status").is_none());
    keyloan_cluster::apply_yaml(&world.admin, &export("yaml").await)
        .await
        .expect("it can be applied again");
    let helm: Value = serde_saphyr::from_str(&export("helm").await).expect("YAML");
    assert_eq!(helm["flows"][0]["spec"], yaml["spec"]);
    let terraform: Value = hcl::from_str(&export("terraform").await).expect("HCL");
    let manifest = &terraform["resource"]["kubernetes_manifest"]["accessflow_oncall"]["manifest"];
    assert_eq!(*manifest, yaml, "and ${{HOST}} is no template");
}

async fn nothing_hangs_and_each_failure_says_what_to_do(world: &World) {
    for (who, line, code, words) in [
        (
            "alice",
            &["request", "--integration=prod"][..],
            2,
            "name the item as VAULT/ITEM",
        ),
        ("alice", &["request", "Infra/db"], 2, "pass --integration"),
        (
            "alice",
            &["request", "db", PROD],
            2,
            "write it as VAULT/ITEM",
        ),
        (
            "alice",
            &["request", "Infra/db", PROD, "--duration=10m"],
            2,
            "the shortest loan is 1h",
        ),
        (
            "alice",
            &["request", "Infra/db", PROD, "--name=Not A Name"],
            1,
            "it breaks a rule: metadata.name",
        ),
        (
            "alice",
            &["request", "Infra/db", PROD, "--recipient=ALICE"],
            1,
            "spec.recipients[0]",
        ),
        (
            "alice",
            &["request", "Infra/db password", PROD, "--name=mine"],
            1,
            "there is one of this name",
        ),
        (
            "alice",
            &["explain", "nothing"],
            1,
            "AccessGrant team-a/nothing: it does not exist",
        ),
        (
            "alice",
            &["approve", "mine"],
            1,
            "mine does not wait for approval. Active",
        ),
        ("alice", &["deny", "mine"], 1, "too late to deny it"),
        (
            "alice",
            &["export", "flow", "oncall"],
            1,
            "you have no right to",
        ),
    ] {
        let told = run(world, who, line).await.failed(code);
        assert!(told.contains(words), "{line:?}: {told}");
    }
    let line = ["list", "--context", "elsewhere"];
    let told = ended(start(world, "alice", &line), &line).await.failed(1);
    assert!(told.contains("elsewhere"), "{told}");
    let line = ["request", "Infra/db", PROD, "-n", "nowhere"];
    let told = ended(start(world, "alice", &line), &line).await.failed(1);
    assert!(told.contains("there is no namespace \"nowhere\""), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_decide_about_a_request() {
    let world = World::without_operator().await;
    keyloan_cluster::apply_yaml(&world.admin, RIGHTS)
        .await
        .expect("applied");
    let operator = operator(&world).await;

    let line = [
        "request",
        "Infra/db password",
        PROD,
        "--name=db",
        "--no-wait",
        "-o",
        "json",
    ];
    let asked = run(&world, "alice", &line).await.json();
    assert_eq!(asked["spec"]["requester"]["username"], "alice@example.com");
    let line = ["approve", "db", "--yes"];
    let told = run(&world, "carol", &line).await.failed(1);
    assert!(told.contains("nobody has looked at it yet"), "{told}");
    say_status(&operator, "db", waits()).await;

    what_waits_for_whom(&world).await;
    an_approver_sees_the_terms_first(&world).await;
    an_approval_is_about_these_terms(&world, &operator).await;
    a_decision_without_effect_is_a_failure(&world, &operator).await;
    who_waits_is_told_that_somebody_said_no(&world, &operator).await;
    who_may_revoke_says_so(&world).await;
    a_cluster_that_stamps_nobody_takes_their_word_and_checks_it(&world).await;
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
        "By           alice@example.com (engineering)",
        "For          4h",
        "Links to     alice@example.com",
    ] {
        assert!(unasked.out.contains(words), "{words} in {}", unasked.out);
    }
    let told = unasked.failed(2);
    assert!(told.contains("pass --yes"), "{told}");
    assert!(decisions(world).await.is_empty());
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
    let spec = made.spec;
    assert_eq!(
        (spec.decision, Some(spec.grant_uid)),
        (Decision::Approve, uid.clone())
    );
    assert_eq!(spec.digest.as_deref(), Some("sha256:d1"));
    assert_eq!(spec.max_duration, Some(Span("2h".into())));
    assert_eq!(spec.reason.as_deref(), Some("on call"));
    assert_eq!(
        spec.approver.expect("stamped").username,
        "carol@example.com"
    );
    let owner = &made.metadata.owner_references.expect("an owner")[0];
    assert_eq!(
        (owner.kind.as_str(), Some(&owner.uid)),
        ("AccessGrant", uid.as_ref())
    );

    let listed = run(world, "carol", &["list", "--for-me", "-o", "name"])
        .await
        .done();
    assert_eq!(listed, "", "she has decided");
    let counted = json!({ "decisions": [{
        "user": "carol@example.com", "decision": "Approve", "group": "security", "at": "2026-11-23T12:00:00Z",
    }] });
    say_status(operator, "db", counted).await;
    let told = ended(approving, &line).await.done();
    assert!(
        told.contains("It counts. db: Pending: 1 more of security"),
        "{told}"
    );
}

async fn a_decision_without_effect_is_a_failure(world: &World, operator: &Client) {
    let line = ["approve", "db", "--yes", "-n", TEAM];
    let approving = start(world, "bob", &line);
    let made = until_decided(world, 2).await;
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
        told.contains("note: bob@example.com is in none of the groups that decide"),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "the decision {name} has no effect: bob@example.com is in none"
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
    let asking = start(world, "alice", &line);
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    let there = |g: Option<&AccessGrant>| g.is_some();
    kube::runtime::wait::await_condition(grants, "root", there)
        .await
        .expect("watched");
    say_status(operator, "root", waits()).await;
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
        told.contains("Pending: 1 more of security"),
        "it says what it waits for: {told}"
    );
    assert!(
        told.contains("Denied: carol@example.com said no: use the replica"),
        "{told}"
    );
    let told = run(world, "carol", &["deny", "root"]).await.failed(1);
    assert!(told.contains("root is over already"), "{told}");
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
    assert!(told.contains("has not been counted in time"), "{told}");
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
    let signed = json!({ "username": "alice@example.com", "groups": ["engineering"] });
    assert_eq!(asked["spec"]["requester"], signed);
    let line = ["deny", "unstamped", "--no-wait", "-o", "json"];
    let denied = run(world, "erin", &line).await.json();
    assert_eq!(
        denied["spec"]["approver"],
        json!({ "username": "erin@example.com" })
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
    for kind in ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"] {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let plural = format!("{}s", kind.kind.to_lowercase()).replace("policys", "policies");
        let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
        let api: Api<DynamicObject> = Api::all_with(world.admin.clone(), &resource);
        api.delete_collection(&Default::default(), &ListParams::default())
            .await
            .expect("deleted");
    }
    // In force no more, once an unsigned request is refused.
    let grants: Api<AccessGrant> =
        Api::namespaced(world.cluster.client("alice").await.expect("a client"), TEAM);
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
        while grants.create(&dry_run, &unsigned).await.is_ok() {
            tokio::task::yield_now().await;
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
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), made)
        .await
        .expect("a decision")
}
