//! How this repository writes: plain sentences, without the forms in `prose/banned.txt`.

use std::path::{Path, PathBuf};

use regex::Regex;

use crate::source::{Piece, pieces};

const BANNED: &str = include_str!("prose/banned.txt");

/// Folders and files that people write. Generated files follow from these.
const WRITTEN: [&str; 12] = [
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs",
    "examples",
    "crds",
    "charts",
    "src",
    "dev",
    "tests",
];

/// A form that is not used.
struct Form {
    /// It is banned from comments, too.
    everywhere: bool,
    pattern: Regex,
    better: &'static str,
}

/// Something to read: a comment, a message, a paragraph.
struct Passage {
    line: usize,
    /// Users read it.
    is_text: bool,
    words: String,
}

fn forms() -> Vec<Form> {
    let lines = BANNED
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let form = |line: &'static str| {
        let (place, rest) = line.split_once(' ').unwrap();
        let (pattern, better) = rest.split_once("=>").unwrap();
        assert!(["all", "text"].contains(&place), "{line}");
        Form {
            everywhere: place == "all",
            pattern: Regex::new(pattern.trim()).unwrap(),
            better: better.trim(),
        }
    };
    lines.map(form).collect()
}

fn found(path: &str, passages: &[Passage], forms: &[Form]) -> Vec<String> {
    let mut found = Vec::new();
    for passage in passages {
        for form in forms
            .iter()
            .filter(|form| form.everywhere || passage.is_text)
        {
            if let Some(hit) = form.pattern.find(&passage.words) {
                let (line, hit, better) = (passage.line, hit.as_str(), form.better);
                found.push(format!("{path}:{line}: {hit:?}: write {better}"));
            }
        }
    }
    found
}

#[test]
fn no_sentence_has_a_banned_form() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (forms, mut hits) = (forms(), Vec::new());
    for written in WRITTEN {
        for file in files(&root.join(written)) {
            let path = file.strip_prefix(root).unwrap().display().to_string();
            let text = std::fs::read_to_string(&file).unwrap();
            let passages = match file.extension().and_then(|e| e.to_str()) {
                Some("rs") => rust(&text, path.starts_with("src/api/")),
                Some("md") => markdown(&text),
                _ => lines(&text),
            };
            hits.extend(found(&path, &passages, &forms));
        }
    }
    assert!(hits.is_empty(), "{} hits\n{}", hits.len(), hits.join("\n"));
}

#[test]
fn banned_forms_are_found_where_they_hold() {
    let source = "/// Looks anew.\n/// And again.\nfn f() { g(\"who asks \\\n    so long as\", 'a', r#\"as which\"#); } // What is it.";
    let hits = found("f.rs", &rust(source, false), &forms());
    let hits: Vec<_> = hits
        .iter()
        .map(|hit| hit.split(": write").next().unwrap())
        .collect();
    assert_eq!(
        hits,
        [
            "f.rs:1: \"anew\"",
            "f.rs:3: \"so long as\"",
            "f.rs:4: \"as which\"",
        ]
    );
    let hits = found(
        "a.md",
        &markdown("One.\n\nIt is so\nlong as needed.\n"),
        &forms(),
    );
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert!(hits[0].starts_with("a.md:3: \"so long as\""), "{hits:?}");
}

/// Below a folder, what this test reads: neither itself nor what is recorded.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut below: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    below.sort();
    let is_read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        let of_words = ["rs", "md", "yaml", "yml", "txt", "toml", "tpl"];
        match path.is_dir() {
            true => !["snapshots", "prose", "target"].contains(&&*name),
            false => {
                let ends = path.extension().and_then(|e| e.to_str());
                name != "prose.rs" && ends.is_some_and(|e| of_words.contains(&e))
            }
        }
    };
    below.retain(is_read);
    below.iter().flat_map(|path| files(path)).collect()
}

/// The comments and string literals of a Rust file.
fn rust(source: &str, comments_are_text: bool) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut comment_at = 0;
    for (line, piece) in pieces(source) {
        match piece {
            Piece::Code(_) => {}
            Piece::Comment(comment) => {
                let words = comment.trim_start_matches(['/', '!']).trim();
                match passages.last_mut() {
                    // A comment goes on in the next line.
                    Some(last) if comment_at > 0 && comment_at + 1 == line => {
                        last.words = format!("{} {words}", last.words);
                    }
                    _ => passages.push(Passage {
                        line,
                        is_text: comments_are_text,
                        words: words.to_owned(),
                    }),
                }
                comment_at = line;
            }
            Piece::Literal(words) => {
                passages.push(Passage {
                    line,
                    is_text: true,
                    words,
                });
                comment_at = 0;
            }
        }
    }
    passages
}

/// The paragraphs, list items and table rows of a page.
fn markdown(page: &str) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut goes_on = false;
    for (number, line) in page.lines().enumerate() {
        let begins = ["* ", "- ", "|", "#", "```", "> "];
        let words = line.trim();
        if words.is_empty() {
            goes_on = false;
        } else if goes_on && !begins.iter().any(|mark| words.starts_with(mark)) {
            let last = passages.last_mut().unwrap();
            last.words = format!("{} {words}", last.words);
        } else {
            passages.push(Passage {
                line: number + 1,
                is_text: true,
                words: words
                    .trim_start_matches(['*', '-', '#', '>', ' '])
                    .to_owned(),
            });
            goes_on = true;
        }
    }
    passages
}

fn lines(text: &str) -> Vec<Passage> {
    let line = |(number, line): (usize, &str)| Passage {
        line: number + 1,
        is_text: true,
        words: line.trim().trim_start_matches('#').trim().to_owned(),
    };
    text.lines().enumerate().map(line).collect()
}
