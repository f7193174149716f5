//! The live check against the simulated service, where it must confirm every assumption that it
//! checks.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

use keyloan_simulator::{Account, Fault, FaultKind, Options, Simulator};

const SECRETS: [&str; 2] = ["correct-horse-battery-staple", "ops_"];

fn simulator() -> Simulator {
    let account = Account::parse(include_str!("../../simulator/account.example.yaml")).unwrap();
    Simulator::start(account, Options::default()).unwrap()
}

/// Runs the command, with its token if there is one.
async fn live(
    simulator: &Simulator,
    token: Option<String>,
    arguments: &[&str],
) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyloan-live"));
    command
        .args(arguments)
        .args(["--allow-origin", &simulator.origin()])
        .env_remove("KEYLOAN_LIVE_TOKEN")
        .env_remove("KEYLOAN_LIVE_REVOKED_TOKEN");
    if let Some(token) = token {
        command.env("KEYLOAN_LIVE_TOKEN", token);
    }
    run(command).await
}

async fn run(mut command: Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    for secret in SECRETS {
        let shown = text.contains(secret) && !text.contains("nothing was checked");
        assert!(!shown, "{secret} is printed:\n{text}");
    }
    (status.code(), text)
}

fn verdict<'a>(text: &'a str, id: &str) -> &'a str {
    let line = text
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == id));
    line.unwrap_or_else(|| panic!("nothing on {id}:\n{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_confirms_what_can_be_seen_and_makes_no_link() {
    let simulator = simulator();
    let token = simulator.control().token("lender").await.unwrap();
    let (code, text) = live(&simulator, Some(token), &[]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\n11 confirmed, 0 differ"), "{text}");
    assert!(verdict(&text, "share").starts_with("not checked"));
    assert!(
        !text.contains("db password"),
        "titles are printed only on request"
    );
    assert!(simulator.control().shares().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn told_so_it_shares_one_item_with_one_address() {
    let simulator = simulator();
    let token = simulator.control().token("lender").await.unwrap();
    let arguments = [
        "--item",
        "Infra/db password",
        "--share-with",
        "alice@example.com",
        "--yes",
        "--show",
    ];
    let (code, text) = live(&simulator, Some(token), &arguments).await;
    // The simulator's links lead to the simulator itself; only this differs.
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("\n13 confirmed, 1 differ"), "{text}");
    assert!(verdict(&text, "share-url").starts_with("DIFFERS"), "{text}");
    assert!(text.contains("    db password"), "{text}");
    assert_eq!(simulator.control().shares().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_yes_is_refused() {
    let simulator = simulator();
    let token = simulator.control().token("lender").await.unwrap();
    let arguments = [
        "--item",
        "Infra/db password",
        "--share-with",
        "alice@example.com",
    ];
    let (code, text) = live(&simulator, Some(token), &arguments).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--yes"), "{text}");
    assert!(simulator.control().shares().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_named_with_what_it_means() {
    let simulator = simulator();
    let token = simulator.control().token("lender").await.unwrap();
    let throttled = Fault::once(
        "GET /api/v1/vault/{vault}/items/overviews",
        FaultKind::rate_limited(Some(30)),
    );
    simulator.control().fault(throttled).await.unwrap();
    let (code, text) = live(&simulator, Some(token), &[]).await;
    assert_eq!(code, Some(1), "{text}");
    let line = verdict(&text, "item-list");
    assert!(
        line.starts_with("DIFFERS") && line.contains("429 (Retry-After 30 s)"),
        "{line}"
    );
    assert!(text.contains("\nitem-list: Keyloan assumes: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_looked_at_too() {
    let simulator = simulator();
    let control = simulator.control();
    let revoked = control.token("reader").await.unwrap();
    control.revoke_token("reader").await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyloan-live"));
    command
        .args(["--allow-origin", &simulator.origin()])
        .env("KEYLOAN_LIVE_TOKEN", control.token("lender").await.unwrap())
        .env("KEYLOAN_LIVE_REVOKED_TOKEN", revoked);
    let (code, text) = run(command).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        verdict(&text, "revoked-token").starts_with("confirmed"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_it_says_how_to_give_one() {
    let (code, text) = live(&simulator(), None, &[]).await;
    assert_eq!(code, Some(2));
    assert!(text.contains("read -rs KEYLOAN_LIVE_TOKEN"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_foreign_origin_is_refused() {
    let simulator = simulator();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyloan-live"));
    command.env(
        "KEYLOAN_LIVE_TOKEN",
        simulator.control().token("lender").await.unwrap(),
    );
    let (code, text) = run(command).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--allow-origin"), "{text}");
    assert_eq!(
        simulator.control().requests().await.unwrap().entries.len(),
        0
    );
}
