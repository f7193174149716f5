//! A notice as a message of Slack: <https://docs.slack.dev/reference/block-kit/blocks>.
//!
//! Text by people is `plain_text`, in which Slack reads no formatting and makes no link. Only our
//! own words and commands are `mrkdwn`. In both, `&`, `<` and `>` are escaped, so nobody can mention
//! a channel or a person.

use serde_json::{Value, json};

use crate::desk::notice::Notice;
use crate::desk::times::minute_in_utc;
use crate::desk::visible::visible;

use super::text::page;

/// Slack's limits, in characters: a header, a field, a text, the URL of a button.
const HEADER: usize = 150;
const FIELD: usize = 2000;
const TEXT: usize = 3000;
const URL: usize = 3000;

/// The number of facts in one section: each has two of its at most 10 fields.
const FACTS_PER_SECTION: usize = 5;

/// The number of facts and of sentences that are shown. A message has at most 50 blocks.
const FACTS: usize = 50;
const SENTENCES: usize = 10;

/// The body of the request.
pub(super) fn message(notice: &Notice) -> Value {
    let mut blocks = vec![json!({ "type": "header", "text": plain(&notice.subject, HEADER) })];
    let facts = notice.facts.iter().filter(|fact| !fact.value.is_empty());
    let facts: Vec<_> = facts.take(FACTS).collect();
    for facts in facts.chunks(FACTS_PER_SECTION) {
        let fields = facts.iter().flat_map(|fact| {
            let label = json!({ "type": "mrkdwn", "text": format!("*{}*", escaped(fact.label, FIELD)), "verbatim": true });
            [label, plain(&fact.value, FIELD)]
        });
        blocks.push(json!({ "type": "section", "fields": fields.collect::<Vec<_>>() }));
    }
    for next in notice.next.iter().take(SENTENCES) {
        blocks.push(json!({ "type": "section", "text": plain(&next.sentence, TEXT) }));
        if let Some(command) = &next.command {
            blocks.push(json!({ "type": "section", "text": code(command) }));
        }
    }
    if let Some(page) = page(notice.page.as_deref(), URL) {
        blocks.push(json!({ "type": "actions", "elements": [{
            "type": "button", "text": plain("Open the request", 75), "url": page,
        }] }));
    }
    blocks.push(json!({ "type": "context", "elements": [told_at(notice)] }));
    json!({
        // Shown by notifications, in which blocks are not.
        "text": escaped(&notice.subject, TEXT),
        "mrkdwn": false,
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn plain(text: &str, longest: usize) -> Value {
    json!({ "type": "plain_text", "text": escaped(text, longest), "emoji": false })
}

/// A command, in the form of code, unless it has the marks of code itself.
fn code(command: &str) -> Value {
    match command.contains('`') {
        true => plain(command, TEXT),
        false => {
            let text = format!("```{}```", escaped(command, TEXT - 6));
            json!({ "type": "mrkdwn", "text": text, "verbatim": true })
        }
    }
}

/// The time, which Slack shows in the reader's time zone.
fn told_at(notice: &Notice) -> Value {
    let (seconds, fallback) = (notice.at.as_second(), minute_in_utc(notice.at));
    let text = format!(
        "Keyloan · {:?} · <!date^{seconds}^{{date_short}} {{time}}|{fallback}>",
        notice.event
    );
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// Text of which Slack reads nothing as markup. The limit is about the escaped text.
fn escaped(text: &str, longest: usize) -> String {
    let text = visible(text);
    let pieces = || {
        text.chars().map(|c| match c {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            c => String::from(c),
        })
    };
    let length = |piece: &String| piece.chars().count();
    if pieces().map(|piece| length(&piece)).sum::<usize>() <= longest {
        return pieces().collect();
    }
    let mut left = longest.saturating_sub(1);
    let fitting = pieces().take_while(|piece| {
        let fits = length(piece) <= left;
        left = left.saturating_sub(length(piece));
        fits
    });
    fitting.chain(["…".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::samples;

    #[test]
    fn a_request_for_its_approvers() {
        insta::assert_json_snapshot!(message(&samples::requested()));
    }

    #[test]
    fn the_guide_shows_a_real_message() {
        let notice = samples::requested();
        let mut words = vec![notice.subject];
        for fact in notice.facts {
            words.extend([fact.label.to_owned(), fact.value]);
        }
        for next in notice.next {
            words.extend([Some(next.sentence), next.command].into_iter().flatten());
        }
        let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let guide = in_one_line(include_str!("../../docs/notifications.md"));
        assert!(guide.contains(&words.join(" ")), "{words:#?}");
    }

    #[test]
    fn text_by_people_is_only_text() {
        insta::assert_json_snapshot!(message(&samples::hostile()));
    }

    #[test]
    fn no_text_is_longer_than_slack_allows() {
        let message = message(&samples::long());
        assert!(message["blocks"].as_array().unwrap().len() <= 50);
        let mut texts = Vec::new();
        collect(&message["blocks"], &mut texts);
        for (text, is_header) in texts {
            let longest = if is_header { HEADER } else { TEXT };
            let length = text.chars().count();
            assert!((1..=longest).contains(&length), "{length}: {text}");
        }
        for block in message["blocks"].as_array().unwrap() {
            let fields = block["fields"].as_array().into_iter().flatten();
            let lengths = fields.map(|field| field["text"].as_str().unwrap().chars().count());
            let lengths: Vec<_> = lengths.collect();
            assert!(lengths.len() <= 10 && lengths.iter().all(|length| *length <= FIELD));
        }
    }

    fn collect(value: &Value, texts: &mut Vec<(String, bool)>) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| collect(one, texts)),
            Value::Object(members) => {
                if let Some(Value::String(text)) = members.get("text") {
                    texts.push((text.clone(), false));
                }
                if members.get("type") == Some(&json!("header")) {
                    let text = members["text"]["text"].as_str().unwrap();
                    texts.push((text.to_owned(), true));
                }
                members.values().for_each(|one| collect(one, texts));
            }
            _ => {}
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_has_markup(text in "[<>&;amplt!@#|\\PC\r\n]{0,60}", longest in 1_usize..40) {
            let escaped = escaped(&text, longest);
            assert!(escaped.chars().count() <= longest);
            assert!(!escaped.contains(['<', '>', '\n', '\r']));
            let entities = ["&amp;", "&lt;", "&gt;"].map(|entity| escaped.matches(entity).count());
            assert_eq!(escaped.matches('&').count(), entities.iter().sum::<usize>());
        }
    }

    #[rstest::rstest]
    #[case("a<b>&c", 100, "a&lt;b&gt;&amp;c")]
    #[case("<<<<", 16, "&lt;&lt;&lt;&lt;")]
    #[case("<<<<", 15, "&lt;&lt;&lt;…")]
    #[case("a<<", 5, "a…")]
    #[case("abcdef", 5, "abcd…")]
    #[case("abcde", 5, "abcde")]
    fn escaped_text_is_cut_between_characters(
        #[case] text: &str,
        #[case] longest: usize,
        #[case] shown: &str,
    ) {
        assert_eq!(escaped(text, longest), shown);
    }
}
