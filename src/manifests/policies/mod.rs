//! The admission policies: who asked and who decided is what the API server saw, and only the
//! operator writes what it vouches for.
//!
//! Every refusal begins with a prefix that names the policy's concern and never changes, so that
//! people and the operator can tell it from other refusals.

mod guards;
mod identity;
mod link;
mod ownership;
mod policy;

use serde_json::Value;

use super::ManifestError;
pub use identity::IDENTITY_POLICIES;
use policy::{Policy, list_literal, string_literal};

/// What the policies have to know of the installation and of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// The usernames under which the operator runs.
    pub operators: Vec<String>,
    /// The usernames under which the cluster's own controllers delete: garbage collection and the
    /// end of a namespace. Were they refused, namespaces would never end.
    pub deleters: Vec<String>,
    /// A CEL expression over `request.userInfo` that yields the person's e-mail address, or a bare
    /// name if there is an `email_domain`. What is neither counts as no address, and so does an empty
    /// expression. One that reads a field which may be absent has to test that with `has()`.
    pub email: String,
    /// The domain of the addresses of those for whom the expression yields a bare name: `alice` is
    /// then `alice@DOMAIN`. Without it, bare names are no addresses.
    pub email_domain: Option<String>,
}

/// Of whom the username as a whole is an address, unless it is that of a cloud's service account, such as
/// `builder@project.iam.gserviceaccount.com`: nobody reads mail there.
const USERNAME_OF_A_PERSON: &str = "request.userInfo.username.lowerAscii().matches('@.*serviceaccount') ? '' : request.userInfo.username";

impl Default for Boundary {
    fn default() -> Self {
        Self {
            operators: vec!["system:serviceaccount:keyloan:keyloan".into()],
            deleters: vec![
                "system:serviceaccount:kube-system:generic-garbage-collector".into(),
                "system:serviceaccount:kube-system:namespace-controller".into(),
                // Both of them, where the controller manager runs without --use-service-account-credentials.
                "system:kube-controller-manager".into(),
            ],
            email: USERNAME_OF_A_PERSON.into(),
            email_domain: None,
        }
    }
}

/// The variables of the policies that hold usernames which belong to an installation, as a list of plain texts.
pub const USERNAME_VARIABLES: [&str; 2] = ["operators", "deleters"];
/// The variables of the policies that hold an expression which belongs to an installation. Nothing else differs between two.
pub const EMAIL_VARIABLES: [&str; 2] = ["email", "emailDomain"];

impl Boundary {
    fn operators_variable(&self) -> (&'static str, String) {
        (USERNAME_VARIABLES[0], list_literal(&self.operators))
    }

    fn email_variables(&self) -> [(&'static str, String); 2] {
        let expression = match self.email.trim().is_empty() {
            true => string_literal(""),
            false => self.email.clone(),
        };
        let domain = self.email_domain.as_deref().unwrap_or_default();
        [
            (EMAIL_VARIABLES[0], expression),
            (EMAIL_VARIABLES[1], string_literal(domain)),
        ]
    }

    fn deleters_variable(&self) -> (&'static str, String) {
        (USERNAME_VARIABLES[1], list_literal(&self.deleters))
    }
}

/// The validating policies with their bindings, each group with the concern that names its file.
pub fn validating_policies(
    boundary: &Boundary,
) -> Result<Vec<(&'static str, Vec<Value>)>, ManifestError> {
    [
        ("identity", identity::validating(boundary)),
        ("status", vec![guards::status(boundary)]),
        ("records", guards::records(boundary)),
        ("token", vec![guards::token()]),
        ("metadata", guards::metadata()),
        ("ownership", ownership::policies(boundary)),
        ("link", link::policies(boundary)),
    ]
    .into_iter()
    .map(|(concern, policies)| {
        let objects = policies
            .iter()
            .map(Policy::with_binding)
            .collect::<Result<Vec<_>, _>>()?;
        Ok((concern, objects.concat()))
    })
    .collect()
}

/// The mutating policies with their bindings, for clusters that know them (Kubernetes 1.36 and later).
///
/// Without them nothing is less safe: people then write their own identity, and the validating
/// policies refuse a false one.
pub fn mutating_policies(boundary: &Boundary) -> Vec<(&'static str, Vec<Value>)> {
    vec![("identity", identity::mutating(boundary))]
}
