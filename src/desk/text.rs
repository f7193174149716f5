//! Structured text: sentences, facts, tables and sections, for a user interface to lay out.
//!
//! Each sentence and cell is made [`visible`], so that text by other people cannot imitate ours in
//! any user interface.

use std::fmt::Arguments;

use super::visible::visible;

/// A text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    parts: Vec<Part>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// One sentence.
    Sentence(String),
    /// Facts: each a name and a value.
    Facts(Vec<[String; 2]>),
    /// Rows below their heading.
    Table {
        /// The names of the columns.
        heading: Vec<String>,
        /// The cells of each row.
        rows: Vec<Vec<String>>,
    },
    /// A text with its heading.
    Section(String, Text),
    /// An empty line.
    Gap,
}

/// The name of a fact and its value, which is empty if unknown.
pub type Fact = (&'static str, String);

/// A table.
pub fn table(heading: &[&str], rows: Vec<Vec<String>>) -> Text {
    let cells = |row: Vec<String>| row.iter().map(|cell| visible(cell)).collect();
    Text::from(Part::Table {
        heading: heading.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.into_iter().map(cells).collect(),
    })
}

/// A table, or an empty text if there are no rows.
pub fn table_unless_empty(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Text {
    let rows: Vec<_> = rows.collect();
    match rows.is_empty() {
        true => Text::default(),
        false => table(heading, rows),
    }
}

/// Facts, without those whose value is empty.
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

/// Texts with their headings, without the empty ones.
pub fn sections<'a>(sections: impl IntoIterator<Item = (&'a str, Text)>) -> Text {
    let known = sections.into_iter().filter(|(_, text)| !text.is_empty());
    let sections = known.map(|(heading, text)| match heading {
        "" => text,
        heading => Part::Section(heading.to_owned(), text).into(),
    });
    sections.reduce(Text::and_apart).unwrap_or_default()
}

impl Text {
    /// Its parts, in their order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Appends another text.
    pub fn and(mut self, other: impl Into<Text>) -> Self {
        self.parts.extend(other.into().parts);
        self
    }

    /// Appends another text after an empty line.
    pub fn and_apart(self, other: impl Into<Text>) -> Self {
        self.and(Part::Gap).and(other)
    }

    /// Whether it has no parts.
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
