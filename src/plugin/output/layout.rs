//! Lays out text in lines that fit the terminal: rows of cells in columns two blanks apart, as in
//! kubectl's tables.

use unicode_width::UnicodeWidthChar as _;

use crate::desk::text::{Part, Text};

/// The blanks between two columns.
const GAP: usize = 2;

/// The minimum width of a column.
const NARROWEST: usize = 6;

/// The indentation of wrapped lines in the first column, so that only the start of a row is at the
/// edge.
const HANG: usize = 2;

/// The indentation below a heading.
const INDENT: usize = 2;

/// The lines of a text, none wider than `width`.
pub fn lines(text: &Text, width: Option<usize>) -> Vec<String> {
    let of = |part: &Part| match part {
        Part::Sentence(sentence) => row_lines(&[std::slice::from_ref(sentence)], 0, width),
        Part::Facts(facts) => {
            let rows: Vec<_> = facts.iter().map(|fact| &fact[..]).collect();
            row_lines(&rows, 0, width)
        }
        Part::Table { heading, rows } => row_lines(&table_rows(heading, rows), 0, width),
        Part::Section(heading, text) => {
            let mut lines = lines(&heading.as_str().into(), width);
            lines.extend(indented(text, INDENT, width));
            lines
        }
        Part::Gap => vec![String::new()],
    };
    text.parts().iter().flat_map(of).collect()
}

/// The lines of a table's last row, in the table's columns.
pub fn last_row(table: &Text, width: Option<usize>) -> Vec<String> {
    match table.parts() {
        [Part::Table { heading, rows }] => row_lines(&table_rows(heading, rows), rows.len(), width),
        _ => lines(table, width),
    }
}

/// The lines of a text, indented.
pub fn indented(text: &Text, by: usize, width: Option<usize>) -> Vec<String> {
    let lines = lines(text, width.map(|width| width.saturating_sub(by)));
    let indented = |line: &String| format!("{:by$}{line}", "");
    lines.iter().map(indented).collect()
}

fn table_rows<'a>(heading: &'a [String], rows: &'a [Vec<String>]) -> Vec<&'a [String]> {
    let rows = rows.iter().map(|row| &row[..]);
    [heading].into_iter().chain(rows).collect()
}

/// The lines of the rows from index `from` on. The rows before it only count for the columns'
/// widths. A cell that is too long is wrapped in its own column.
fn row_lines(rows: &[&[String]], from: usize, width: Option<usize>) -> Vec<String> {
    let mut widths = widths(rows);
    if let Some(width) = width {
        fit(&mut widths, width);
    }
    let shown = rows.iter().skip(from);
    shown.flat_map(|row| wrapped_row(row, &widths)).collect()
}

fn widths(rows: &[&[String]]) -> Vec<usize> {
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or_default();
    let of = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    (0..columns)
        .map(|column| of(column).map(|cell| measure(cell)).max().unwrap_or(0))
        .collect()
}

/// Narrows the widest columns until the row fits.
fn fit(widths: &mut [usize], width: usize) {
    loop {
        let gaps = GAP * widths.len().saturating_sub(1);
        let too_much = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        let widest = widths.iter_mut().max();
        match widest {
            Some(widest) if too_much > 0 && *widest > NARROWEST => *widest -= 1,
            _ => return,
        }
    }
}

fn wrapped_row(row: &[String], widths: &[usize]) -> Vec<String> {
    let cells: Vec<_> = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| {
            let hang = if column == 0 { HANG } else { 0 };
            wrapped(cell, *width, hang)
        })
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    let line = |number: usize| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let text = cell.get(number).map_or("", String::as_str);
            let blanks = width.saturating_sub(measure(text)) + GAP;
            line.push_str(text);
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// The text in lines of this width, at least one; broken between words where possible.
fn wrapped(text: &str, width: usize, hang: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let (mut used, mut begun) = (0, false);
    let next_line = |lines: &mut Vec<String>, used: &mut usize| {
        lines.push(" ".repeat(hang));
        *used = hang;
    };
    for word in text.split(' ') {
        if begun && used + 1 + measure(word) > width {
            next_line(&mut lines, &mut used);
        } else if begun {
            push(&mut lines, ' ');
            used += 1;
        }
        for c in word.chars() {
            if begun && used > hang && used + measure_one(c) > width {
                next_line(&mut lines, &mut used);
            }
            push(&mut lines, c);
            used += measure_one(c);
            begun = true;
        }
    }
    lines
}

