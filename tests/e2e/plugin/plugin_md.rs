//! docs/plugin.md shows what the program really prints, and all that it can do.

use super::page::{Page, Program};
use super::program::{ended, run_shown, start};
use crate::world::World;

const PAGE: Page = Page {
    name: "docs/plugin.md",
    text: include_str!("../../../docs/plugin.md"),
};

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

pub async fn shows_what_is_printed(world: &World) {
    for flow in [
        include_str!("../../../examples/flow-automatic.yaml"),
        BY_APPROVAL,
    ] {
        keyloan_cluster::apply_yaml(&world.admin, flow)
            .await
            .expect("applied");
    }
    for flow in ["oncall", "infra"] {
        world.until_flow_is_known(flow).await;
    }
    every_command_is_explained(world).await;
    for shown in PAGE.commands() {
        assert_eq!(shown.program, Program::Plugin, "{shown:?}");
        PAGE.compare(&shown, &run_shown(world, &shown).await);
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
    let headings = PAGE.text.lines().filter(|line| line.starts_with("## "));
    let headings: Vec<_> = headings.collect();
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
            PAGE.text.contains(&format!("\n| {code} | ")),
            "docs/plugin.md: exit code {code}"
        );
    }
}
