//! The documentation against the code: what can drift apart is compared.

use std::collections::BTreeSet;
use std::path::Path;

use keyloan::plan::reasons::{FlowReason, GrantReason, IntegrationReason};

const PAGE: &str = include_str!("../../docs/reasons.md");
const README: &str = include_str!("../../README.md");

/// Where the demo's steps are named.
const DEMO: [&str; 2] = [
    include_str!("../../dev/tasks/src/demo/set_up.rs"),
    include_str!("../../dev/tasks/src/demo/story.rs"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
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
    assert_eq!(flow, on_page("AccessFlow"));
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
