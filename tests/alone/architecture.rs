//! What ARCHITECTURE.md says of the rooms of `src/`: which may know which, who alone knows HTTP, Kubernetes and time, and what is built without what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use keyloan_shape::Shape;

use crate::source::{Piece, pieces};

/// Each room, and the rooms that it may know besides itself.
const KNOWS: [(&str, &[&str]); 13] = [
    ("api", &[]),
    ("plan", &["api"]),
    ("desk", &["api", "plan"]),
    ("network", &[]),
    ("onepassword", &["network"]),
    ("notify", &["api", "desk", "network"]),
    ("telemetry", &[]),
    ("runtime", &["telemetry"]),
    (
        "cluster",
        &["api", "desk", "network", "plan", "runtime", "telemetry"],
    ),
    ("manifests", &["api"]),
    (
        "controllers",
        &[
            "api",
            "cluster",
            "desk",
            "manifests",
            "notify",
            "onepassword",
            "plan",
            "runtime",
            "telemetry",
        ],
    ),
    (
        "operator",
        &[
            "cluster",
            "controllers",
            "manifests",
            "network",
            "notify",
            "onepassword",
            "runtime",
            "telemetry",
        ],
    ),
    (
        "plugin",
        &["api", "cluster", "desk", "manifests", "runtime"],
    ),
];

/// Words of the code that only these files may use.
const ONLY_IN: [(&str, &[&str]); 8] = [
    ("HttpClient", &["network/", "onepassword/"]),
    ("lettre", &["notify/"]),
    // Asks a SOCKS proxy with a password; connects to the world outside of the cluster; asks a running
    // operator; reads the requests of every page, within bounds.
    (
        "hyper_util",
        &[
            "check_health.rs",
            "cluster/connect.rs",
            "network/",
            "runtime/http_server.rs",
        ],
    ),
    (
        "hyper::",
        &[
            "check_health.rs",
            "network/",
            "notify/",
            "onepassword/core/",
            "runtime/http_server.rs",
        ],
    ),
    // Routes.
    ("axum", &["operator/health.rs", "runtime/http_server.rs"]),
    ("Client::try_from", &["cluster/"]),
    ("Api::namespaced", &["cluster/"]),
    ("Api::all", &["cluster/"]),
];

/// What a decision has no use for.
const IMPURE: [&str; 9] = [
    "async ", ".await", "tokio", "tracing", "std::fs", "std::io", "std::net", "std::env", "::now()",
];

/// What belongs to one way of showing what the desk says.
const SHOWS: [&str; 5] = [
    "clap",
    "dialoguer",
    "indicatif",
    "terminal_size",
    "unicode_width",
];

#[test]
fn rooms_know_only_those_below_them() {
    let rooms = KNOWS.map(|(room, _)| room);
    assert_eq!(
        BTreeSet::from(rooms.map(str::to_owned)),
        folders(),
        "each folder of src/ has a line here"
    );
    let mut strangers = Vec::new();
    for (room, known) in KNOWS {
        for (path, code) in sources(room) {
            for other in rooms.iter().filter(|r| **r != room && !known.contains(r)) {
                if code.contains(&format!("crate::{other}")) {
                    strangers.push(format!("{path} knows {other}"));
                }
            }
        }
    }
    assert_eq!(strangers, [""; 0], "dependencies point one way");
}

#[test]
fn the_list_of_rooms_is_itself_without_circles() {
    let knows = BTreeMap::from(KNOWS);
    let mut settled = BTreeSet::new();
    while settled.len() < knows.len() {
        let next = knows.iter().find(|(room, known)| {
            !settled.contains(*room) && known.iter().all(|k| settled.contains(k))
        });
        let (room, _) = next.expect("a room that needs only those that are settled");
        settled.insert(*room);
    }
}

