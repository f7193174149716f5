//! Comparison of titles and names: exact, as people type them, and by similarity.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use wildmatch::WildMatchPattern;

/// The number of similar names in a message.
const MOST_NEAR: usize = 3;

/// The number of names that are compared for similarity: otherwise a requester could keep the
/// operator busy.
const LOOKED_AT: usize = 1_000;

/// Longer names are compared only as people type them.
const LONGEST_COMPARED: usize = 64;

/// Zero width space, word joiner and byte order mark. They are invisible, and people copy them
/// along with a title from a page. They lack Unicode's property White_Space, by which
/// `split_whitespace` recognizes all white space.
const NO_WIDTH: [char; 3] = ['\u{200B}', '\u{2060}', '\u{FEFF}'];

/// Whether a name has the form of 1Password's ids: 26 characters a-z and 2-7. A rule that names a
/// vault in this form means its id, never a title. Otherwise a person who can title a vault could
/// give it the id of another vault as its title, and it would be mistaken for that vault.
pub fn has_form_of_id(name: &str) -> bool {
    let of_id = |c: u8| matches!(c, b'a'..=b'z' | b'2'..=b'7');
    name.len() == 26 && name.bytes().all(of_id)
}

/// A text in Unicode's form NFC: texts that differ only in their encoding are equal.
pub fn canonical(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// A text as people type it: case, Unicode form, zero-width characters and runs of white space are
/// ignored, also at its ends.
pub fn typed(text: &str) -> String {
    let shown = match text.contains(NO_WIDTH) {
        true => Cow::Owned(text.replace(NO_WIDTH, "")),
        false => Cow::Borrowed(text),
    };
    let words: Vec<_> = shown.split_whitespace().collect();
    let lower = words
        .join(" ")
        .nfc()
        .flat_map(char::to_lowercase)
        .collect::<String>();
    lower.nfc().collect()
}

/// The names that are similar to this one: first those that are equal as people type them, then
/// those that contain it or differ in few letters.
pub fn near<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = typed(name);
    let mut close: Vec<_> = among
        .into_iter()
        .take(LOOKED_AT)
        .filter_map(|other| Some((distance(&name, &typed(other))?, other)))
        .collect();
    close.sort_unstable();
    close.dedup();
    close
        .into_iter()
        .take(MOST_NEAR)
        .map(|(_, other)| other)
        .collect()
}

/// The distance between two names, if they are similar at all.
fn distance(name: &str, other: &str) -> Option<usize> {
    if name == other {
        return Some(0);
    }
    let (length, others) = (name.chars().count(), other.chars().count());
    if length.max(others) > LONGEST_COMPARED {
        return None;
    }
    // One letter in four, and two of a short name.
    let most = (length.max(others) / 4).clamp(1, 4);
    let differing = (length.abs_diff(others) <= most)
        .then(|| strsim::osa_distance(name, other))
        .filter(|differing| *differing <= most);
    let contained = length >= 3 && (other.contains(name) || others >= 3 && name.contains(other));
    differing.or_else(|| contained.then_some(most + 1))
}

/// Names in a message: `"a", "b"`.
pub fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

/// Placeholders for the wildcards `*` and `?`. Unicode reserves these characters for internal use,
/// so no title contains them.
const ANY: char = '\u{FDD0}';
const ONE: char = '\u{FDD1}';

/// A pattern for titles, parsed once.
#[derive(Clone, Debug)]
pub struct Pattern {
    exact: Wild,
    /// The same as people type it.
    typed: Wild,
    /// The pattern with one wildcard read literally; one for each wildcard.
    literal: Vec<Wild>,
}

type Wild = WildMatchPattern<ANY, ONE>;

impl Pattern {
    /// Parses a pattern: `*` and `?` are wildcards; after a backslash, they and the backslash
    /// itself stand for themselves.
    pub fn new(pattern: &str) -> Self {
        let marked = marked(&canonical(pattern));
        let wildcards = marked
            .char_indices()
            .filter(|(_, c)| [ANY, ONE].contains(c));
        let literal = wildcards.map(|(at, wildcard)| {
            let (before, after) = (&marked[..at], &marked[at + wildcard.len_utf8()..]);
            let itself = if wildcard == ANY { '*' } else { '?' };
            Wild::new(&format!("{before}{itself}{after}"))
        });
        Self {
            literal: literal.collect(),
            typed: Wild::new(&typed(&marked)),
            exact: Wild::new(&marked),
        }
    }

    /// Whether the pattern matches a title exactly.
    pub fn matches(&self, title: &str) -> bool {
        self.exact.matches(&canonical(title))
    }

