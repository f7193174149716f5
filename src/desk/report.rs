//! The report of the ledger: which records it covers, and a row for each of them.

mod period;
mod query;
mod row;

pub use period::Moment;
pub use query::{Query, Special};
pub(super) use row::opens;
pub use row::{HEADINGS, Row, Status};

use super::text::{Text, table};
use super::visible::visible;

/// The maximum number of rows in a table, which are held in memory: the newest ones.
pub const TABLE_ROWS: usize = 5_000;

/// The rows as a table for people, the newest first. It has the columns that people look for; the
/// other formats have all.
pub fn as_table(mut rows: Vec<Row>) -> Text {
    newest_first(&mut rows);
    let heading = [
        "REQUESTED",
        "GRANT",
        "REQUESTER",
        "RECIPIENTS",
        "ITEM",
        "STATUS",
        "DECISIONS",
        "ENDED",
        "OPENS UNTIL",
    ];
    table(&heading, rows.iter().map(Row::in_table).collect())
}

/// Keeps the newest rows that a table can have, and says whether it dropped any.
pub fn keep_newest(rows: &mut Vec<Row>) -> bool {
    let too_many = rows.len() > TABLE_ROWS;
    if too_many {
        newest_first(rows);
        rows.truncate(TABLE_ROWS);
    }
    too_many
}

fn newest_first(rows: &mut [Row]) {
    rows.sort_by(|a, b| (b.requested, &a.grant.uid).cmp(&(a.requested, &b.grant.uid)));
}

/// A cell of a file that people open in a spreadsheet. A spreadsheet would run a cell that begins
/// with one of these characters as a formula; the apostrophe makes it text.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
pub fn spreadsheet_cell(text: &str) -> String {
    let runs = |c| {
        matches!(
            c,
            '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\t' | '\r'
        )
    };
    let shown = visible(text);
    match text.starts_with(runs) || shown.starts_with(runs) {
        true => format!("'{shown}"),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("INC-1: lag", "INC-1: lag")]
    #[case("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")")]
    #[case("+1", "'+1")]
    #[case("-1", "'-1")]
    #[case("@SUM(A1)", "'@SUM(A1)")]
    #[case("\t=1", "'=1")]
    #[case("\r=1", "'=1")]
    #[case("＝1", "'＝1")]
    #[case("\u{1b}[2K\n=1", "\\u{1b}[2K ⏎ =1")]
    #[case("", "")]
    fn no_text_of_a_person_runs_in_a_spreadsheet(#[case] text: &str, #[case] cell: &str) {
        assert_eq!(spreadsheet_cell(text), cell);
    }
}
