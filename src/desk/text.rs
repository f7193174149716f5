//! Something to read, as structure: sentences, facts and tables, below headings where there are several.
//!
//! Each sentence and cell is made [`visible`]: other people's words are in their place, and nowhere else, whoever shows them.

use std::fmt::Arguments;

use super::visible::visible;

/// Something to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    parts: Vec<Part>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// One sentence.
    Sentence(String),
    /// Facts: each one's name, and beside it what is to be said.
    Facts(Vec<[String; 2]>),
    /// Rows below their heading.
    Table {
        /// The columns' names.
        heading: Vec<String>,
        /// As many cells each.
        rows: Vec<Vec<String>>,
    },
    /// Another text below its own heading.
    Section(String, Text),
    /// Here something new begins.
    Gap,
}

/// A fact with its name; one of which nothing is known is empty.
pub type Fact = (&'static str, String);

/// A table.
pub fn table(heading: &[&str], rows: Vec<Vec<String>>) -> Text {
    let cells = |row: Vec<String>| row.iter().map(|cell| visible(cell)).collect();
    Text::from(Part::Table {
        heading: heading.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.into_iter().map(cells).collect(),
    })
}

/// A table, or nothing to read where it has no rows.
pub fn table_unless_empty(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Text {
    let rows: Vec<_> = rows.collect();
    match rows.is_empty() {
        true => Text::default(),
        false => table(heading, rows),
    }
}

/// Facts, without those of which nothing is known.
pub fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> Text {
    let known = facts.into_iter().filter(|(_, what)| !what.is_empty());
    let facts: Vec<_> = known
        .map(|(name, what)| [visible(name), visible(&what)])
        .collect();
    match facts.is_empty() {
        true => Text::default(),
        false => Part::Facts(facts).into(),
    }
}

/// Texts below their headings, without those that are empty.
pub fn sections<'a>(sections: impl IntoIterator<Item = (&'a str, Text)>) -> Text {
    let known = sections.into_iter().filter(|(_, text)| !text.is_empty());
    let sections = known.map(|(heading, text)| match heading {
        "" => text,
        heading => Part::Section(heading.to_owned(), text).into(),
    });
    sections.reduce(Text::and_apart).unwrap_or_default()
}

impl Text {
    /// Its parts, from the first to the last.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The other text below this one.
    pub fn and(mut self, other: impl Into<Text>) -> Self {
        self.parts.extend(other.into().parts);
        self
    }

    /// The other text below this one, after a gap.
    pub fn and_apart(self, other: impl Into<Text>) -> Self {
        self.and(Part::Gap).and(other)
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl From<Part> for Text {
    fn from(part: Part) -> Self {
        Self { parts: vec![part] }
    }
}

/// One sentence.
impl From<&str> for Text {
    fn from(sentence: &str) -> Self {
        Part::Sentence(visible(sentence)).into()
    }
}

/// One sentence.
impl From<String> for Text {
    fn from(sentence: String) -> Self {
        Self::from(sentence.as_str())
    }
}

/// One sentence.
impl From<Arguments<'_>> for Text {
    fn from(sentence: Arguments<'_>) -> Self {
        Self::from(sentence.to_string())
    }
}
