//! Who people are, as the API server saw them, and how rules name them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Email, LABEL_PATTERN};

/// A username or a group, exactly as the API server knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PrincipalName(#[schemars(length(min = 1, max = 256))] pub String);

/// So an admission policy tells people the e-mail address that their identity has to have: it follows in quotation marks.
pub const ADDRESS_TOLD: &str =
    "email must be the address that this cluster knows you by: set it to ";

/// So an admission policy tells whoever has to give it that a request needs an end; more words follow.
pub const END_TOLD: &str = "spec.notAfter is required of";

/// The longest name of a group that a rule can name. Longer ones are left out of identities.
pub const LONGEST_GROUP: usize = 256;
/// How many groups an identity holds.
pub const MOST_GROUPS: usize = 1000;

/// Who made an object, as the API server saw it: stamped and verified at admission, never taken on trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The username with which the API server authenticated the request.
    #[schemars(length(min = 1, max = 256))]
    pub username: String,
    /// The user's groups without those of the system (`system:...`) and without names of more than 256 characters, which no rule can name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub groups: Vec<PrincipalName>,
    /// The user's e-mail address, as the cluster's admission policy derives it from the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// One person, by username or e-mail address.
    User,
    /// Everyone in a group.
    Group,
    /// A ServiceAccount of this cluster.
    ServiceAccount,
}

/// Who may ask: a person, a group, or a ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.kind != 'Group' || !self.name.startsWith('system:')")
    .message("groups of the system (system:...) are stripped from identities and match nobody; name a group of your own"))]
#[x_kube(validation = Rule::new("(self.kind == 'ServiceAccount') == has(self.namespace)")
    .message("namespace is required for a ServiceAccount, and only for that"))]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// What the name names.
    pub kind: SubjectKind,
    /// The username, the group or the ServiceAccount's name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The namespace of a ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN))]
    pub namespace: Option<String>,
}

/// Whether a name is a person's or a group's.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum PersonKind {
    /// One person, by username or e-mail address.
    User,
    /// Everyone in a group.
    Group,
}

/// A person or a group of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.kind != 'Group' || !self.name.startsWith('system:')")
    .message("groups of the system (system:...) are stripped from identities and match nobody; name a group of your own"))]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// What the name names.
    pub kind: PersonKind,
    /// The username or the group.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}
