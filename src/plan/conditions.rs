//! Sets conditions, keeps the time of their last transition, and finds those that changed.

use jiff::Timestamp;

use crate::api::{Condition, Time};

/// The conditions of one object, built in each pass from the previous ones.
#[derive(Clone, Debug)]
pub struct Conditions<'a> {
    before: &'a [Condition],
    generation: i64,
    now: Timestamp,
    set: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Starts from the previous conditions.
    pub fn new(before: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self {
            before,
            generation,
            now,
            set: Vec::new(),
        }
    }

    /// Sets whether a condition holds, the reason, and what to do. The last call for a type wins.
    pub fn say(
        &mut self,
        type_: &str,
        holds: bool,
        reason: impl AsRef<str>,
        message: impl Into<String>,
    ) {
        self.put(
            type_,
            if holds { "True" } else { "False" },
            reason.as_ref(),
            message.into(),
        );
    }

    /// Sets a condition to unknown, with the reason.
    pub fn say_unknown(
        &mut self,
        type_: &str,
        reason: impl AsRef<str>,
        message: impl Into<String>,
    ) {
        self.put(type_, "Unknown", reason.as_ref(), message.into());
    }

    /// Repeats a previous condition of the same generation.
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

    /// The condition of this type, if it was set.
    pub fn said(&self, type_: &str) -> Option<&Condition> {
        self.set.iter().find(|c| c.type_ == type_)
    }

    /// The conditions, in the order in which they were set.
    pub fn done(self) -> Vec<Condition> {
        self.set
    }
}

/// Whether a condition exists and is true.
pub fn holds(conditions: &[Condition], type_: &str) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == type_ && c.status == "True")
}

/// A note for people about one condition that changed. Kubernetes shows it as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
    /// Whether a person may have to act.
    pub warning: bool,
}

impl Note {
    /// The note about this condition.
    pub fn of(condition: &Condition, warning: bool) -> Self {
        Self {
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            warning,
        }
    }
}

/// The conditions with a new status or reason.
pub fn changed<'a>(
    before: &'a [Condition],
    after: &'a [Condition],
) -> impl Iterator<Item = &'a Condition> {
    after.iter().filter(|c| {
        !before
            .iter()
            .any(|b| b.type_ == c.type_ && b.status == c.status && b.reason == c.reason)
    })
}

/// A note for each condition with a new status or reason.
pub fn notes(
    before: &[Condition],
    after: &[Condition],
    warns: impl Fn(&Condition) -> bool,
) -> Vec<Note> {
    let changed = changed(before, after);
    changed.map(|c| Note::of(c, warns(c))).collect()
}
