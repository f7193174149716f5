//! What the API server admits, the operator understands: durations, times, addresses, names,
//! selectors and patterns. And no text at all makes it panic.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use keyloan::api::*;
use keyloan::desk::request;
use keyloan::onepassword::Recipients;
use keyloan::plan::selection::namespace_matches;
use keyloan::plan::titles::{Pattern, canonical, near, typed};
use libfuzzer_sys::fuzz_target;
use regex::Regex;
use serde_json::{Value, json};

static FORMS: LazyLock<[Regex; 5]> = LazyLock::new(|| {
    [
        SPAN_PATTERN,
        TIME_PATTERN,
        EMAIL_PATTERN,
        DOMAIN_PATTERN,
        TIME_OF_DAY_PATTERN,
    ]
    .map(|form| Regex::new(form).expect("a pattern"))
});

static FLOW: LazyLock<Value> = LazyLock::new(|| {
    let flow = json!({
        "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessFlow", "metadata": { "name": "flow" },
        "spec": {
            "integration": "prod",
            "requesters": [{ "kind": "Group", "name": "engineering" }],
            "items": { "include": [{ "vault": "Infra" }] },
            "grant": { "maxDuration": "8h" },
            "approval": { "mode": "None" },
        },
    });
    let read: Result<AccessFlow, _> = serde_json::from_value(flow.clone());
    assert!(read.is_ok(), "{read:?}");
    flow
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    forms(first);
    titles(first, second);
    selectors(first, second);
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    if let Ok(start) = request::latest_start(first, now) {
        assert!(
            start.0
                > now
                    .saturating_sub(jiff::SignedDuration::from_secs(1))
                    .expect("a time")
        );
    }
    if let Ok(span) = request::duration(first) {
        assert!(span.parse().is_some_and(|span| span.as_hours() >= 1));
    }
});

/// The schema admits a text by its pattern and its length.
fn forms(text: &str) {
    let [span, time, email, domain, time_of_day] = &*FORMS;
    let short = text.chars().count() <= 64;
    let parsed = Span(text.to_owned()).parse();
    if short {
        assert_eq!(span.is_match(text), parsed.is_some(), "{text:?}");
    }
    if let Some(parsed) = parsed {
        let written = Span::of(parsed);
        let again = written.parse().expect("its own notation");
        assert!(
            parsed.as_secs() < 60 || parsed.as_secs() - again.as_secs() < 60,
            "{text:?}"
        );
    }
    if short && time.is_match(text) {
        let read: Result<Time, _> = serde_json::from_value(text.into());
        assert!(read.is_ok(), "{text:?}");
    }
    if text.len() <= 254 && email.is_match(text) {
        assert!(Recipients::new([text]).is_ok(), "{text:?}");
        assert!(domain.is_match(Email(text.to_owned()).domain()), "{text:?}");
    }
    if time_of_day.is_match(text) {
        assert_eq!(text.len(), 5, "{text:?}");
    }
}

fn titles(pattern: &str, title: &str) {
    let read = Pattern::new(pattern);
    let (matches, typed_matches) = (read.matches(title), read.matches_typed(title));
    read.may_mean(title);
    // A rule that excludes is compared as typed: it excludes no less than it says.
    assert!(typed_matches || !matches, "{pattern:?} {title:?}");
    assert_eq!(canonical(&canonical(title)), canonical(title));
    assert_eq!(typed(&typed(title)), typed(title), "{title:?}");
    near(pattern, [title, pattern]);
}

fn selectors(key: &str, value: &str) {
    let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    for operator in ["In", "NotIn", "Exists", "DoesNotExist", value] {
        for values in [vec![], vec![value.to_owned()]] {
            let selector = json!({
                "matchExpressions": [{ "key": key, "operator": operator, "values": values }],
            });
            let mut flow = FLOW.clone();
            flow["spec"]["namespaces"] = json!({ "from": "Selector", "selector": selector });
            let Ok(flow) = serde_json::from_value::<AccessFlow>(flow) else {
                continue;
            };
            let selected = namespace_matches(&flow, "team-a", &labels);
            let valid = match operator {
                "In" | "NotIn" => !values.is_empty(),
                "Exists" | "DoesNotExist" => values.is_empty(),
                _ => false,
            };
            assert!(
                valid || !selected,
                "an invalid selector selects nothing: {selector}"
            );
            if operator == "DoesNotExist" {
                assert!(!selected, "{selector}");
            }
        }
    }
}
