//! docs/config-chart.md shows what helm and the plugin print: its value files and commands are used as they stand there.

use std::path::Path;

use keyloan_cluster::Helm;

use super::page::{Page, Program, Shown};
use super::program::{Ran, run_shown};
use crate::world::World;

const PAGE: Page = Page {
    name: "docs/config-chart.md",
    text: include_str!("../../../docs/config-chart.md"),
};

pub async fn shows_what_is_printed(world: &World) {
    let helm = Helm::find().await.expect("helm");
    let by_hand = include_str!("../../../examples/flow-automatic.yaml");
    let applied = keyloan_cluster::apply_yaml(&world.admin, by_hand).await;
    applied.expect("applied");
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    for mut shown in PAGE.commands() {
        let target = redirected(&mut shown);
        let mut ran = match shown.program {
            Program::Helm => run_helm(world, &helm, folder.path(), &shown).await,
            Program::Plugin => run_shown(world, &shown).await,
            Program::Kubectl => panic!("the page runs no kubectl"),
        };
        assert_eq!(ran.code, 0, "{shown:?}: {ran:?}");
        if let Some(file) = target {
            std::fs::write(folder.path().join(file), ran.out).expect("written");
            ran.out = String::new();
        }
        PAGE.compare(&shown, &ran);
    }
}

/// The value files of the page: blocks that begin with their name.
fn write_files(folder: &Path) {
    let blocks = PAGE.text.split("```yaml\n# ").skip(1);
    let blocks: Vec<_> = blocks.filter_map(|b| b.split("```").next()).collect();
    assert!(blocks.len() >= 2, "{blocks:?}");
    for block in blocks {
        let (name, text) = block.split_once('\n').expect("a name");
        std::fs::write(folder.join(name), text).expect("written");
    }
}

/// Takes `> FILE` off the end of a command.
fn redirected(shown: &mut Shown) -> Option<String> {
    let at = shown.line.iter().position(|word| word == ">")?;
    let file = shown.line.pop();
    shown.line.truncate(at);
    file
}

/// The tests run in the checkout; the page's files are in this folder.
async fn run_helm(world: &World, helm: &Helm, folder: &Path, shown: &Shown) -> Ran {
    let in_folder = |word: &String| match folder.join(word) {
        path if path.is_file() => path.display().to_string(),
        _ => word.clone(),
    };
    let mut line: Vec<_> = shown.line.iter().map(in_folder).collect();
    let kubeconfig = world.cluster.kubeconfig(&shown.who);
    line.push(format!("--kubeconfig={}", kubeconfig.display()));
    let line: Vec<_> = line.iter().map(String::as_str).collect();
    let said = helm.run(&line).await.unwrap_or_else(|e| panic!("{e}"));
    Ran {
        code: 0,
        out: said,
        err: String::new(),
    }
}
