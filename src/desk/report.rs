//! The report of the ledger: which records it covers, and a row for each of them.

mod cell;
mod period;
mod query;
mod row;

pub use cell::spreadsheet_cell;
pub use period::Moment;
pub use query::{Query, Special};
pub(super) use row::opens;
pub use row::{HEADINGS, Row, Status};

use super::text::{Text, table};

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
