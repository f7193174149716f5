//! What people read on a terminal: whatever the names, titles and justifications, nothing in it steers
//! the terminal, no line is a forged one, and what programs read says what is there.
#![no_main]

use keyloan::desk::export;
use keyloan::desk::list::Row;
use keyloan::desk::text::{Text, facts};
use keyloan::desk::visible::{steers, visible};
use keyloan::desk::{decision, explanation, link, standing, terms};
use keyloan::plugin::fuzzing::{Structured, document, lines};
use keyloan_fuzz::scene::Scene;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::{Value, json};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    keyloan_fuzz::json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        any_text(text);
    }
    let Some(scene) = Scene::of(data) else {
        return;
    };
    let now = scene.known().now.unwrap_or_default();
    for object in scene.flows().iter().map(|flow| json!(flow)) {
        documents(&object);
    }
    let (Some(grant), decisions) = (scene.grant(), scene.decisions()) else {
        return;
    };
    let me = grant.spec.requester.clone();
    let details = grant.spec.justification.clone().unwrap_or_default();
    show(&explanation::explained(
        &grant,
        &decisions,
        me.as_ref(),
        now,
    ));
    show(&terms::shown(&grant, now));
    show(&link::about(&grant, Some(details.as_str()), now));
    show(&facts(terms::access(Some(details.as_str()))));
    show(&facts(standing::new_loan(&grant, now)));
    for sentence in [
        terms::item(&grant),
        standing::state(&grant),
        standing::phase_and_cause(&grant),
        standing::cause_or_end(&grant, now),
        standing::not_granted(&grant).message,
        link::over(&grant).message,
        link::not_yours(&grant).message,
    ] {
        show(&sentence.into());
    }
    for made in &decisions {
        show(&decision::created(made).into());
        decision::outcome(&grant, made);
        show(&decision::not_counted_yet(made, &grant).message.into());
    }
    Row::of(&grant, now);
    documents(&json!(grant));
});

/// The lines of a text, for terminals of different widths.
fn show(text: &Text) {
    for width in [None, Some(20), Some(80)] {
        for line in lines(text, width) {
            harmless(&line);
        }
    }
}

fn harmless(line: &str) {
    let steering = line.chars().find(|c| steers(*c));
    assert_eq!(steering, None, "{line:?}");
    assert!(!line.contains(['\n', '\r', '\u{1b}', '\u{9b}', '\u{2028}', '\u{202e}']));
}

fn any_text(text: &str) {
    let shown = visible(text);
    harmless(&shown);
    assert_eq!(visible(&shown), shown, "{text:?}");
    show(&facts([(text, text.to_owned())]));
}

fn documents(object: &Value) {
    for structured in [Structured::Json, Structured::Yaml] {
        let Ok(text) = document(object, structured) else {
            continue;
        };
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{text}");
        if matches!(structured, Structured::Json) {
            assert_eq!(
                serde_json::from_str::<Value>(&text).ok().as_ref(),
                Some(object)
            );
        }
    }
    let cleaned = export::clean(object.clone());
    export::misread_by_terraform(&cleaned);
    for label in export::terraform_labels(&[cleaned]) {
        let strange = label.find(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
        assert_eq!(strange, None, "{label:?}");
    }
}
