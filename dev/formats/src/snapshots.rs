//! The messages in the snapshots of the notifiers' tests.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

/// The beginnings of the snapshots' names.
const SLACK: &str = "keyloan__notify__slack__";
const TEAMS: &str = "keyloan__notify__teams__";

/// The messages for Slack and for Teams, by the names of their snapshots.
pub fn messages(folder: &Path) -> Result<Value> {
    let (mut slack, mut teams) = (Map::new(), Map::new());
    let files =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for file in files {
        let path = file?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let of = match &*name {
            name if name.starts_with(SLACK) => &mut slack,
            name if name.starts_with(TEAMS) => &mut teams,
            _ => continue,
        };
        let text = fs::read_to_string(&path)?;
        let message = message(&text).with_context(|| format!("in {}", path.display()))?;
        of.insert(name, message);
    }
    ensure!(
        !slack.is_empty() && !teams.is_empty(),
        "no snapshots in {}",
        folder.display()
    );
    Ok(serde_json::json!({ "slack": slack, "teams": teams }))
}

/// What comes after the header of a snapshot.
fn message(snapshot: &str) -> Result<Value> {
    let (_, rest) = snapshot.split_once("---\n").context("no header")?;
    let (_, message) = rest.split_once("---\n").context("a header without end")?;
    Ok(serde_json::from_str(message)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshots_of_this_repository_have_messages() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/notify/snapshots");
        let messages = messages(&folder).unwrap();
        for of in ["slack", "teams"] {
            assert!(messages[of].as_object().unwrap().len() >= 2, "{of}");
        }
    }
}
