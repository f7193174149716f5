//! The program `keyloan-core`, as `cargo xtask core` and the demo start it.

use std::path::Path;
use std::process::{Command, Output};

use keyloan::onepassword::core::artifact;

fn run(arguments: &[&Path]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_keyloan-core"));
    program.args(arguments).output().expect("it starts")
}

fn printed(output: &Output) -> &Path {
    assert!(output.status.success(), "{output:?}");
    let path = std::str::from_utf8(&output.stdout).expect("UTF-8");
    Path::new(path.trim_end())
}

#[test]
fn it_prints_the_path_of_a_core_that_the_operator_can_load() {
    let output = run(&[]);
    assert!(artifact::load(printed(&output)).is_ok());
}

#[test]
fn it_writes_the_core_and_its_manifest_where_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("core.cwasm");
    assert_eq!(printed(&run(&[&out])), out);
    assert!(artifact::manifest_path(&out).exists());
    assert!(artifact::load(&out).is_ok());
}
