//! docs/recipes.md: each manifest is accepted, and each command prints what the page shows.

use std::path::Path;
use std::time::Duration;

use keyloan::api::{AccessFlow, AccessGrant, OnePasswordIntegration};
use keyloan_book::{Block, Page};
use keyloan_cluster::{apply_yaml, wait_until};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tempfile::NamedTempFile;

use super::people;
use super::program::has_been_looked_at;
use super::shell::{Shell, compare, kubeconfig_in, kubeconfig_of};
use crate::world::{PLATFORM, TEAM, World};

const PAGE: &str = "docs/recipes.md";

/// A command of the page, and what it prints.
struct Shown {
    who: String,
    command: String,
    printed: String,
}

pub async fn are_what_happens() {
    let world = people::world().await;
    let mut shell = Shell::new(&world.cluster, None);
    let token = world.control.token("lender").await.expect("a token");
    shell.set("OP_TOKEN", &token);
    let integration = include_str!("../../../examples/integration.yaml");
    let integration = integration.replace("ops_REPLACE_ME", &token);
    let applied = apply_yaml(&world.admin, &integration).await;
    applied.expect("applied");
    world.until_integration("prod", "True").await;
    let page = Page::read(Path::new(env!("CARGO_MANIFEST_DIR")), PAGE).expect("a page");
    for block in page.blocks().iter().filter(|block| block.not_run.is_none()) {
        match block.language.as_str() {
            "yaml" => shell.put(file_name(block), &block.text),
            "console" => {
                for shown in commands(block) {
                    run(&world, &shell, &shown).await;
                }
            }
            other => panic!("{PAGE}:{}: how is {other} run?", block.line),
        }
    }
}

/// The first line of a manifest names its file.
fn file_name(block: &Block) -> &str {
    let line = block.text.lines().next();
    let name = line.and_then(|line| line.strip_prefix("# "));
    name.unwrap_or_else(|| panic!("{PAGE}:{}: no file name", block.line))
}

fn commands(block: &Block) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for line in block.text.lines() {
        match line.split_once("$ ") {
            Some((who, command)) if who.bytes().all(|b| b.is_ascii_lowercase()) => {
                all.push(Shown {
                    who: who.to_owned(),
                    command: command.to_owned(),
                    printed: String::new(),
                });
            }
            _ => {
                let last = all.last_mut().expect("a command first");
                last.printed += &format!("{line}\n");
            }
        }
    }
    all
}

async fn run(world: &World, shell: &Shell, shown: &Shown) {
    let kubeconfig = kubeconfig(world, &shown.who);
    let right = match shown.command.split(' ').nth(2) {
        Some("request") => Some("accessgrants"),
        Some("approve") => Some("accessdecisions"),
        _ => None,
    };
    if let Some(what) = right {
        until_allowed(shell, kubeconfig.path(), &shown.who, what).await;
    }
    let ran = shell.run(kubeconfig.path(), &shown.command).await;
    compare(&format!("{PAGE}: {}", shown.command), &shown.printed, &ran);
    // A reader is slower than the operator.
    until_rules_are_known(world).await;
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), TEAM);
    let all = grants.list(&ListParams::default()).await;
    for grant in all.expect("readable") {
        world.until(&grant, has_been_looked_at).await;
    }
}

/// People as the page introduces them; the administrator impersonates those who cannot sign in here.
fn kubeconfig(world: &World, who: &str) -> NamedTempFile {
    match who {
        "dora" => kubeconfig_of(&world.cluster, "dora@example.com", &["db-team"], TEAM),
        "release" => {
            let groups = ["system:serviceaccounts", "system:serviceaccounts:team-a"];
            let name = "system:serviceaccount:team-a:release";
            kubeconfig_of(&world.cluster, name, &groups, TEAM)
        }
        who => kubeconfig_in(&world.cluster, who, TEAM),
    }
}

/// The API server sees a RoleBinding a moment after it was made.
async fn until_allowed(shell: &Shell, kubeconfig: &Path, who: &str, what: &str) {
    let question = format!("kubectl auth can-i create {what}");
    let allowed = async || (shell.run(kubeconfig, &question).await.code == 0).then_some(());
    let waited = wait_until("a right", Duration::from_secs(60), allowed).await;
    waited.unwrap_or_else(|_| panic!("{who} may not create {what}"));
}

/// The operator has seen the integration and all flows as they are now.
async fn until_rules_are_known(world: &World) {
    let integrations: Api<OnePasswordIntegration> = Api::namespaced(world.admin.clone(), PLATFORM);
    let known = async || {
        let prod = integrations.get("prod").await.expect("readable");
        let seen = prod.status.and_then(|status| status.observed_generation);
        (seen == prod.metadata.generation).then_some(())
    };
    let waited = wait_until("the integration", Duration::from_secs(60), known).await;
    waited.expect("the operator looks at it");
    let flows: Api<AccessFlow> = Api::namespaced(world.admin.clone(), PLATFORM);
    for flow in flows.list(&ListParams::default()).await.expect("readable") {
        world.until_flow_is_known(&flow.name_any()).await;
    }
}
