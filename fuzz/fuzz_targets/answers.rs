//! All that the core hands over: its answers are read without a panic, what is read shows no secret,
//! and the question that is made of them says what it should.
#![no_main]

use keyloan::onepassword::{Item, SharePolicy, fuzzing};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    keyloan_fuzz::json::mutate(data, size, max_size, seed)
});

// Bytes that are no JSON are one answer. An object is an item, a policy and recipients.
fuzz_target!(|data: &[u8]| {
    fuzzing::read_answers(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let middle = (0..=text.len() / 2)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        let (vault, item) = text.split_at(middle.unwrap_or_default());
        fuzzing::ask_for_an_item(vault, item);
        shows_nothing(text);
    }
    let Ok(Value::Object(parts)) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let part = |key: &str| parts.get(key).map(Value::to_string).unwrap_or_default();
    let (item, policy, validated) = (part("item"), part("policy"), part("validated"));
    fuzzing::read_answers(item.as_bytes());
    fuzzing::read_answers(part("list").as_bytes());
    fuzzing::ask_for_a_share(item.as_bytes(), policy.as_bytes(), validated.as_bytes());
    SharePolicy::from_json(policy);
    shows_nothing(&item);
});

/// An item's values are not shown: neither if it is read nor if it is not.
fn shows_nothing(item: &str) {
    const PLANTED: &str = "planted-secret";
    let shown = match Item::from_json(item.to_owned().into()) {
        Ok(read) => {
            // What is shown of an item may hold it.
            let facts = format!("{:?}{}{:?}{}", read.title, read.id, read.tags, read.vault);
            match facts.contains(PLANTED) {
                true => return,
                false => format!("{read:?}"),
            }
        }
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains(PLANTED), "{shown}");
}
