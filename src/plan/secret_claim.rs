//! Whether a Secret is meant for an integration or a notifier, according to its labels. The operator
//! reads no other: otherwise anyone who can create one of these could make the operator use any
//! Secret of the namespace.

use std::collections::BTreeMap;

use crate::api::{INTEGRATION_LABEL, NOTIFIER_LABEL, SECRET_LABEL};

/// What a Secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretPurpose {
    /// It holds the token of an integration.
    Token,
    /// It says where the notices of a notifier go.
    Notifier,
}

impl SecretPurpose {
    /// The value of the label [`SECRET_LABEL`].
    fn kind(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Notifier => "notifier",
        }
    }

    /// The label that names the owner.
    fn owner_label(self) -> &'static str {
        match self {
            Self::Token => INTEGRATION_LABEL,
            Self::Notifier => NOTIFIER_LABEL,
        }
    }
}

/// What a Secret's labels say about its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretClaim<'a> {
    /// It is this one's.
    Ours,
    /// It is not labeled as a Secret for this purpose.
    NotLabelled,
    /// It is another one's, or nobody's.
    OfAnother(Option<&'a str>),
}

/// What a Secret's labels say about the integration or notifier with this name. The operator reads
/// the Secret only with [`SecretClaim::Ours`].
pub fn secret_claim<'a>(
    labels: &'a BTreeMap<String, String>,
    purpose: SecretPurpose,
    name: &str,
) -> SecretClaim<'a> {
    if labels.get(SECRET_LABEL).map(String::as_str) != Some(purpose.kind()) {
        return SecretClaim::NotLabelled;
    }
    match labels.get(purpose.owner_label()).map(String::as_str) {
        Some(owner) if owner == name => SecretClaim::Ours,
        other => SecretClaim::OfAnother(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::ours(SecretPurpose::Token, &[("keyloan.dev/secret", "token"), ("keyloan.dev/integration", "prod")], SecretClaim::Ours)]
    #[case::another_ones(SecretPurpose::Token, &[("keyloan.dev/secret", "token"), ("keyloan.dev/integration", "dev")], SecretClaim::OfAnother(Some("dev")))]
    #[case::nobodys(SecretPurpose::Token, &[("keyloan.dev/secret", "token")], SecretClaim::OfAnother(None))]
    #[case::a_notifiers(SecretPurpose::Token, &[("keyloan.dev/secret", "token"), ("keyloan.dev/notifier", "prod")], SecretClaim::OfAnother(None))]
    #[case::a_link(SecretPurpose::Token, &[("keyloan.dev/secret", "link"), ("keyloan.dev/integration", "prod")], SecretClaim::NotLabelled)]
    #[case::half_labeled(SecretPurpose::Token, &[("keyloan.dev/integration", "prod")], SecretClaim::NotLabelled)]
    #[case::any_secret(SecretPurpose::Token, &[], SecretClaim::NotLabelled)]
    #[case::ours(SecretPurpose::Notifier, &[("keyloan.dev/secret", "notifier"), ("keyloan.dev/notifier", "prod")], SecretClaim::Ours)]
    #[case::another_ones(SecretPurpose::Notifier, &[("keyloan.dev/secret", "notifier"), ("keyloan.dev/notifier", "audit")], SecretClaim::OfAnother(Some("audit")))]
    #[case::nobodys(SecretPurpose::Notifier, &[("keyloan.dev/secret", "notifier")], SecretClaim::OfAnother(None))]
    #[case::a_token(SecretPurpose::Notifier, &[("keyloan.dev/secret", "token"), ("keyloan.dev/notifier", "prod")], SecretClaim::NotLabelled)]
    #[case::any_secret(SecretPurpose::Notifier, &[], SecretClaim::NotLabelled)]
    fn a_secret_is_read_only_if_its_labels_name_its_owner(
        #[case] purpose: SecretPurpose,
        #[case] labels: &[(&str, &str)],
        #[case] claim: SecretClaim<'_>,
    ) {
        let own = |(key, value): &(&str, &str)| ((*key).into(), (*value).into());
        let labels: BTreeMap<String, String> = labels.iter().map(own).collect();
        assert_eq!(secret_claim(&labels, purpose, "prod"), claim);
    }
}
