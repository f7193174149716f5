//! Whether a Secret is meant for a notifier, according to its labels. The operator reads no other:
//! otherwise anyone who can create a notifier could send any Secret of the namespace somewhere.

use std::collections::BTreeMap;

use crate::api::{NOTIFIER_LABEL, SECRET_LABEL};

/// What a Secret's labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretClaim {
    /// It is this notifier's.
    Ours,
    /// It is not labeled as a Secret of notifiers.
    NotLabelled,
    /// It is another notifier's, or nobody's.
    OfAnother(Option<String>),
}

/// What a Secret's labels say about this notifier.
pub fn secret_claim(labels: &BTreeMap<String, String>, notifier: &str) -> SecretClaim {
    if labels.get(SECRET_LABEL).map(String::as_str) != Some("notifier") {
        return SecretClaim::NotLabelled;
    }
    match labels.get(NOTIFIER_LABEL) {
        Some(name) if name == notifier => SecretClaim::Ours,
        other => SecretClaim::OfAnother(other.cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::ours(&[("keyloan.dev/secret", "notifier"), ("keyloan.dev/notifier", "ops")], SecretClaim::Ours)]
    #[case::a_token(&[("keyloan.dev/secret", "token"), ("keyloan.dev/notifier", "ops")], SecretClaim::NotLabelled)]
    #[case::any_secret(&[], SecretClaim::NotLabelled)]
    #[case::nobodys(&[("keyloan.dev/secret", "notifier")], SecretClaim::OfAnother(None))]
    #[case::another_ones(
        &[("keyloan.dev/secret", "notifier"), ("keyloan.dev/notifier", "audit")],
        SecretClaim::OfAnother(Some("audit".into()))
    )]
    fn a_secret_is_read_only_if_its_labels_name_the_notifier(
        #[case] labels: &[(&str, &str)],
        #[case] claim: SecretClaim,
    ) {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        assert_eq!(secret_claim(&labels.collect(), "ops"), claim);
    }
}
