//! Conditions: one verb to set them, which keeps the time of the last change.

use jiff::Timestamp;

use crate::api::{Condition, Time};

use super::effect::Note;

/// The conditions of one object, built anew in each pass from those that were there.
#[derive(Clone, Debug)]
pub struct Conditions<'a> {
    before: &'a [Condition],
    generation: i64,
    now: Timestamp,
    set: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Start from the conditions that were there.
    pub fn new(before: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self {
            before,
            generation,
            now,
            set: Vec::new(),
        }
    }

    /// Say whether a condition holds, why, and what to do. The last word on a type counts.
    pub fn say(&mut self, type_: &str, holds: bool, reason: &str, message: impl Into<String>) {
        self.put(
            type_,
            if holds { "True" } else { "False" },
            reason,
            message.into(),
        );
    }

    /// Say that it is not known whether a condition holds, and why.
    pub fn say_unknown(&mut self, type_: &str, reason: &str, message: impl Into<String>) {
        self.put(type_, "Unknown", reason, message.into());
    }

    /// Say what was said before, of the same generation.
    pub fn say_again(&mut self, before: &Condition) {
        let Condition {
            type_,
            status,
            reason,
            message,
            ..
        } = before;
        self.put(type_, status, reason, message.clone());
    }

    fn put(&mut self, type_: &str, status: &str, reason: &str, message: String) {
        let since = self
            .before
            .iter()
            .find(|c| c.type_ == type_ && c.status == status)
            .map_or(Time(self.now), |c| c.last_transition_time.clone());
        self.set.retain(|c| c.type_ != type_);
        self.set.push(Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message,
            observed_generation: Some(self.generation),
            last_transition_time: since,
        });
    }

    /// The conditions, in the order in which they were said.
    pub fn done(self) -> Vec<Condition> {
        self.set
    }
}

/// Whether a condition is there and true.
pub fn holds(conditions: &[Condition], type_: &str) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == type_ && c.status == "True")
}

/// What has changed between two sets of conditions: a note for each status or reason that is another one now.
pub fn notes(
    before: &[Condition],
    after: &[Condition],
    warns: impl Fn(&Condition) -> bool,
) -> Vec<Note> {
    let changed = |c: &&Condition| {
        !before
            .iter()
            .any(|b| b.type_ == c.type_ && b.status == c.status && b.reason == c.reason)
    };
    after
        .iter()
        .filter(changed)
        .map(|c| Note {
            reason: c.reason.clone(),
            message: c.message.clone(),
            warning: warns(c),
        })
        .collect()
}
