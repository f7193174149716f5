//! The documentation against the code: what can drift apart is compared.

use std::collections::BTreeSet;

const REASONS: &str = include_str!("../../src/plan/reasons.rs");
const PAGE: &str = include_str!("../../docs/reasons.md");
const README: &str = include_str!("../../README.md");

/// Where the demo's steps are named.
const DEMO: [&str; 2] = [
    include_str!("../../dev/tasks/src/demo/set_up.rs"),
    include_str!("../../dev/tasks/src/demo/story.rs"),
];

/// The kinds, as the code's modules and the page's headings call them.
const KINDS: [(&str, &str); 3] = [
    ("grant", "AccessGrant"),
    ("integration", "OnePasswordIntegration"),
    ("flow", "AccessFlow"),
];

/// The values of all constants in a module of `reasons.rs`.
fn in_code(module: &str) -> BTreeSet<&'static str> {
    let (_, module) = REASONS.split_once(&format!("pub mod {module} {{")).unwrap();
    let (module, _) = module.split_once("\n}").unwrap();
    let constants = module.matches("pub const").count();
    let values: BTreeSet<_> = module.split('"').skip(1).step_by(2).collect();
    assert_eq!(
        values.len(),
        constants,
        "each constant has one value of its own"
    );
    values
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
    for (module, heading) in KINDS {
        assert_eq!(
            in_code(module),
            on_page(heading),
            "docs/reasons.md, {heading}"
        );
    }
    assert_eq!(REASONS.matches("\npub mod ").count(), KINDS.len());
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
