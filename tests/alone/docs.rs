//! The documentation against the code: what can drift apart is compared.

use std::collections::BTreeSet;
use std::path::Path;

use keyloan::plan::reasons::{FlowReason, GrantReason, IntegrationReason, NotifierReason};
use keyloan_book::Page;

const PAGE: &str = include_str!("../../docs/reasons.md");
const README: &str = include_str!("../../README.md");

/// Where the demo's steps are named.
const DEMO: [&str; 2] = [
    include_str!("../../dev/tasks/src/demo/set_up.rs"),
    include_str!("../../dev/tasks/src/demo/story.rs"),
];

/// The pages whose commands `tests/e2e/plugin/` runs, and in which kind of block they are.
const RUN: [(&str, &str); 9] = [
    ("README.md", "console"),
    ("docs/backup-upgrade.md", "sh"),
    ("docs/config-chart.md", "console"),
    ("docs/identity.md", "sh"),
    ("docs/platforms.md", "sh"),
    ("docs/plugin.md", "console"),
    ("docs/quick-start.md", "sh"),
    ("docs/recipes.md", "console"),
    ("docs/troubleshooting.md", "sh"),
];

/// The languages of blocks with commands. An indented block has none, so its commands would be
/// overlooked.
const COMMANDS: [&str; 5] = ["sh", "console", "bash", "shell", keyloan_book::INDENTED];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The book, and the page that leads to it.
fn pages() -> Vec<Page> {
    let mut pages = keyloan_book::chapters(root()).unwrap();
    pages.push(Page::read(root(), "README.md").unwrap());
    pages
}

/// The first cells of the table under a heading.
fn on_page(heading: &str) -> BTreeSet<&'static str> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let reasons: BTreeSet<_> = rows.iter().copied().collect();
    assert_eq!(
        reasons.len(),
        rows.len(),
        "{heading}: a reason is explained twice"
    );
    reasons
}

#[test]
fn every_reason_is_explained_and_no_other() {
    let grant: BTreeSet<_> = GrantReason::ALL.iter().map(|r| r.as_str()).collect();
    let integration: BTreeSet<_> = IntegrationReason::ALL.iter().map(|r| r.as_str()).collect();
    let flow: BTreeSet<_> = FlowReason::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(grant, on_page("AccessGrant"));
    assert_eq!(integration, on_page("OnePasswordIntegration"));
    let notifier: BTreeSet<_> = NotifierReason::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(flow, on_page("AccessFlow"));
    assert_eq!(notifier, on_page("AccessNotifier"));
}

/// What the demo prints besides is on no page word for word; the rest of the README is run by another test.
#[test]
fn the_readme_names_steps_that_the_demo_has_in_their_order() {
    let (_, demo) = README.split_once("$ cargo xtask demo\n").unwrap();
    let (demo, _) = demo.split_once("```").unwrap();
    let steps = demo.lines().filter_map(|line| line.strip_prefix("  ✓ "));
    let names = steps.map(|step| step.rsplit_once("   ").unwrap().0.trim());
    let sources = DEMO.concat();
    let literal = |name: &str| format!("\"{}\"", name.replace('"', "\\\""));
    let places: Vec<_> = names
        .map(|name| {
            sources
                .find(&literal(name))
                .unwrap_or_else(|| panic!("the demo has no step: {name}"))
        })
        .collect();
    assert!(places.len() > 5 && places.is_sorted(), "{places:?}");
}

#[test]
fn the_readme_quotes_the_policy_that_refuses_mallory() {
    const POLICIES: &str = include_str!("../../charts/keyloan-crds/templates/policy-identity.yaml");
    let refused = README
        .lines()
        .find_map(|line| line.split_once("denied request: "));
    let (_, message) = refused.unwrap();
    assert!(POLICIES.contains(&format!("message: \"{message}\"")));
}

#[test]
fn every_link_leads_somewhere() {
    let broken = keyloan_book::broken_links(root()).unwrap();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_book() {
    let chapters = keyloan_book::chapters(root()).unwrap().into_iter();
    let chapters: BTreeSet<_> = chapters.map(|page| page.path).collect();
    let files = std::fs::read_dir(root().join("docs")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md");
    let names: BTreeSet<_> = names.map(|name| format!("docs/{name}")).collect();
    assert_eq!(chapters, names, "docs/SUMMARY.md lists every page of docs/");
}

#[test]
fn every_command_is_run_by_a_test_or_marked_with_the_reason() {
    let (mut neither, mut run) = (Vec::new(), BTreeSet::new());
    for page in pages() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.path, block.line);
            let in_run = RUN.iter().find(|r| **r == (&*page.path, &*block.language));
            match (&block.not_run, in_run) {
                (Some(why), _) => assert!(why.contains(' '), "{place}: give the reason"),
                (None, Some((path, _))) => drop(run.insert(*path)),
                (None, None) if COMMANDS.contains(&&*block.language) => {
                    neither.push(place);
                }
                (None, None) => {}
            }
        }
    }
    assert_eq!(
        neither, [""; 0],
        "write <!-- not run: the reason --> above, or have a test run the page"
    );
    assert_eq!(
        run,
        RUN.map(|(path, _)| path).into(),
        "these have commands to run"
    );
    let tests = std::fs::read_dir(root().join("tests/e2e/plugin")).unwrap();
    let tests = tests.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let tests = tests.collect::<String>();
    for (path, _) in RUN {
        assert!(
            tests.contains(&format!("\"{path}\"")),
            "no test names {path}"
        );
    }
}
