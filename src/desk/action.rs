//! What a person can do next, and why something cannot be done.

/// Something to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Request an item.
    Request,
    /// Get the link of the grant of this name, and wait for it if necessary.
    Open(String),
    /// Read the state of the grant of this name.
    Explain(String),
    /// End the loan of this name.
    Revoke(String),
}

impl Action {
    /// Its name, for a button or in front of a command.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Request => "Request an item",
            Self::Open(_) => "Open the link",
            Self::Explain(_) => "See its state",
            Self::Revoke(_) => "End the loan",
        }
    }
}

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What prevents it, on which object.
    pub message: String,
    /// What to do next.
    pub next: Option<Advice>,
}

/// An action, and its purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The purpose, after "to": `see why`.
    pub to: &'static str,
    /// The action.
    pub action: Action,
}

impl Refusal {
    /// A refusal without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            next: None,
        }
    }

    /// Adds what to do next.
    pub fn next(self, to: &'static str, action: Action) -> Self {
        Self {
            next: Some(Advice { to, action }),
            ..self
        }
    }
}
