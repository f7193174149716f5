//! A notice as a message of Microsoft Teams: an Adaptive Card 1.5, in the form that the workflow
//! `Post to a channel when a webhook request is received` takes.
//!
//! All text is in `TextRun`s, which, unlike `TextBlock`s and facts, have no markdown and no mentions
//! (<https://adaptivecards.io/explorer/TextRun.html>). Only the functions `DATE` and `TIME` are read
//! in them, so the marks of these are parted.

use serde_json::{Value, json};

use crate::desk::notice::Notice;
use crate::desk::times::minute_in_utc;

use super::text::{line, page};

/// The size of a message in bytes that Teams accepts, minus a part for what a workflow adds.
const LARGEST: usize = 26_000;

/// The lengths to which texts are cut, in characters: the first with which the message is small
/// enough is used.
const LENGTHS: [usize; 4] = [2000, 500, 120, 30];

/// The number of facts and of sentences that are shown.
const FACTS: usize = 30;
const SENTENCES: usize = 10;

/// The longest URL of a button, in characters.
const URL: usize = 2000;

/// The body of the request.
pub(super) fn message(notice: &Notice) -> Value {
    let messages = LENGTHS.map(|longest| with_texts_of(notice, longest));
    let is_small = |message: &&Value| message.to_string().len() <= LARGEST;
    let [.., shortest] = &messages;
    messages.iter().find(is_small).unwrap_or(shortest).clone()
}

fn with_texts_of(notice: &Notice, longest: usize) -> Value {
    let run = |text: &str| json!({ "type": "TextRun", "text": plain(text, longest) });
    let mut body = vec![block(vec![json!({
        "type": "TextRun", "text": plain(&notice.subject, longest.min(300)),
        "weight": "Bolder", "size": "Medium",
    })])];
    let facts = notice.facts.iter().filter(|fact| !fact.value.is_empty());
    body.extend(facts.take(FACTS).map(|fact| {
        let label = format!("{}:  ", plain(fact.label, longest));
        let label = json!({ "type": "TextRun", "text": label, "weight": "Bolder" });
        let mut block = block(vec![label, run(&fact.value)]);
        block["spacing"] = json!("Small");
        block
    }));
    for next in notice.next.iter().take(SENTENCES) {
        body.push(block(vec![run(&next.sentence)]));
        if let Some(command) = &next.command {
            let mut command = run(command);
            command["fontType"] = json!("Monospace");
            body.push(block(vec![command]));
        }
    }
    let at = minute_in_utc(notice.at);
    let told_at = format!("Keyloan · {:?} · {at}", notice.event);
    body.push(block(vec![
        json!({ "type": "TextRun", "text": told_at, "size": "Small", "isSubtle": true }),
    ]));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "msteams": { "width": "Full" },
        "body": body,
    });
    if let Some(page) = page(notice.page.as_deref(), URL) {
        card["actions"] =
            json!([{ "type": "Action.OpenUrl", "title": "Open the request", "url": page }]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn block(inlines: Vec<Value>) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}

/// One line without the marks of the functions of Adaptive Cards.
fn plain(text: &str, longest: usize) -> String {
    line(text, longest).replace("{{", "{ {")
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
    fn text_by_people_is_only_text() {
        insta::assert_json_snapshot!(message(&samples::hostile()));
    }

    #[test]
    fn every_text_is_in_an_element_without_markdown() {
        let message = message(&samples::hostile());
        let card = &message["attachments"][0]["content"];
        for block in card["body"].as_array().unwrap() {
            assert_eq!(block["type"], "RichTextBlock");
            for inline in block["inlines"].as_array().unwrap() {
                assert_eq!(inline["type"], "TextRun");
                assert!(!inline["text"].as_str().unwrap().contains("{{"));
            }
        }
        assert_eq!(card.get("actions"), None);
        assert_eq!(card["msteams"].get("entities"), None);
    }

    #[test]
    fn a_message_is_as_small_as_teams_wants_it() {
        let message = message(&samples::long());
        assert!(message.to_string().len() <= LARGEST);
        let short = with_texts_of(&samples::requested(), LENGTHS[0]);
        assert_eq!(super::message(&samples::requested()), short);
    }
}
