//! The operators' warnings: a failure in a run under load must not go unnoticed.

use std::collections::BTreeMap;

use crate::report::{Figure, Section, Unit};

/// How many kinds of warnings are shown.
const SHOWN: usize = 12;

/// The warnings and errors in the operators' logs, the most frequent first.
pub fn section(said: &str, restless: &[String]) -> Section {
    let how = "All lines of the levels WARN and ERROR in the logs of all replicas, by message; and how often the operator did \
               not rest in time.";
    let mut section = Section::new("Warnings", how);
    let mut complaints: Vec<_> = complaints(said).into_iter().collect();
    complaints.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let all: usize = complaints.iter().map(|(_, count)| count).sum();
    let figure = Figure::new("warnings and errors in the logs", all as f64, Unit::Lines);
    let shown = complaints.iter().take(SHOWN);
    let shown: Vec<_> = shown
        .map(|(what, count)| format!("{count} times {what}"))
        .collect();
    section.add(figure.made_of(shown.join("; ")));
    let times = restless.len() as f64;
    let figure = Figure::new("times that the operator did not rest", times, Unit::Times);
    section.add(figure.made_of(restless.join("; ")));
    section
}

/// The frequency of each, without the parts that vary.
fn complaints(said: &str) -> BTreeMap<String, usize> {
    let mut complaints = BTreeMap::new();
    for line in said.lines() {
        let mut words = line.split_whitespace().skip(1);
        if !matches!(words.next(), Some("WARN" | "ERROR")) {
            continue;
        }
        let message: Vec<&str> = words.take_while(|word| !word.contains('=')).collect();
        *complaints.entry(message.join(" ")).or_default() += 1;
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_counted_by_their_message() {
        let said = "\
2026-11-29T10:00:00.1Z  INFO keyloan::operator: all watches are synced install=keyloan
2026-11-29T10:00:01.1Z  WARN keyloan::loan: a pass failed; retrying grant=a/b error=x y
2026-11-29T10:00:02.1Z  WARN keyloan::loan: a pass failed; retrying grant=c/d error=x z
2026-11-29T10:00:03.1Z ERROR keyloan: the WARN of something
";
        let expected = BTreeMap::from([
            ("keyloan::loan: a pass failed; retrying".to_owned(), 2),
            ("keyloan: the WARN of something".to_owned(), 1),
        ]);
        assert_eq!(complaints(said), expected);
    }
}
