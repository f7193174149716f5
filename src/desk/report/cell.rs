//! Cells of a report that people open in a spreadsheet.

use crate::desk::visible::visible;

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
