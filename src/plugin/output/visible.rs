//! Text that other people wrote, made safe to show: nobody rewrites what an approver reads by what they ask for.

use std::borrow::Cow;

/// The text with everything that steers a terminal, or turns the direction of writing, written out: `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Control characters but for the end of a line, and Unicode's marks of direction.
fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("INC-1: Übung\nline 2", "INC-1: Übung\nline 2")]
    #[case("\u{1b}[2K\rFor  1h", "\\u{1b}[2K\\u{d}For  1h")]
    #[case("\u{202e}drowssap bd", "\\u{202e}drowssap bd")]
    fn what_steers_a_terminal_is_written_out(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(visible(text), shown);
    }
}
