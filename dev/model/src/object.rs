//! Objects of the API server, compared and hashed by their content.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// An object, shared between states. Two are equal if they differ only in what no decision depends
/// on.
pub struct Object<T> {
    value: Arc<T>,
    print: u64,
}

impl<T: Serialize> Object<T> {
    /// Wraps an object.
    pub fn new(value: T) -> Self {
        let mut json = match serde_json::to_value(&value) {
            Ok(json) => json,
            Err(error) => panic!("an object without a JSON form: {error}"),
        };
        leave_out(&mut json);
        let mut hasher = DefaultHasher::new();
        json.to_string().hash(&mut hasher);
        Self {
            value: Arc::new(value),
            print: hasher.finish(),
        }
    }
}

/// Removes what no decision depends on: what conditions say to people, and since when. Without
/// this, each order of the same events would be a state of its own.
fn leave_out(json: &mut Value) {
    let conditions = json.pointer_mut("/status/conditions");
    let conditions = conditions
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    for condition in conditions.filter_map(Value::as_object_mut) {
        condition.remove("message");
        condition.remove("lastTransitionTime");
    }
}

impl<T> Object<T> {
    /// The object, as it is observed.
    pub fn shared(&self) -> Arc<T> {
        self.value.clone()
    }
}

impl<T> std::ops::Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Object<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            print: self.print,
        }
    }
}

impl<T> PartialEq for Object<T> {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl<T> Eq for Object<T> {}

impl<T> Hash for Object<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.print.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Object<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
