//! Cells of a report that people open in a spreadsheet.

use crate::desk::visible::visible;

/// A cell of a file that people open in a spreadsheet. A spreadsheet would run a cell that begins
/// with `=`, `+`, `-` or `@` as a formula; an apostrophe makes it text.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
///
/// Excel divides the lines of a file at `;` where the comma is the decimal separator, as in German.
/// There a line's commas and the quotes behind them are text, so it divides within our cells, too:
/// each part of a cell is guarded as if it were one. There are no tabs and line ends in a cell.
pub fn spreadsheet_cell(text: &str) -> String {
    let parts: Vec<_> = visible(text).split(';').map(guarded).collect();
    parts.join(";")
}

fn guarded(part: &str) -> String {
    let runs = |c| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    // A formula can be in quotes.
    match part.trim_start_matches([' ', '"']).starts_with(runs) {
        true => format!("'{part}"),
        false => part.to_owned(),
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
    #[case("x;=cmd|'/C calc'!A0;y", "x;'=cmd|'/C calc'!A0;y")]
    #[case("x; \t+1;;-1", "x;' +1;;'-1")]
    #[case("x;\"@SUM(A1)\"", "x;'\"@SUM(A1)\"")]
    #[case(
        "bob@example.com; carol@example.com",
        "bob@example.com; carol@example.com"
    )]
    fn no_text_of_a_person_runs_in_a_spreadsheet(#[case] text: &str, #[case] cell: &str) {
        assert_eq!(spreadsheet_cell(text), cell);
    }
}
