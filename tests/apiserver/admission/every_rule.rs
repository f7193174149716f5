//! Every rule of the policies has refused something: a new one needs a bad object that hits it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use keyloan::manifests::{Boundary, validating_policies};
use serde_json::Value;

use crate::support::objects::Refusal;

/// A policy, and what it said or can say.
type Said = (String, String);

/// What was said by the refusals that a test expected.
static SAID: Mutex<BTreeSet<Said>> = Mutex::new(BTreeSet::new());

/// Takes in a refusal by a policy.
pub fn note(refusal: &Refusal) {
    SAID.lock().unwrap().insert(said(&refusal.0.message));
}

pub fn has_refused_something() {
    let said = SAID.lock().unwrap();
    let rules = rules();
    let is_of = |(policy, message): &Said, (of, words): &Said| {
        policy == of && message.starts_with(words.as_str())
    };
    let unused: Vec<_> = rules
        .iter()
        .filter(|rule| !said.iter().any(|said| is_of(said, rule)))
        .collect();
    assert!(unused.is_empty(), "no bad object hits {unused:#?}");
    // Were one of them the beginning of another one, both would seem to be hit.
    for said in said.iter() {
        let by: Vec<_> = rules.iter().filter(|rule| is_of(said, rule)).collect();
        assert!(by.len() <= 1, "{said:?} is of {by:?}");
    }
}

/// Each rule by its policy and the words with which it refuses: those that come first say what is wrong, and are the same where a better
/// message is put together.
fn rules() -> Vec<Said> {
    let policies = validating_policies(&Boundary::default()).unwrap();
    let policies = policies.into_iter().flat_map(|(_, objects)| objects);
    let mut rules = Vec::new();
    for policy in policies.filter(|object| object["kind"] == "ValidatingAdmissionPolicy") {
        let name = text(&policy["metadata"]["name"]);
        for rule in policy["spec"]["validations"].as_array().unwrap() {
            let message = text(&rule["message"]);
            let words = message.split(';').next().unwrap();
            rules.push((name.clone(), words.to_owned()));
        }
    }
    rules
}

/// `... ValidatingAdmissionPolicy 'NAME' with binding 'NAME' denied request: MESSAGE`
fn said(refusal: &str) -> Said {
    let (by, message) = refusal.split_once(" denied request: ").unwrap();
    let (_, policy) = by.split_once("ValidatingAdmissionPolicy '").unwrap();
    let (policy, _) = policy.split_once('\'').unwrap();
    (policy.to_owned(), message.to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
