//! The ledger as an auditor reads it: with the role `keyloan-auditor`, from a real API server, which selects the records.

use std::collections::{BTreeMap, BTreeSet};

use keyloan::api::AccessRecord;
use keyloan_cluster::apply_yaml;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;

use super::people::until_allowed;
use super::program::{Ran, ended, start};
use crate::world::{PLATFORM, TEAM, World};

const RECORDS: &str = include_str!("../../fixtures/ledger/records.json");
const ANSWERS: &str = include_str!("../../fixtures/ledger/answers.json");

/// Their answers depend on the present time, which no argument sets: src/plugin/questions.rs asks them at the ledger's own time.
const BY_NOW: [&str; 4] = ["--since 7d", "--only late", "--only open", "--only running"];

const AUDITOR: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: audit, namespace: keyloan}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keyloan-auditor}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: erin@example.com}]
";

pub async fn an_auditor_gets_the_answers_that_the_page_promises(world: &World) {
    apply_yaml(&world.admin, AUDITOR).await.expect("applied");
    until_allowed(world, "erin", "list", "accessrecords", PLATFORM).await;
    let records: Api<AccessRecord> = Api::namespaced(world.as_operator().await, PLATFORM);
    let ledger: Vec<AccessRecord> = serde_json::from_str(RECORDS).expect("records");
    for record in &ledger {
        let created = records.create(&PostParams::default(), record).await;
        created.expect("the operator may write records");
    }

    let answers: BTreeMap<String, Vec<String>> = serde_json::from_str(ANSWERS).expect("answers");
    let by_now = |command: &&String| !BY_NOW.iter().any(|words| command.contains(words));
    let asked: Vec<_> = answers.keys().filter(by_now).collect();
    assert_eq!(asked.len(), answers.len() - BY_NOW.len());
    for command in asked {
        let words = shell_words::split(command).expect("words");
        let line: Vec<_> = words.iter().skip(2).map(String::as_str).collect();
        let told = erin(world, &[&line[..], &["-o", "json"]].concat()).await;
        assert_eq!(
            Some(&answer(&told.json())),
            answers.get(command),
            "{command}"
        );
    }

    // By one list for each day, and the records of older releases, which name no day.
    let days = [
        "report",
        "--since",
        "2026-11-13",
        "--until",
        "2026-11-14",
        "-o",
        "json",
    ];
    let told = erin(world, &days).await.json();
    assert_eq!(answer(&told), ["carol-old", "dave-ignored"]);
    // By the id, under whatever title.
    let by_id = [
        "report",
        "--item",
        "j7k3pfrzdkuxgl3qpyqn4wmsbe",
        "-o",
        "json",
    ];
    let told = erin(world, &by_id).await.json();
    assert_eq!(answer(&told), ["bob-deleted", "dave-late", "erin-lost"]);

    let csv = erin(world, &["report", "-o", "csv"]).await.done();
    assert_eq!(csv.lines().count(), 1 + ledger.len());
    let names: BTreeSet<_> = ledger.iter().map(|r| &r.spec.grant.name).collect();
    let table = erin(world, &["report"]).await.done();
    assert!(
        names.iter().all(|name| table.contains(name.as_str())),
        "{table}"
    );

    // Where nothing may be read, and where nothing is.
    let line = ["report", "-n", TEAM];
    let told = ended(start(world, "erin", &line), &line).await.failed(1);
    assert!(
        told.contains("keyloan-auditor") && told.contains("namespaces of integrations"),
        "{told}"
    );
    let none = erin(
        world,
        &["report", "--outcome", "failed", "--item", "db password"],
    )
    .await;
    assert!(
        none.err.contains("No record in keyloan matches."),
        "{}",
        none.err
    );
}

async fn erin(world: &World, line: &[&str]) -> Ran {
    let line = [line, &["-n", PLATFORM]].concat();
    ended(start(world, "erin", &line), &line).await
}

/// As tests/fixtures/ledger/answers.json has it: the requests, or the items with the people.
fn answer(told: &Value) -> Vec<String> {
    let one = |row: &Value| match row["people"].as_object() {
        Some(people) => {
            let people: Vec<_> = people.keys().map(String::as_str).collect();
            format!(
                "{}: {}",
                row["item"].as_str().expect("a title"),
                people.join(", ")
            )
        }
        None => row["grant"]["name"].as_str().expect("a name").to_owned(),
    };
    let mut answer: Vec<_> = told.as_array().expect("an array").iter().map(one).collect();
    answer.sort();
    answer
}
