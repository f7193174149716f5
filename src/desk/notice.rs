//! A notice: what one person or one channel is told about one step of a request or a loan. It never
//! contains a link's URL, a token or a field of an item.

use jiff::Timestamp;

use crate::api::NoticeEvent;

/// The people for whom a notice is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Those who can decide about the request.
    Approvers,
    /// The person who asked.
    Requester,
    /// A recipient who did not ask. They read nothing that another person wrote freely.
    Recipient,
    /// A channel or an archive, which reads about other people.
    Observers,
}

/// A notice, in words. All of it is text to be shown as it is: a sender escapes it for its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Identifies the step: a receiver that gets the same id twice has the notice already.
    pub id: String,
    /// The step.
    pub event: NoticeEvent,
    /// The time of the step.
    pub at: Timestamp,
    /// For whom it is worded.
    pub audience: Audience,
    /// What happened, in one line without markup, such as `alice@example.com asks for Infra/db`.
    pub subject: String,
    /// What there is to know, each with a label of one or two words.
    pub facts: Vec<Fact>,
    /// What the reader can do next, in sentences.
    pub next: Vec<Next>,
    /// The page to which the notice leads.
    pub page: Option<String>,
}

/// A fact with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The label, such as `Item`.
    pub label: &'static str,
    /// The value, in one line.
    pub value: String,
}

/// Something that the reader can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The sentence, such as `To approve, run`.
    pub sentence: String,
    /// The command, if there is one.
    pub command: Option<String>,
}
