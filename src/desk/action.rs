//! What a person can do next, and why something else cannot be done.

/// Something to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for an item.
    Request,
    /// Wait for the link of the grant of this name, and open it.
    Open(String),
    /// Read why the grant of this name is where it is.
    Explain(String),
    /// End the loan of this name.
    Revoke(String),
}

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is in the way, of what.
    pub message: String,
    /// What to do instead.
    pub next: Option<Advice>,
}

/// What to do next, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What it is good for, as `see more`.
    pub to: &'static str,
    /// What to do.
    pub action: Action,
}

impl Refusal {
    /// With nothing to do instead.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            next: None,
        }
    }

    /// Adds what to do instead.
    pub fn next(self, to: &'static str, action: Action) -> Self {
        Self {
            next: Some(Advice { to, action }),
            ..self
        }
    }
}
