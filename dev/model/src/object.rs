//! Objects of the API server, compared by their content without what no decision depends on.

use std::sync::Arc;

use keyloan::api::APPROVED;
use serde::Serialize;
use serde_json::Value;

use crate::kept::{Kept, Store};
use crate::memo::number;

/// An object, shared between states. Two are equal if they differ only in what no decision depends
/// on.
pub type Object<T> = Kept<Arc<T>>;

impl<T: Serialize> Store<Arc<T>> {
    /// Keeps an object.
    pub fn keep_object(&self, object: T) -> Object<T> {
        let mut json = match serde_json::to_value(&object) {
            Ok(json) => json,
            Err(error) => panic!("an object without a JSON form: {error}"),
        };
        leave_out(&mut json);
        self.keep(number(&json.to_string()), || Arc::new(object))
    }
}

impl<T> Object<T> {
    /// The object, as it is observed.
    pub fn shared(&self) -> Arc<T> {
        Arc::clone(self)
    }
}

/// Removes what no decision depends on within the times of a search. Without this, each order of
/// the same events would be a state of its own.
fn leave_out(json: &mut Value) {
    let conditions = json.pointer_mut("/status/conditions");
    let conditions = conditions.and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        without(condition, &["message", "lastTransitionTime"]);
    }
    if let Some(status) = json.pointer_mut("/status").and_then(Value::as_object_mut) {
        leave_out_of_a_loan(status);
    }
    // Texts for people, and times from which seven days or more are counted.
    if let Some(status) = json.pointer_mut("/status") {
        without(
            status,
            &["consideredFlows", "ignoredDecisions", "waitingFor"],
        );
    }
    if let Some(end) = json.pointer_mut("/spec/end") {
        without(end, &["at"]);
    }
    // A record without a link is given up after a day, which is more than a search lasts. A decision
    // counts by its time.
    let is_decision = json.pointer("/spec/decision").is_some();
    let metadata = json.pointer_mut("/metadata");
    if let Some(metadata) = metadata.filter(|_| !is_decision) {
        without(metadata, &["creationTimestamp"]);
    }
    // Nothing is counted from a link that was never made.
    let links = json.pointer_mut("/spec/links");
    let links = links.and_then(Value::as_array_mut);
    for link in links.into_iter().flatten() {
        if link.get("outcome").and_then(Value::as_str) == Some("Refused") {
            without(link, &["intentAt", "latestEnd"]);
        }
    }
}

/// A loan is decided from its record. Of a status that tells of one, this alone matters: that it
/// does, with which terms, and before the loan has started, whether it was said to be approved, and
/// to have ended (`vet_word`). A plan that sees no record decides by the first of these only.
fn leave_out_of_a_loan(status: &mut serde_json::Map<String, Value>) {
    if !status.contains_key("record") {
        return;
    }
    let has_started = status.contains_key("grantedAt");
    status.retain(|name, _| match name.as_str() {
        "record" | "digest" => true,
        "conditions" | "endedAt" => !has_started,
        _ => false,
    });
    if let Some(at) = status.get_mut("endedAt") {
        *at = Value::Bool(true);
    }
    if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
        conditions.retain(|condition| condition.get("type") == Some(&Value::from(APPROVED)));
    }
}

fn without(json: &mut Value, fields: &[&str]) {
    if let Some(object) = json.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
}
