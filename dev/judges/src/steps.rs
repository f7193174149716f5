//! The steps that each judge takes, and what it may answer.

use keyloan_simulator::account::Item;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a judge does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Signs in with the token.
    SignIn,
    /// Lists the vaults.
    Vaults,
    /// Lists the items of a vault, archived ones included.
    Items,
    /// Reads an item.
    Item,
    /// Resolves a secret reference.
    Resolve,
    /// Reads the share policy.
    Policy,
    /// Makes a share link, which its recipient then opens.
    Share,
    /// Tries to share an archived item.
    ShareArchived,
    /// Tries to share with a person whom the policy does not permit.
    ShareStranger,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 9] = [
        Self::SignIn,
        Self::Vaults,
        Self::Items,
        Self::Item,
        Self::Resolve,
        Self::Policy,
        Self::Share,
        Self::ShareArchived,
        Self::ShareStranger,
    ];

    /// The step in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign in",
            Self::Vaults => "list vaults",
            Self::Items => "list items",
            Self::Item => "read an item",
            Self::Resolve => "resolve a secret reference",
            Self::Policy => "read the share policy",
            Self::Share => "share an item, open the link",
            Self::ShareArchived => "an archived item is refused",
            Self::ShareStranger => "a recipient is refused",
        }
    }

    /// The words by which Keyloan knows the refusal (`src/onepassword/calls.rs`), if the step is
    /// one that must be refused.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::ShareArchived => Some("not in an active state"),
            Self::ShareStranger => Some("not permitted by account policy"),
            _ => None,
        }
    }
}

/// What the steps are about: one account, seen by all judges.
pub struct Scene {
    /// The service account's token.
    pub token: String,
    /// The vault's id.
    pub vault: String,
    /// The vault's title.
    pub vault_title: String,
    /// The id of the item that is read and shared.
    pub item: String,
    /// That item, as the account's file has it.
    pub content: Item,
    /// The id of the archived item.
    pub archived: String,
}

/// The person for whom the links are.
pub const RECIPIENT: &str = "alice@example.com";

/// A person whom the policy does not permit.
pub const STRANGER: &str = "eve@example.com";

/// The label of the field that the secret reference names.
pub const FIELD: &str = "password";

/// A judge, and the core that it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// The client with its version.
    pub client: String,
    /// The core with its version.
    pub core: String,
    /// The core's license.
    pub license: String,
    /// The checksum of the core's file.
    pub sha256: String,
    /// What runs the client.
    pub runtime: String,
}

/// What came of a step.
#[derive(Debug)]
pub enum Answer {
    /// The client's answer. For a share, the item as its recipient sees it.
    Said(Value),
    /// The client refused, with these words.
    Refused(String),
    /// The client has no such step.
    Absent,
}

/// A step that a judge took.
#[derive(Debug)]
pub struct Taken {
    /// Which one.
    pub step: Step,
    /// What came of it.
    pub answer: Answer,
    /// The requests that the service saw meanwhile.
    pub requests: u64,
    /// Requests for something that the simulated service does not have.
    pub unknown: Vec<String>,
}

/// A judge with all its steps.
pub struct Testimony {
    /// The judge.
    pub about: About,
    /// In their order.
    pub steps: Vec<Taken>,
}
