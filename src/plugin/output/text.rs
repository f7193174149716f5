//! What people read, laid out: sentences, facts and tables.
//!
//! Nothing gets to a person but through here, and each sentence and cell is made [`visible`]: other people's words are in their place, and
//! nowhere else. How wide lines are is known only when they are printed.

use std::fmt::{Arguments, Display, Formatter};

use super::columns;
use super::visible;

/// Something to read.
#[derive(Clone, Debug, Default)]
pub struct Text {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// Rows of cells, of which those from one on are shown.
    Columns { rows: Vec<Vec<String>>, from: usize },
    /// Another text, further to the right.
    Indented { by: usize, text: Text },
    /// An empty line.
    Gap,
}

/// A table as kubectl prints it: a heading in capitals, columns two blanks apart.
pub fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Text {
    let heading = heading.iter().map(|h| (*h).to_owned()).collect();
    columns([heading].into_iter().chain(rows), 0)
}

/// Facts, each with its name, and beside it what is to be said. What is empty is left out.
pub fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> Text {
    let said = facts.into_iter().filter(|(_, what)| !what.is_empty());
    columns(said.map(|(name, what)| vec![name.to_owned(), what]), 0)
}

/// Texts under their headings, an empty line between two. What is empty is left out.
pub fn sections<'a>(sections: impl IntoIterator<Item = (&'a str, Text)>) -> Text {
    let said = sections.into_iter().filter(|(_, text)| !text.is_empty());
    let shown = said.map(|(heading, text)| match heading {
        "" => text,
        heading => Text::from(heading).and(text.indented(2)),
    });
    shown.reduce(Text::and_apart).unwrap_or_default()
}

fn columns(rows: impl Iterator<Item = Vec<String>>, from: usize) -> Text {
    let shown = |row: Vec<String>| row.iter().map(|cell| visible(cell)).collect();
    let rows: Vec<_> = rows.map(shown).collect();
    match rows.is_empty() {
        true => Text::default(),
        false => Part::Columns { rows, from }.into(),
    }
}

impl Text {
    /// Of a table just the last row, in the table's columns.
    pub fn last_row(mut self) -> Self {
        if let Some(Part::Columns { rows, from }) = self.parts.last_mut() {
            *from = rows.len().saturating_sub(1);
        }
        self
    }

    /// The other text below this one.
    pub fn and(mut self, other: impl Into<Text>) -> Self {
        self.parts.extend(other.into().parts);
        self
    }

    /// The other text below this one, after an empty line.
    pub fn and_apart(self, other: impl Into<Text>) -> Self {
        self.and_a_gap().and(other)
    }

    /// An empty line below.
    pub fn and_a_gap(self) -> Self {
        self.and(Part::Gap)
    }

    /// The text further to the right.
    pub fn indented(self, by: usize) -> Self {
        Part::Indented { by, text: self }.into()
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Its lines, none wider than this.
    pub fn lines(&self, width: Option<usize>) -> Vec<String> {
        let of = |part: &Part| match part {
            Part::Columns { rows, from } => columns::lines(rows, *from, width),
            Part::Gap => vec![String::new()],
            Part::Indented { by, text } => {
                let lines = text.lines(width.map(|width| width.saturating_sub(*by)));
                let indented = |line: &String| format!("{:by$}{line}", "");
                lines.iter().map(indented).collect()
            }
        };
        self.parts.iter().flat_map(of).collect()
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
        columns([vec![sentence.to_owned()]].into_iter(), 0)
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

/// In lines as long as they are.
impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines(None).join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_forges_a_line_by_what_they_write() {
        let said = [
            (
                "Why",
                format!("lag\n\u{1b}[AFor  1h\nFor  1h{:60}For  1h", ""),
            ),
            ("For", "30d".to_owned()),
        ];
        let shown = facts(said).lines(Some(30)).join("\n");
        insta::assert_snapshot!(shown, @r"
        Why  lag ⏎ \u{1b}[AFor 1h ⏎
             For 1h For 1h
        For  30d
        ");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let said = [("Item", "db".to_owned()), ("Flow", String::new())];
        assert_eq!(facts(said).to_string(), "Item  db");
    }

    #[test]
    fn sections_stand_apart_and_below_their_headings() {
        let text = sections([
            ("", Text::from("Active")),
            ("Flows", facts([("oncall", "chosen".into())])),
            ("Loan", Text::default()),
        ]);
        assert_eq!(text.to_string(), "Active\n\nFlows\n  oncall  chosen");
    }
}
