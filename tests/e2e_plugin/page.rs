//! docs/plugin.md shows what the program really prints: the page's commands are run in their order, by the people in its prompts.

use super::program::{Ran, ended, start};
use super::world::{TEAM, World};

const PAGE: &str = include_str!("../../docs/plugin.md");

/// Anything in the vault, when security agrees.
const BY_APPROVAL: &str = r#"
apiVersion: keyloan.dev/v1alpha1
kind: AccessFlow
metadata: {name: infra, namespace: keyloan}
spec:
  integration: prod
  namespaces: {from: All}
  requesters: [{kind: Group, name: engineering}]
  items: {include: [{vault: Infra}]}
  grant: {maxDuration: 8h, defaultDuration: 4h}
  approval:
    mode: AnyOf
    groups: [{name: security, approvers: [{kind: Group, name: security}]}]
"#;

/// One command of the page, and what the page says it prints.
struct Shown {
    who: String,
    line: Vec<String>,
    printed: Vec<String>,
}

pub async fn shows_what_is_printed(world: &World) {
    for flow in [
        include_str!("../../examples/flow-automatic.yaml"),
        BY_APPROVAL,
    ] {
        keyloan_cluster::apply_yaml(&world.admin, flow)
            .await
            .expect("applied");
    }
    every_command_is_explained(world).await;
    for shown in commands() {
        let mut line: Vec<&str> = shown.line.iter().map(String::as_str).collect();
        // The people's contexts have this namespace; the test's kubeconfigs have none.
        if !line.contains(&"-n") && !line.contains(&"completion") {
            line.extend(["-n", TEAM]);
        }
        let ran = ended(start(world, &shown.who, &line), &line).await;
        compare(&shown, &ran);
    }
}

/// Each command of the help is in a heading, and each exit code in the table.
async fn every_command_is_explained(world: &World) {
    let help = ended(start(world, "alice", &["--help"]), &["--help"]).await;
    let help = help.done();
    let section = |name: &str| {
        let (_, section) = help.split_once(&format!("{name}:\n")).expect(name);
        let lines = section.lines().take_while(|line| !line.is_empty());
        let words = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>()
    };
    let headings: Vec<_> = PAGE
        .lines()
        .filter(|line| line.starts_with("## "))
        .collect();
    for command in section("Commands").into_iter().filter(|c| *c != "help") {
        let told = headings
            .iter()
            .any(|h| h.split([' ', ',', ':']).any(|word| word == command));
        assert!(told, "docs/plugin.md has no section on {command}");
    }
    let codes = section("Exit codes");
    assert_eq!(codes.len(), 5);
    for code in codes {
        assert!(
            PAGE.contains(&format!("\n| {code} | ")),
            "docs/plugin.md: exit code {code}"
        );
    }
}

/// Every line of the page was printed, in this order; and every line of the result is on the page.
fn compare(shown: &Shown, ran: &Ran) {
    let lines = |text: &str| {
        text.lines()
            .map(steady)
            .filter(|l| !l.is_empty())
            .collect::<Vec<_>>()
    };
    let (out, err) = (lines(&ran.out), lines(&ran.err));
    let page: Vec<_> = shown
        .printed
        .iter()
        .map(|l| steady(l))
        .filter(|l| !l.is_empty())
        .collect();
    let on_page: Vec<_> = page
        .iter()
        .filter(|line| out.contains(line))
        .cloned()
        .collect();
    let strange: Vec<_> = page
        .iter()
        .filter(|line| !out.contains(line) && !err.contains(line))
        .collect();
    assert!(
        strange.is_empty() && on_page == out,
        "docs/plugin.md, {:?}: not printed: {strange:#?}\nprinted:\n{}\n{}",
        shown.line,
        ran.out,
        ran.err
    );
}

/// The commands in the page's blocks, each after a prompt such as `alice$`.
fn commands() -> Vec<Shown> {
    let blocks = PAGE.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
    let mut all: Vec<Shown> = Vec::new();
    for line in lines {
        match line.split_once("$ kubectl keyloan ") {
            Some((who, command)) => all.push(Shown {
                who: who.to_owned(),
                line: shell_words::split(command).expect("quoted"),
                printed: Vec::new(),
            }),
            None => all
                .last_mut()
                .expect("a command first")
                .printed
                .push(line.to_owned()),
        }
    }
    all
}

/// A line without what differs from run to run: times, links, names that the API server makes up; and without the width of columns.
fn steady(line: &str) -> String {
    let mut words: Vec<String> = line.split_whitespace().map(word).collect();
    // "3h 59m" is one length.
    words.dedup_by(|a, b| a == "TIME" && b == "TIME");
    let line = words.join(" ");
    ["in TIME", "TIME ago", "now"]
        .iter()
        .fold(line, |line, word| {
            line.replace(&format!("{word} (DATE"), "WHEN (DATE")
        })
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| "(),:;".contains(c));
    let steady = if is_time(bare) {
        "TIME".to_owned()
    } else if bare.len() == 10 && bare.starts_with("20") && bare.matches('-').count() == 2 {
        "DATE".to_owned()
    } else if bare.len() == 5 && bare.as_bytes()[2] == b':' {
        "CLOCK".to_owned()
    } else if bare.len() == 20 && bare.starts_with("20") && bare.ends_with('Z') {
        "STAMP".to_owned()
    } else if bare.starts_with("v1.") {
        "VERSION".to_owned()
    } else if bare.contains("/s#") {
        "LINK".to_owned()
    } else if let Some((start, end)) = bare.rsplit_once('-')
        && end.trim_end_matches('.').len() == 5
        && ["approve", "deny", "revoke", "password"]
            .iter()
            .any(|verb| start.ends_with(verb))
    {
        format!("{start}-RANDOM")
    } else if is_uid(bare.strip_prefix("keyloan-link-").unwrap_or(bare)) {
        "UID".to_owned()
    } else {
        return word.to_owned();
    };
    word.replace(bare, &steady)
}

fn is_time(word: &str) -> bool {
    let number = word.strip_suffix(['s', 'm', 'h', 'd']);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_uid(word: &str) -> bool {
    word.len() == 36 && word.matches('-').count() == 4
}
