//! Columns: a table with a heading, and facts with their names beside them.

use comfy_table::{Row, Table, presets};

use super::visible;

/// A table as kubectl prints it: a heading in capitals, columns two blanks apart.
pub fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(heading.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
    let shown = |row: Vec<String>| {
        Row::from(
            row.iter()
                .map(|cell| visible(cell).into_owned())
                .collect::<Vec<_>>(),
        )
    };
    table.add_rows(rows.into_iter().map(shown));
    aligned(table)
}

/// Facts, each on a line: its name, and beside it what is to be said. What is empty is left out.
pub fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let said = facts.into_iter().filter(|(_, what)| !what.is_empty());
    table.add_rows(
        said.map(|(name, what)| Row::from(vec![name.to_owned(), visible(&what).into_owned()])),
    );
    aligned(table)
}

fn aligned(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [["db", "Active"], ["a-long-name", "Über"]];
        let rows = rows.map(|row| row.map(str::to_owned).into());
        insta::assert_snapshot!(table(&["NAME", "PHASE"], rows), @r"
        NAME         PHASE
        db           Active
        a-long-name  Über
        ");
    }

    #[test]
    fn nobody_forges_a_line_by_what_they_write() {
        let said = [
            ("Why", "lag\n\u{1b}[AFor  1h\nFor  1h".to_owned()),
            ("For", "30d".to_owned()),
        ];
        insta::assert_snapshot!(facts(said), @r"
        Why  lag
             \u{1b}[AFor  1h
             For  1h
        For  30d
        ");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let said = [("Item", "db".to_owned()), ("Flow", String::new())];
        assert_eq!(facts(said), "Item  db");
    }
}