/// A row names a file by its whole path, or by the last part of it.
#[test]
fn every_file_that_the_architecture_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = include_str!("../../ARCHITECTURE.md");
    let sources = sources("").into_iter();
    let sources: Vec<_> = sources.map(|(path, _)| format!("/{path}")).collect();
    let mut missing = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let is_path =
            |name: &&str| (name.ends_with(".rs") || name.ends_with('/')) && !name.contains('*');
        for name in row.split('`').skip(1).step_by(2).filter(is_path) {
            let part = format!("/{name}");
            let is_there = root.join(name).exists()
                || sources.iter().any(|path| match name.ends_with('/') {
                    true => path.contains(&part),
                    false => path.ends_with(&part),
                });
            if !is_there {
                missing.push(format!("{name}, in {row}"));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

/// `cargo xtask shape` shows them.
#[test]
fn no_files_know_each_other_in_a_circle() {
    let shape = Shape::read(&src(), "keyloan").expect("the source");
    assert_eq!(shape.circles(), []);
}

#[test]
fn http_and_kubernetes_have_one_room_each() {
    let mut strangers = Vec::new();
    for (word, places) in ONLY_IN {
        let users: Vec<_> = sources("")
            .into_iter()
            .filter(|(_, code)| code.contains(word))
            .collect();
        assert!(!users.is_empty(), "nobody uses {word}: take its line out");
        for (path, _) in users {
            if !places.iter().any(|place| path.starts_with(place)) {
                strangers.push(format!("{path} uses {word}"));
            }
        }
    }
    assert_eq!(strangers, [""; 0]);
}

#[test]
fn decisions_are_pure() {
    let mut impure = Vec::new();
    for (room, others) in [("plan", &[][..]), ("desk", &SHOWS)] {
        for (path, code) in sources(room) {
            let words = IMPURE.iter().chain(others);
            let words = words.filter(|word| code.contains(**word));
            impure.extend(words.map(|word| format!("{path} has {word}")));
        }
    }
    assert_eq!(impure, [""; 0]);
}

#[test]
fn the_plugin_and_a_page_are_built_without_the_operator_and_the_desk_without_all_of_them() {
    let plugin = crates(&["--features", "plugin"]);
    for operators in ["wasmtime", "axum"] {
        assert!(!plugin.contains(operators), "{operators}");
    }
    let page = crates(&["--features", "http-server"]);
    assert!(page.contains("axum"));
    for others in ["wasmtime", "dialoguer"] {
        assert!(!page.contains(others), "{others}");
    }
    let desk = crates(&[]);
    for shells in ["tokio", "hyper", "kube-client", "clap"] {
        assert!(plugin.contains(shells), "{shells}");
        assert!(!desk.contains(shells), "{shells}");
    }
}

/// The crates that are built into this one with these features.
fn crates(features: &[&str]) -> BTreeSet<String> {
    let line = "tree --locked --offline --package keyloan --no-default-features --edges normal --prefix none";
    let output = Command::new(env!("CARGO"))
        .args(line.split(' '))
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// The code of a room, without comments and strings, by its path in `src/`.
fn sources(room: &str) -> Vec<(String, String)> {
    let src = src();
    let mut folders = vec![src.join(room)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((relative(&path, &src), code(&path)));
            }
        }
    }
    assert!(!found.is_empty(), "src/{room} holds no code");
    found
}

fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("readable");
    let pieces = pieces(&text).into_iter();
    let code = pieces.filter_map(|(_, piece)| match piece {
        Piece::Code(code) => Some(code),
        Piece::Comment(_) | Piece::Literal(_) => None,
    });
    code.collect()
}

fn folders() -> BTreeSet<String> {
    let src = src();
    let entries = std::fs::read_dir(&src).expect("readable");
    let folders = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir());
    // What is in bin/ are programs, which may know everything.
    folders
        .map(|path| relative(&path, &src))
        .filter(|room| room != "bin")
        .collect()
}

fn relative(path: &Path, base: &Path) -> String {
    let relative = path.strip_prefix(base).expect("below src");
    relative.display().to_string()
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
