//! Output that is printed row by row, however many rows there are: CSV, and a JSON array.

use csv::{QuoteStyle, WriterBuilder};
use serde::Serialize;

use super::machine::{Structured, document};
use super::standard_output::put;
use crate::plugin::failure::Failure;

/// Prints one row of CSV. Each cell is in quotes, so that none is taken for several.
pub fn put_csv(cells: &[impl AsRef<str>]) -> Result<(), Failure> {
    put(csv_row(cells)?.trim_end_matches('\n'))
}

/// One row of CSV, with the end of its line.
pub fn csv_row(cells: &[impl AsRef<str>]) -> Result<String, Failure> {
    let unprintable = |error: String| Failure::new(format!("cannot print the row as CSV: {error}"));
    let mut writer = WriterBuilder::new()
        .quote_style(QuoteStyle::Always)
        .from_writer(Vec::new());
    let written = writer.write_record(cells.iter().map(AsRef::as_ref));
    written.map_err(|error| unprintable(error.to_string()))?;
    let row = writer.into_inner();
    let row = row.map_err(|error| unprintable(error.to_string()))?;
    String::from_utf8(row).map_err(|error| unprintable(error.to_string()))
}

/// A JSON array that is printed element by element. If the command fails in between, the array is
/// never closed, so nobody takes a part for the whole.
#[derive(Debug, Default)]
pub struct Array {
    begun: bool,
}

impl Array {
    /// Prints an element.
    pub fn push(&mut self, element: &impl Serialize) -> Result<(), Failure> {
        let before = if self.begun { "," } else { "[" };
        self.begun = true;
        put(format_args!(
            "{before}\n{}",
            document(element, Structured::Json)?
        ))
    }

    /// Prints the end. Returns whether there was any element.
    pub fn end(self) -> Result<bool, Failure> {
        put(if self.begun { "]" } else { "[]" })?;
        Ok(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_one_cell_whatever_is_in_it() {
        let cells = ["a,b", "say \"x\"", "line 1\nline 2", "c;d", ""];
        let row = csv_row(&cells).unwrap();
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).from_reader(row.as_bytes());
        let read: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(read, [csv::StringRecord::from(cells.to_vec())]);
    }
}
