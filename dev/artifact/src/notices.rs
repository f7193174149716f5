//! The licenses of everything that is in a program, with the notices that they require.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::commit::workspace;
use crate::crates::{Crate, crates_of};
use crate::parts::parts_of;
use crate::program::Program;
use crate::target::Target;
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

/// Texts by the names of their files. `LICENSE` is Keyloan's own.
pub async fn collect(
    program: &Program,
    target: Target,
    zig: &Zig,
) -> Result<BTreeMap<&'static str, String>> {
    let mut texts = BTreeMap::from([
        ("LICENSE", read(&workspace().join("LICENSE"))?),
        ("crates.txt", of_crates(&crates_of(program, target).await?)?),
    ]);
    for part in parts_of(target, zig).await? {
        texts.insert(part.notice, read(&part.text)?);
    }
    Ok(texts)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The crates of others in a program, and each text of theirs once.
fn of_crates(crates: &[Crate]) -> Result<String> {
    let of_others = crates.iter().filter(|known| known.checksum.is_some());
    let mut all = Vec::new();
    for known in of_others {
        let license = known.license.as_deref().unwrap_or("see the text below");
        let name = format!("{} ({license})", known.id());
        all.push((name, texts_in(&known.folder)?));
    }
    Ok(listed(&all))
}

fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder);
    let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = Vec::new();
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
    use crate::program::OPERATOR;

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
    async fn the_crates_of_others_are_listed_with_their_texts() {
        let crates = crates_of(&OPERATOR, Target::LinuxAmd64).await.unwrap();
        let text = of_crates(&crates).unwrap();
        let (list, texts) = text.split_once("====").unwrap();
        let has = |name: &str| {
            list.lines()
                .any(|line| line.starts_with(&format!("{name} ")))
        };
        assert!(has("wasmtime") && !has("keyloan"), "{list}");
        assert!(texts.contains("Apache License"));
    }
}
