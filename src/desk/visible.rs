//! Makes text by other people safe to show: a request cannot change what its approver reads.

/// The text as one line: characters that control a terminal are written out (`\u{1b}`), the end of
/// a line becomes `⏎`, and several blanks become one.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut gap = None;
    for c in text.chars() {
        if is_blank(c) {
            gap = Some(gap.unwrap_or_default() || ends_line(c));
            continue;
        }
        match gap.take() {
            Some(true) if !shown.is_empty() => shown.push_str(" ⏎ "),
            Some(false) if !shown.is_empty() => shown.push(' '),
            _ => {}
        }
        match steers(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}

/// Whether a character changes how text is shown instead of being read: control characters, marks
/// of direction, joiners, and invisible characters. The non-joiner of Persian words is not
/// included: it has no width anywhere.
pub fn steers(c: char) -> bool {
    let unseen = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200d}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe0e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    unseen || c.is_control()
}

/// Blanks of any width, line ends, and letters that look like a blank.
fn is_blank(c: char) -> bool {
    let looks_blank = matches!(
        c,
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    );
    looks_blank || c.is_whitespace()
}

fn ends_line(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("INC-1: Übung", "INC-1: Übung")]
    #[case("INC-1\r\n\n  line 2\n", "INC-1 ⏎ line 2")]
    #[case("\u{1b}[2K\rFor  1h", "\\u{1b}[2K ⏎ For 1h")]
    #[case("\u{9b}2K", "\\u{9b}2K")]
    #[case("\u{202e}drowssap bd", "\\u{202e}drowssap bd")]
    #[case("a\t\u{a0}\u{3000}\u{2800}b", "a b")]
    #[case("se\u{200b}curity", "se\\u{200b}curity")]
    #[case("a\u{2028}For  1h", "a ⏎ For 1h")]
    fn what_steers_a_terminal_is_written_out(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(visible(text), shown);
    }
}