    /// Whether the pattern matches a title, exactly or as people type both.
    pub fn matches_typed(&self, title: &str) -> bool {
        self.matches(title) || self.typed.matches(&typed(title))
    }

    /// Whether one of its wildcards matches that very character in a title: then the character
    /// itself may have been meant.
    pub fn may_mean(&self, title: &str) -> bool {
        title.contains(['*', '?']) && {
            let title = canonical(title);
            self.literal.iter().any(|literal| literal.matches(&title))
        }
    }
}

fn marked(pattern: &str) -> String {
    let mut marked = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        marked.push(match c {
            '\\' => rest
                .next_if(|next| ['*', '?', '\\'].contains(next))
                .unwrap_or(c),
            '*' => ANY,
            '?' => ONE,
            other => other,
        });
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::case("Db Password", "db password")]
    #[case::runs_of_blanks("double  blank", " double blank\t")]
    #[case::a_blank_that_does_not_break("nb\u{a0}sp", "nb sp")]
    #[case::a_narrow_one("nb\u{202f}sp", "nb sp")]
    #[case::one_of_a_digits_width("nb\u{2007}\u{2003}sp", "nb sp")]
    #[case::an_ideographic_one("\u{3000}nb\u{3000}sp", "nb sp")]
    #[case::a_zero_width_space("\u{feff}d\u{200b}b\u{2060}", "db")]
    #[case::a_zero_width_space_beside_a_blank("db \u{200b} password", "db password")]
    #[case::unicode_form("Cafe\u{301}", "caf\u{e9}")]
    #[case::case_beyond_ascii("\u{dc}BUNG", "u\u{308}bung")]
    fn what_people_type_alike_is_alike(#[case] one: &str, #[case] other: &str) {
        assert_eq!(typed(one), typed(other));
    }

    #[test]
    fn other_letters_are_other_titles() {
        assert_ne!(typed("db"), typed("dB2"));
        assert_ne!(typed("caf\u{e9}"), typed("cafe"));
        assert_ne!(typed("a b"), typed("ab"));
    }

    #[rstest]
    #[case::same_but_for_case("DB PASSWORD", &["db password"])]
    #[case::one_letter("Infraa", &["Infra"])]
    #[case::swapped("db pasword", &["db password"])]
    #[case::a_part("password", &["db password"])]
    #[case::nothing_like_it("payroll", &[])]
    #[case::short_names_are_not_all_alike("hr", &[])]
    fn what_is_close_is_found(#[case] name: &str, #[case] found: &[&str]) {
        let names = ["db password", "Infra", "web console", "it"];
        assert_eq!(near(name, names), found);
    }

    #[test]
    fn the_closest_come_first_and_are_few() {
        let names = ["abcdefgz", "abcdefgh", "ABCDEFG", "abcdefg1", "abcdefg2"];
        assert_eq!(near("abcdefg", names), ["ABCDEFG", "abcdefg1", "abcdefg2"]);
    }

    #[rstest]
    #[case("*.example.com", "www.example.com", true)]
    #[case(r"\*.example.com", "www.example.com", false)]
    #[case(r"\*.example.com", "*.example.com", true)]
    #[case("what?", "whats", true)]
    #[case(r"what\?", "whats", false)]
    #[case(r"what\?", "what?", true)]
    #[case(r"a\\*", r"a\b", true)]
    #[case::a_backslash_alone_is_itself(r"a\b", r"a\b", true)]
    #[case::case_counts("db *", "DB password", false)]
    #[case::unicode_form_does_not("Caf\u{e9} *", "Cafe\u{301} latte", true)]
    fn a_pattern_matches(#[case] pattern: &str, #[case] title: &str, #[case] matches: bool) {
        assert_eq!(Pattern::new(pattern).matches(title), matches);
    }

    #[rstest]
    #[case("DB *", "db  password", true)]
    #[case::as_it_stands_with_a_blank_at_its_end("a *", "a ", true)]
    #[case("db", "db password", false)]
    fn a_pattern_matches_what_people_type(
        #[case] pattern: &str,
        #[case] title: &str,
        #[case] matches: bool,
    ) {
        assert_eq!(Pattern::new(pattern).matches_typed(title), matches);
    }

    #[rstest]
    #[case("*.example.com", "*.example.com", true)]
    #[case("what?", "what?", true)]
    #[case("what*", "what?", false)]
    #[case("*", "what?", false)]
    #[case(r"what\?", "what?", false)]
    fn a_wildcard_may_mean_its_own_character(
        #[case] pattern: &str,
        #[case] title: &str,
        #[case] may: bool,
    ) {
        assert_eq!(Pattern::new(pattern).may_mean(title), may);
    }
}
