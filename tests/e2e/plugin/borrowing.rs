//! Asking, listing, opening, explaining, exporting: with a real operator, by a flow that asks for nobody's approval.

use std::time::Duration;

use keyloan::api::*;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::process::Command;

use super::finding;
use super::program::{PROGRAM, ended, run, start};
use super::watching;
use crate::world::{self, Ask, PLATFORM, TEAM, World};

const PROD: &str = "--integration=keyloan/prod";

pub async fn alice_borrows_an_item_and_opens_it(world: &World) {
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
    let asked = run(world, "alice", &line).await;
    assert!(
        asked
            .err
            .contains("Requested db password (vault Infra) as mine."),
        "{}",
        asked.err
    );
    let told = asked.done();
    assert!(told.starts_with("mine is active."), "{told}");
    assert!(told.contains("Loan ends      in "), "{told}");

    let url = run(world, "alice", &["open", "mine", "-o", "url"])
        .await
        .done();
    let seen = world
        .control
        .open(url.trim(), "alice@example.com")
        .await
        .expect("it opens");
    assert_eq!(seen.title, "db password");
    let opened = run(world, "alice", &["open", "mine"]).await.done();
    assert!(opened.starts_with(url.trim()), "the link comes first");
    assert!(opened.contains("Access      psql -h ${HOST}"), "{opened}");

    let refused = run(world, "mallory", &["open", "mine"]).await.failed(1);
    assert!(
        refused.contains("only alice@example.com can read the link of mine"),
        "{refused}"
    );

    a_right_that_is_not_known_yet_is_waited_for(world).await;
    a_list_shows_ones_own(world).await;
    watching::a_watch_tells_what_changes(world).await;
    watching::who_decides_sees_what_comes_and_what_waits_no_more(world).await;
    kubectl_finds_it(world).await;
    finding::kubeconfigs_are_read_as_kubectl_reads_them(world).await;
    finding::proxies_are_taken_as_kubectl_takes_them(world).await;
    finding::somebody_acts_as_another_as_with_kubectl(world).await;
    explanations_are_for_people_and_programs(world).await;
    a_link_that_has_ended_is_followed_by_the_next_one(world, url.trim()).await;
    what_cannot_be_lent_is_explained(world).await;
    rules_are_exported_as_code(world).await;
    nothing_hangs_and_each_failure_says_what_to_do(world).await;
}

/// The operator's last step comes just before the loan is active, and the API server takes a moment to know of it.
async fn a_right_that_is_not_known_yet_is_waited_for(world: &World) {
    let mine = grant(world, "mine").await;
    let binding = world.unbind_link(&mine).await;
    let line = ["open", "mine", "-o", "url", "-n", TEAM];
    let opening = start(world, "alice", &line);
    let name = link_name(&mine.uid().expect("one"));
    world.until_refused("get", "secrets", &name).await;
    world.bind_link(binding).await;
    ended(opening, &line).await.done();
}

async fn a_list_shows_ones_own(world: &World) {
    let listed = run(world, "alice", &["list"]).await.done();
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME  ITEM"), "{listed}");
    assert!(lines[1].contains("Active"), "{listed}");
    assert_eq!(lines.len(), 2, "{listed}");
    let names = run(world, "alice", &["list", "-o", "name"]).await.done();
    assert_eq!(names, "accessgrant.keyloan.dev/mine\n");
    let everywhere = ["list", "--everyone", "-A", "-o", "json"];
    let list = run(world, "carol", &everywhere).await.json();
    assert_eq!(list["items"][0]["metadata"]["name"], "mine");
    let elsewhere = run(world, "alice", &["list", "-A"]).await.failed(1);
    assert!(
        elsewhere.contains("cannot list accessgrants in all namespaces: permission denied"),
        "she has her role in one: {elsewhere}"
    );
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
        opened.err.contains("Requested the next link."),
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
    assert!(refused.contains("typo was not granted: "), "{refused}");
    assert!(
        refused.contains("kubectl keyloan explain typo -n team-a --kubeconfig "),
        "{refused}"
    );
    let refused = run(world, "alice", &["open", "typo"]).await.failed(3);
    assert!(refused.contains("typo has no link"), "{refused}");
}