fn push(lines: &mut [String], c: char) {
    if let Some(line) = lines.last_mut() {
        line.push(c);
    }
}

/// The upper bound of a text's width in terminal columns: of a sign that is made of several
/// characters, each counts.
fn measure(text: &str) -> usize {
    text.chars().map(measure_one).sum()
}

fn measure_one(c: char) -> usize {
    c.width().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::text::{facts, sections, table};

    fn shown(rows: &[&[&str]], width: Option<usize>) -> Vec<String> {
        let row = |row: &&[&str]| row.iter().map(|cell| (*cell).to_owned()).collect();
        lines(&table(rows[0], rows[1..].iter().map(row).collect()), width)
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows: &[&[&str]] = &[
            &["NAME", "PHASE"],
            &["a-long-name", "Über"],
            &["db", "Active"],
        ];
        insta::assert_snapshot!(shown(rows, None).join("\n"), @r"
        NAME         PHASE
        a-long-name  Über
        db           Active
        ");
        let row = |row: &&[&str]| row.iter().map(|cell| (*cell).to_owned()).collect();
        let table = table(rows[0], rows[1..].iter().map(row).collect());
        assert_eq!(last_row(&table, None), ["db           Active"]);
    }

    #[test]
    fn what_is_too_long_goes_on_in_its_own_column() {
        let rows: &[&[&str]] = &[
            &["NAME", "WHY", "AGE"],
            &[
                "db",
                "it takes some more words than there is room for",
                "3m",
            ],
            &["x", "averylongwordthatnobodycanbreak", "1h"],
        ];
        insta::assert_snapshot!(shown(rows, Some(30)).join("\n"), @r"
        NAME  WHY                  AGE
        db    it takes some more   3m
              words than there is
              room for
        x     averylongwordthatno  1h
              bodycanbreak
        ");
    }

    #[test]
    fn only_what_begins_a_row_stands_at_the_edge() {
        let shown = lines(&"lag ........................... For  30d".into(), Some(32));
        assert_eq!(shown, ["lag ...........................", "  For 30d"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_signs_are_in_it() {
        let signs = [
            "漢字".repeat(40),
            "👩🏽\u{200d}🚒".repeat(40),
            "é".repeat(200),
        ];
        for sign in signs {
            for line in lines(&facts([("Why", sign)]), Some(40)) {
                assert!(measure(&line) <= 40, "{line}");
                assert!(line.starts_with("Why  ") || line.starts_with("     "));
            }
        }
    }

    #[test]
    fn nobody_forges_a_line_by_what_they_write() {
        let said = [
            (
                "Why",
                format!("lag\n\u{1b}[AFor  1h\nFor  1h{:60}For  1h", ""),
            ),
            ("For", "30d".to_owned()),
        ];
        let shown = lines(&facts(said), Some(30)).join("\n");
        insta::assert_snapshot!(shown, @r"
        Why  lag ⏎ \u{1b}[AFor 1h ⏎
             For 1h For 1h
        For  30d
        ");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let said = [("Item", "db".to_owned()), ("Flow", String::new())];
        assert_eq!(lines(&facts(said), None), ["Item  db"]);
    }

    #[test]
    fn sections_stand_apart_and_below_their_headings() {
        let text = sections([
            ("", Text::from("Active")),
            ("Flows", facts([("oncall", "chosen".into())])),
            ("Loan", Text::default()),
        ]);
        let shown = lines(&text, None);
        assert_eq!(shown, ["Active", "", "Flows", "  oncall  chosen"]);
    }
}
