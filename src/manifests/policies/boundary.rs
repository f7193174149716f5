//! What the policies need to know about the installation and the cluster.

use super::policy::{list_literal, string_literal};

/// The settings of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// The operators and their links namespaces: one for each install in the cluster.
    pub operators: Vec<Operator>,
    /// The usernames of the cluster's own controllers that delete objects: the garbage collector
    /// and the namespace controller. If the policies refused them, deleted namespaces would never
    /// disappear.
    pub deleters: Vec<String>,
    /// The usernames that may restore records from a backup: with a label that says so.
    pub restorers: Vec<String>,
    /// A CEL expression over `request.userInfo` that returns the person's e-mail address, or a bare
    /// name if there is an `email_domain`. Any other result counts as no address, and so does an
    /// empty expression. An expression that reads a field which may be absent has to test that with
    /// `has()`.
    pub email: String,
    /// The domain for bare names that the expression returns: `alice` then means `alice@DOMAIN`.
    /// Without a domain, bare names are no addresses.
    pub email_domain: Option<String>,
}

/// An operator as the policies know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its username: that of its ServiceAccount.
    pub username: String,
    /// The one namespace in which it stores links.
    pub links_namespace: String,
}

impl Operator {
    /// The policies' entry for this operator and its links namespace: `NAMESPACE/USERNAME`.
    pub fn link_entry(&self) -> String {
        link_entry(&self.links_namespace, &self.username)
    }
}

/// The policies' entry for an operator and its links namespace. The name of a namespace contains no
/// slash.
pub fn link_entry(links_namespace: &str, username: &str) -> String {
    format!("{links_namespace}/{username}")
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            username: "system:serviceaccount:keyloan-system:keyloan".into(),
            links_namespace: "keyloan-system-links".into(),
        }
    }
}

/// Returns the username as the address, unless it is that of a cloud service account, such as
/// `builder@project.iam.gserviceaccount.com`: nobody reads mail there.
const USERNAME_OF_A_PERSON: &str = "request.userInfo.username.lowerAscii().matches('@.*serviceaccount') ? '' : request.userInfo.username";

impl Default for Boundary {
    fn default() -> Self {
        Self {
            operators: vec![Operator::default()],
            deleters: vec![
                "system:serviceaccount:kube-system:generic-garbage-collector".into(),
                "system:serviceaccount:kube-system:namespace-controller".into(),
                // The username of both, if the controller manager runs without
                // --use-service-account-credentials.
                "system:kube-controller-manager".into(),
            ],
            restorers: Vec::new(),
            email: USERNAME_OF_A_PERSON.into(),
            email_domain: None,
        }
    }
}

/// The policies' variables with usernames of an installation, as lists of plain texts.
pub const USERNAME_VARIABLES: [&str; 4] = ["operators", "deleters", "restorers", LINKS_VARIABLE];
/// The one of them with the operators' links namespaces: see [`link_entry`].
pub const LINKS_VARIABLE: &str = "links";
/// The policies' variables with CEL expressions of an installation. Nothing else differs between
/// installations.
pub const EMAIL_VARIABLES: [&str; 2] = ["email", "emailDomain"];

impl Boundary {
    pub(super) fn operators_variable(&self) -> (&'static str, String) {
        let usernames = self.operators.iter().map(|operator| &operator.username);
        (USERNAME_VARIABLES[0], list_literal(usernames))
    }

    pub(super) fn links_variable(&self) -> (&'static str, String) {
        let entries: Vec<_> = self.operators.iter().map(Operator::link_entry).collect();
        (LINKS_VARIABLE, list_literal(&entries))
    }

    pub(super) fn email_variables(&self) -> [(&'static str, String); 2] {
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

    pub(super) fn deleters_variable(&self) -> (&'static str, String) {
        (USERNAME_VARIABLES[1], list_literal(&self.deleters))
    }

    pub(super) fn restorers_variable(&self) -> (&'static str, String) {
        (USERNAME_VARIABLES[2], list_literal(&self.restorers))
    }
}
