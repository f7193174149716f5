//! `cargo xtask messages`: every sentence that people read, to read them one after the other.
//!
//! They come from the string literals of `src/` and from the generated manifests of `crds/`, which
//! have the descriptions of fields, the messages of the schema's rules and those of the policies.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use keyloan_shape::Kind;

use crate::screen;
use crate::workspace;

/// Which sentences to list.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only the sentences of this kind; repeatable. Default: all but panics
    #[arg(long)]
    kind: Vec<Sort>,
}

/// What a sentence is, as a reader of the list chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
enum Sort {
    /// A condition or an event
    Status,
    /// The text of an error
    Error,
    /// A log line
    Log,
    /// The help of a command
    Help,
    /// A line that a command prints
    Output,
    /// Any other sentence of the operator, such as the help of a metric
    Other,
    /// The description of a field
    Field,
    /// The message of a rule of the schema
    Rule,
    /// The message of an admission policy
    Policy,
    /// The reason of a panic
    Panic,
}

/// A sentence, and where it stands.
struct Entry {
    place: String,
    sort: Sort,
    text: String,
}

/// Prints the list: place, kind and text, separated by tabs.
pub fn run(arguments: &Arguments) -> Result<()> {
    let is_asked = |sort: Sort| match arguments.kind.is_empty() {
        true => sort != Sort::Panic,
        false => arguments.kind.contains(&sort),
    };
    let folder = workspace::folder();
    let mut entries = in_source(&folder)?;
    entries.extend(in_manifests(&folder)?);
    let mut known = HashSet::new();
    for entry in entries.iter().filter(|entry| is_asked(entry.sort)) {
        // Types share descriptions and rules: each is listed where it stands first.
        if !known.insert((entry.sort, &entry.text)) {
            continue;
        }
        let sort = entry.sort.to_possible_value();
        let sort = sort.as_ref().map_or("", |value| value.get_name());
        screen::line(format_args!("{}\t{sort}\t{}", entry.place, entry.text));
    }
    Ok(())
}

fn in_source(folder: &Path) -> Result<Vec<Entry>> {
    let messages = keyloan_shape::messages(&folder.join("src"))?;
    // The literals there are expressions and messages of policies, which `crds/` has in one piece.
    let messages = messages.into_iter().filter(|message| {
        message.kind != Kind::Text || !message.file.starts_with("manifests/policies/")
    });
    let entry = |message: keyloan_shape::Message| Entry {
        place: format!("src/{}:{}", message.file, message.line),
        sort: sort(&message),
        text: message.text,
    };
    Ok(messages.map(entry).collect())
}

fn sort(message: &keyloan_shape::Message) -> Sort {
    let room = message.file.split_once('/').map_or("", |(room, _)| room);
    match (message.kind, room) {
        (Kind::Error, _) => Sort::Error,
        (Kind::Log, _) => Sort::Log,
        (Kind::Help, _) => Sort::Help,
        (Kind::Panic, _) => Sort::Panic,
        (Kind::Text, "plan" | "controllers") => Sort::Status,
        (Kind::Text, "desk" | "plugin") => Sort::Output,
        (Kind::Text, _) => Sort::Other,
    }
}

fn in_manifests(folder: &Path) -> Result<Vec<Entry>> {
    let crds = folder.join("crds");
    let files = std::fs::read_dir(&crds).with_context(|| format!("cannot list {}", crds.display()));
    let mut paths = Vec::new();
    for file in files? {
        paths.push(file?.path());
    }
    paths.sort();
    let mut entries = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        entries.extend(in_manifest(&name, &text));
    }
    Ok(entries)
}

/// The sentences of a manifest as `keyloan manifests` writes it: a value on the line of its key, or
/// a block below it.
fn in_manifest(name: &str, manifest: &str) -> Vec<Entry> {
    let is_policy = name.starts_with("policy-");
    let lines: Vec<_> = manifest.lines().collect();
    let mut entries = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        // A list's dash belongs to the indentation of the key after it.
        let key = line.trim_start_matches([' ', '-']);
        let indent = line.len() - key.len();
        let Some((key, value)) = key.split_once(": ") else {
            continue;
        };
        let sort = match key {
            "description" => Sort::Field,
            "message" | "messageExpression" if is_policy => Sort::Policy,
            "message" | "messageExpression" => Sort::Rule,
            _ => continue,
        };
        let below = lines[at + 1..].iter().take_while(|below| {
            below.trim().is_empty() || below.len() - below.trim_start().len() > indent
        });
        let text: String = match value {
            "|-" | "|" | ">-" => below.flat_map(|line| [line.trim(), " "]).collect(),
            value => unquoted(value),
        };
        entries.push(Entry {
            place: format!("crds/{name}:{}", at + 1),
            sort,
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
    entries
}

/// A value in the line of its key, without the quotes around it.
fn unquoted(value: &str) -> String {
    let within = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    within.map_or_else(|| value.to_owned(), |within| within.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_descriptions_and_messages() {
        let manifest = "\
description: |-
  The rules for
  borrowing items.
properties:
  suspend:
    description: Lends nothing while true.
    type: boolean
rules:
- message: \"say \\\"1h\\\"\"
  rule: self != ''
- message: |-
    must be
    a title
  rule: size(self) > 0
";
        let entries = in_manifest("accessflows.yaml", manifest);
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (entry.place.as_str(), entry.sort, entry.text.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (
                    "crds/accessflows.yaml:1",
                    Sort::Field,
                    "The rules for borrowing items."
                ),
                (
                    "crds/accessflows.yaml:6",
                    Sort::Field,
                    "Lends nothing while true."
                ),
                ("crds/accessflows.yaml:9", Sort::Rule, "say \"1h\""),
                ("crds/accessflows.yaml:11", Sort::Rule, "must be a title"),
            ]
        );
    }
}
