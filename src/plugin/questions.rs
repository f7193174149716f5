//! An auditor's questions, each answered by the command of docs/audit.md, on a small ledger.

use std::collections::BTreeMap;

use clap::Parser as _;

use crate::api::AccessRecord;
use crate::desk::exposed::Exposures;
use crate::desk::report::Row;
use crate::desk::samples;

use super::exposed::Asked;
use super::output::{csv_row, lines};
use super::{Arguments, Command, exposed, report};

const PAGE: &str = include_str!("../../docs/audit.md");

fn ledger() -> Vec<AccessRecord> {
    serde_json::from_str(include_str!("../../tests/fixtures/ledger/records.json")).unwrap()
}

fn answers() -> BTreeMap<String, Vec<String>> {
    serde_json::from_str(include_str!("../../tests/fixtures/ledger/answers.json")).unwrap()
}

/// The commands in the table of questions.
fn commands() -> Vec<&'static str> {
    let rows = PAGE.lines().filter(|line| {
        let number = line.strip_prefix("| ").and_then(|row| row.split_once(". "));
        number.is_some_and(|(number, _)| number.parse::<u8>().is_ok())
    });
    rows.map(|row| row.split('`').nth(1).unwrap()).collect()
}

fn parsed(command: &str) -> Command {
    let words = shell_words::split(command).unwrap();
    let line = words.iter().map(String::as_str).skip(2);
    Arguments::try_parse_from(["kubectl-keyloan"].into_iter().chain(line))
        .unwrap_or_else(|error| panic!("{command}: {error}"))
        .command
}

fn covered(arguments: &report::Arguments) -> Vec<AccessRecord> {
    let now = samples::present();
    let query = arguments.query(now);
    let mut ledger = ledger();
    ledger.retain(|record| query.covers(record, now));
    ledger
}

/// The items of the ledger that are exposed, with the people.
fn items_with_people(arguments: &exposed::Arguments, ledger: &[AccessRecord]) -> Vec<String> {
    let asked = match arguments.query() {
        None => Asked::All,
        Some(named) => {
            let of_it = ledger.iter();
            let of_it = of_it.filter(|record| named.covers(record, samples::present()));
            Asked::Ids(of_it.map(|r| r.spec.terms.item.id.clone()).collect())
        }
    };
    let mut exposures = Exposures::default();
    let of_them = ledger.iter().filter(|record| asked.covers(record));
    of_them.for_each(|record| exposures.add(record));
    let listed = exposures.listed().into_iter();
    let told = listed.map(|item| {
        let people: Vec<_> = item.people.keys().map(String::as_str).collect();
        format!("{}: {}", item.item, people.join(", "))
    });
    told.collect()
}

fn answer(command: &str) -> Vec<String> {
    let mut answer: Vec<_> = match parsed(command) {
        Command::Report(arguments) => {
            let covered = covered(&arguments);
            covered
                .into_iter()
                .map(|record| record.spec.grant.name)
                .collect()
        }
        Command::Exposed(arguments) => items_with_people(&arguments, &ledger()),
        other => panic!("{command}: {other:?}"),
    };
    answer.sort();
    answer
}

#[test]
fn each_question_is_answered_by_one_command() {
    let answers = answers();
    let commands = commands();
    assert_eq!(commands.len(), 20);
    for command in commands {
        assert_eq!(Some(&answer(command)), answers.get(command), "{command}");
    }
    assert_eq!(answers.len(), 20, "each answer belongs to a question");
}

#[test]
fn the_table_says_who_decided_and_why_and_how_it_ended() {
    let rows: Vec<_> = ledger()
        .iter()
        .map(|r| Row::of(r, samples::present()))
        .collect();
    insta::assert_snapshot!(lines(&crate::desk::report::as_table(rows), None).join("\n"));
}

#[test]
fn the_json_of_a_row_has_names_that_programs_can_rely_on() {
    let lost = ledger()
        .into_iter()
        .find(|r| r.spec.grant.name == "erin-lost")
        .unwrap();
    insta::assert_json_snapshot!(Row::of(&lost, samples::present()));
}

#[test]
fn what_a_spreadsheet_would_run_is_text() {
    let Command::Report(arguments) = parsed("kubectl keyloan report --integration stage -o csv")
    else {
        panic!("a report");
    };
    let row = Row::of(&covered(&arguments)[0], samples::present());
    let line = csv_row(&row.cells()).unwrap();
    assert!(
        line.contains(r#","'=HYPERLINK(""https://evil.example"")","#),
        "{line}"
    );
}

/// The title is the one of an earlier record; a later one has another and shows a change.
#[test]
fn an_item_that_was_renamed_and_changed_is_exposed_only_to_who_borrowed_it_since() {
    let Command::Exposed(arguments) = parsed("kubectl keyloan exposed --item 'db password'") else {
        panic!("exposed");
    };
    let is_of_it = |record: &&AccessRecord| record.spec.terms.item.title == "db password";
    let ledger = ledger();
    let mut renamed = ledger.iter().find(is_of_it).unwrap().clone();
    let terms = &mut renamed.spec.terms;
    terms.item.title = "db".into();
    terms.item_updated_at.0 += jiff::SignedDuration::from_hours(1);
    renamed.spec.requester.username = "carol@example.com".into();
    renamed.spec.requester.email = None;
    terms.recipients = vec![crate::api::Email("carol@example.com".into())];
    let ledger = [ledger, vec![renamed]].concat();
    assert_eq!(
        items_with_people(&arguments, &ledger),
        ["db: carol@example.com"]
    );
}

#[test]
fn the_items_to_rotate_are_listed_with_the_people_and_the_last_end_of_a_link() {
    let mut exposures = Exposures::default();
    // The order of the records does not matter.
    ledger()
        .iter()
        .rev()
        .for_each(|record| exposures.add(record));
    let listed = exposures.listed();
    insta::assert_snapshot!(lines(&crate::desk::exposed::as_table(&listed), None).join("\n"));
}
