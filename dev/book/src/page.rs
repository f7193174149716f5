//! One page of Markdown: its links, the anchors of its headings, and its blocks of code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The comment above a block of commands that no test runs; the reason and `-->` follow it.
const NOT_RUN: &str = "<!-- not run:";

/// The schemes that lead to another site.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];

/// A page, as it is in the repository.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path from the repository's folder, with slashes, such as `docs/install.md`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A link or an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The number of its line, from 1.
    pub line: usize,
    /// Its target, as written.
    pub target: String,
}

/// The language of a block that is indented instead of fenced.
pub const INDENTED: &str = "indented";

/// A block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of its first line, from 1.
    pub line: usize,
    /// The word after the fence, such as `sh`; or [`INDENTED`].
    pub language: String,
    /// The code.
    pub text: String,
    /// Why no test runs it, from the comment above it.
    pub not_run: Option<String>,
}

impl Page {
    /// Reads a page of the repository.
    pub fn read(repository: &Path, path: &str) -> Result<Self> {
        let file = repository.join(path);
        let text = std::fs::read_to_string(&file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// All links and images, in the order of the page.
    pub fn links(&self) -> Vec<Link> {
        let target = |(event, range): (Event<'_>, std::ops::Range<usize>)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(Link {
                line: self.line(range.start),
                target: dest_url.into_string(),
            }),
            _ => None,
        };
        self.events().filter_map(target).collect()
    }

    /// The file in the repository to which a link on this page leads, and the anchor in it; `None`
    /// if the link leads to another site.
    pub fn resolve(&self, target: &str) -> Option<(String, Option<String>)> {
        if SCHEMES.iter().any(|scheme| target.starts_with(scheme)) {
            return None;
        }
        let (path, anchor) = match target.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (target, None),
        };
        if path.is_empty() {
            return Some((self.path.clone(), anchor));
        }
        let mut parts: Vec<&str> = self.path.split('/').collect();
        parts.pop();
        for part in path.split('/') {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        Some((parts.join("/"), anchor))
    }

    /// The anchors of the headings, as GitHub and mdBook make them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let (mut anchors, mut heading) = (BTreeSet::new(), None::<String>);
        let mut times = BTreeMap::<String, usize>::new();
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let seen = times.entry(anchor.clone()).or_default();
                    anchors.insert(match *seen {
                        0 => anchor,
                        n => format!("{anchor}-{n}"),
                    });
                    *seen += 1;
                }
                _ => {}
            }
        }
        anchors
    }

    /// All blocks of code, in the order of the page.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let (mut mark, mut open) = (None, false);
        for (event, range) in self.events() {
            match event {
                Event::Html(html) => mark = not_run(&html).or(mark),
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.into_string(),
                        CodeBlockKind::Indented => INDENTED.to_owned(),
                    };
                    open = true;
                    blocks.push(Block {
                        line: self.line(range.start),
                        language,
                        text: String::new(),
                        not_run: mark.take(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => open = false,
                Event::Text(text) if open => {
                    if let Some(block) = blocks.last_mut() {
                        block.text.push_str(&text);
                    }
                }
                // A mark belongs to the very next block.
                Event::Start(Tag::HtmlBlock) => {}
                Event::Start(_) => mark = None,
                _ => {}
            }
        }
        blocks
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, std::ops::Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter()
    }

    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }
}

/// The reason in a comment that marks a block.
fn not_run(html: &str) -> Option<String> {
    let reason = html.trim().strip_prefix(NOT_RUN)?;
    Some(reason.trim_end_matches("-->").trim().to_owned())
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page {
            path: "docs/a.md".into(),
            text: text.into(),
        }
    }

    #[test]
    fn links_and_images_are_found_and_code_is_none() {
        let page =
            page("See [b](b.md#c-d)\nand ![p](p.svg), `[no](no.md)`.\n\n| [t](t.md) |\n|---|\n");
        let links = page.links();
        let found: Vec<_> = links.iter().map(|l| (l.line, l.target.as_str())).collect();
        assert_eq!(found, [(1, "b.md#c-d"), (2, "p.svg"), (4, "t.md")]);
    }

    #[test]
    fn an_anchor_is_the_heading_in_lower_case_with_dashes() {
        let page = page("# Plain\n## approve, deny and `revoke`: decide\n## Plain\n");
        let anchors: Vec<_> = page.anchors().into_iter().collect();
        assert_eq!(
            anchors,
            ["approve-deny-and-revoke-decide", "plain", "plain-1"]
        );
    }

    #[test]
    fn a_mark_belongs_to_the_next_block_alone() {
        let page = page(
            "<!-- not run: needs kind -->\n\n```sh\nkind create cluster\n```\n\n```sh\ntrue\n```\n\
             <!-- not run: lost -->\n\nText.\n\n```sh\nfalse\n```\n",
        );
        let blocks = page.blocks();
        let found: Vec<_> = blocks
            .iter()
            .map(|b| (b.line, b.text.as_str(), b.not_run.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                (3, "kind create cluster\n", Some("needs kind")),
                (7, "true\n", None),
                (14, "false\n", None),
            ]
        );
    }
}
