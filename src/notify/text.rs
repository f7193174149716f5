//! The parts of a notice as one line each, of bounded length.

use crate::desk::visible::visible;

/// Text by other people as one line, with at most this many characters.
pub(super) fn line(text: &str, longest: usize) -> String {
    cut(&visible(text), longest)
}

/// The beginning of a text, with a mark where it is cut.
pub(super) fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(longest.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

/// The page to which a notice leads, if a channel may show it as a link.
pub(super) fn page(url: Option<&str>, longest: usize) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '|' | '\\');
    url.filter(|url| {
        url.starts_with("https://") && url.len() <= longest && url.chars().all(is_plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("abc", 3, "abc")]
    #[case("abcd", 3, "ab…")]
    #[case("äöüß", 3, "äö…")]
    #[case("a\r\nb", 9, "a ⏎ b")]
    #[case("", 3, "")]
    fn a_line_is_cut_with_a_mark(#[case] text: &str, #[case] longest: usize, #[case] shown: &str) {
        assert_eq!(line(text, longest), shown);
    }

    #[rstest::rstest]
    #[case("https://keyloan.example.com/requests/team-a/db", true)]
    #[case("http://keyloan.example.com/", false)]
    #[case("javascript:alert(1)", false)]
    #[case("https://a.example.com/<x>", false)]
    #[case("https://a.example.com/a b", false)]
    #[case("https://a.example.com/0123456789012345678901234567890", false)]
    fn only_an_https_page_becomes_a_link(#[case] url: &str, #[case] is_link: bool) {
        assert_eq!(page(Some(url), 50).is_some(), is_link);
    }
}