async fn rules_are_exported_as_code(world: &World) {
    let export = |form: &'static [&'static str]| async move {
        let line = [&["export", "flow", "oncall", "-n", PLATFORM], form].concat();
        ended(start(world, "dave", &line), &line).await
    };
    let manifest = export(&[]).await.done();
    let yaml: Value = serde_saphyr::from_str(&manifest).expect("YAML");
    assert_eq!(
        yaml["metadata"],
        json!({ "name": "oncall", "namespace": PLATFORM })
    );
    assert!(yaml.get("status").is_none());
    let dave = world.cluster.client("dave").await.expect("a client");
    keyloan_cluster::apply_yaml(&dave, &manifest)
        .await
        .expect("it can be applied again");
    assert_eq!(export(&["-o", "json"]).await.json(), yaml);
    let helm = export(&["--format", "helm"]).await.done();
    let helm: Value = serde_saphyr::from_str(&helm).expect("YAML");
    assert_eq!(helm["flows"]["oncall"]["spec"], yaml["spec"]);
    assert_eq!(
        export(&["--format", "helm", "-o", "json"]).await.json(),
        helm
    );
    let terraform = export(&["--format", "terraform"]).await.done();
    let terraform: Value = hcl::from_str(&terraform).expect("HCL");
    let manifest = &terraform["resource"]["kubernetes_manifest"]["accessflow_oncall"]["manifest"];
    assert_eq!(*manifest, yaml, "and ${{HOST}} is no template");
    let told = export(&["--format", "terraform", "-o", "yaml"])
        .await
        .failed(2);
    assert!(told.contains("Terraform does not read YAML"), "{told}");
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
            "use the form VAULT/ITEM",
        ),
        (
            "alice",
            &["request", "Infra/db", PROD, "--duration=10m"],
            2,
            "the minimum duration is 1h",
        ),
        (
            "alice",
            &["request", "Infra/db", PROD, "--name=Not A Name"],
            1,
            "it is invalid: metadata.name",
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
            "an object with this name already exists",
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
            "mine is not waiting for approval. It is active.",
        ),
        (
            "alice",
            &["deny", "mine"],
            1,
            "a running loan, which cannot be denied",
        ),
        (
            "alice",
            &["export", "flow", "oncall"],
            1,
            "permission denied",
        ),
    ] {
        let told = run(world, who, line).await.failed(code);
        assert!(told.contains(words), "{line:?}: {told}");
    }
    let line = ["list", "--context", "elsewhere"];
    let told = ended(start(world, "alice", &line), &line).await.failed(1);
    assert!(told.contains("elsewhere"), "{told}");
    let line = ["request", "Infra/db", PROD, "-n", "nowhere"];
    for (who, words) in [
        ("admin", "namespace \"nowhere\" does not exist"),
        ("alice", "for the role keyloan-requester"),
    ] {
        let told = ended(start(world, who, &line), &line).await.failed(1);
        assert!(told.contains(words), "{who}: {told}");
    }
}

async fn grant(world: &World, name: &str) -> AccessGrant {
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    grants.get(name).await.expect("there")
}

async fn kubectl_finds_it(world: &World) {
    let folder = std::path::Path::new(PROGRAM).parent().expect("a folder");
    let output = Command::new(world.cluster.binaries().kubectl())
        .args(["keyloan", "version", "-o", "json"])
        .env("PATH", folder)
        .env("KUBECONFIG", world.cluster.kubeconfig("alice"))
        .output()
        .await
        .expect("kubectl");
    let versions: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(versions["plugin"], env!("CARGO_PKG_VERSION"));
    assert_eq!(versions["installed"], true);
    assert!(
        versions["kubernetes"]
            .as_str()
            .expect("text")
            .starts_with("v1.")
    );
}
