//! Why a person's call failed, classified by what the person can do about it.

use kube::client::AuthError;
use kube::core::Status;
use rustls::CertificateError;

use crate::cluster::errors::{ErrorClass, sign_in_failed};

pub use crate::desk::failed_call::{CallError, Refused};

impl Refused {
    /// Classifies an error of the client.
    pub(super) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::by(*status),
            kube::Error::Auth(error) => Self::NotSignedIn(sign_in_failed(&error)),
            kube::Error::Service(error) => Self::unanswered(&*error),
            kube::Error::HyperError(error) => Self::unanswered(&error),
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// Classifies an error below HTTP. Signing in may fail there, too: some credentials are fetched
    /// with the first call.
    fn unanswered(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        let signed_in = causes
            .clone()
            .find_map(|error| error.downcast_ref::<AuthError>());
        if let Some(error) = signed_in {
            return Self::NotSignedIn(sign_in_failed(error));
        }
        let distrusted = causes.find_map(distrust);
        distrusted.map_or_else(|| Self::Unavailable(innermost(error)), Self::Untrusted)
    }

    /// Classifies a response of the API server.
    pub(super) fn by(status: Status) -> Self {
        let kind = status.details.as_ref().map_or("", |d| d.kind.as_str());
        let message = status.message.clone();
        match ErrorClass::of_status(&status) {
            ErrorClass::NotFound if kind == "namespaces" => Self::NoNamespace(
                status
                    .details
                    .as_ref()
                    .map_or_else(String::new, |d| d.name.clone()),
            ),
            ErrorClass::NotFound
                if kind.is_empty() || message.contains("could not find the requested") =>
            {
                Self::NotInstalled
            }
            ErrorClass::NotFound => Self::NotFound,
            ErrorClass::AlreadyExists => Self::AlreadyExists,
            ErrorClass::Conflict => Self::Conflict,
            ErrorClass::Unauthenticated => Self::NotSignedIn(message),
            ErrorClass::Forbidden | ErrorClass::Invalid if message.contains(DENIED) => {
                Self::Policy(words_of_policy(&message))
            }
            ErrorClass::Forbidden => Self::NoRight(message),
            ErrorClass::Invalid => Self::Invalid(complaints(&status)),
            ErrorClass::Unreadable | ErrorClass::Unavailable => Self::Unavailable(message),
        }
    }
}

/// The API server puts these words before the message of an admission policy.
const DENIED: &str = "denied request: ";

fn words_of_policy(message: &str) -> String {
    let words = message
        .split_once(DENIED)
        .map_or(message, |(_, words)| words);
    words.to_owned()
}

/// The API server joins all violations into one line that repeats the object; its causes are
/// readable.
fn complaints(status: &Status) -> Vec<String> {
    // This cause says only that there may be more violations.
    let is_complaint =
        |message: &str| !message.starts_with("some validation rules were not checked");
    let causes = status.details.iter().flat_map(|d| &d.causes);
    let causes = causes.filter(|cause| is_complaint(&cause.message));
    let one = |field: &str, message: &str| {
        // "Invalid value: <the object>: <the violation>"
        let words = message.strip_prefix("Invalid value: ").unwrap_or(message);
        match field {
            "" | "<nil>" | "spec" => words.to_owned(),
            field => format!("{field}: {words}"),
        }
    };
    let mut found: Vec<_> = causes.map(|c| one(&c.field, &c.message)).collect();
    found.dedup();
    if found.is_empty() {
        found.push(status.message.clone());
    }
    found
}

/// Why the API server's certificate is not trusted, if that is the error.
fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    // An I/O error does not return the wrapped error as its source.
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    let tls: &rustls::Error = match wrapped {
        Some(wrapped) => wrapped.downcast_ref()?,
        None => error.downcast_ref()?,
    };
    let rustls::Error::InvalidCertificate(why) = tls else {
        return None;
    };
    Some(match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: check this machine's clock".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "it is not signed by a certificate authority that the kubeconfig trusts".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it was issued for a different server name: pass --tls-server-name, or correct the server's address".to_owned()
        }
        other => other.to_string(),
    })
}

/// The innermost error says what happened; the outer ones only say that something did.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_policys_words_are_told_apart_from_a_missing_right() {
        let policy = status(
            r#"{"code": 403, "reason": "Forbidden", "message": "accessgrants.keyloan.dev \"x\" is forbidden: ValidatingAdmissionPolicy 'keyloan-grant-identity' with binding 'keyloan-grant-identity' denied request: keyloan-identity: spec.requester.username must be your own username"}"#,
        );
        let words = "keyloan-identity: spec.requester.username must be your own username";
        assert_eq!(Refused::by(policy), Refused::Policy(words.into()));
        let right = status(
            r#"{"code": 403, "reason": "Forbidden", "message": "accessgrants.keyloan.dev is forbidden: User \"erin\" cannot create resource"}"#,
        );
        assert!(matches!(Refused::by(right), Refused::NoRight(_)));
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_told_apart_from_a_missing_answer() {
        let of = |why| {
            let tls = rustls::Error::InvalidCertificate(why);
            let io = std::io::Error::new(std::io::ErrorKind::InvalidData, tls);
            Refused::unanswered(&io)
        };
        let expired = Refused::Untrusted("it has expired".into());
        assert_eq!(of(CertificateError::Expired), expired);
        assert!(
            matches!(of(CertificateError::UnknownIssuer), Refused::Untrusted(why) if why.contains("signed"))
        );
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(matches!(
            Refused::unanswered(&refused),
            Refused::Unavailable(_)
        ));
    }

    #[test]
    fn a_missing_object_a_missing_namespace_and_a_missing_kind_are_different_things() {
        for (text, refused) in [
            (
                r#"{"code": 404, "reason": "NotFound", "message": "accessgrants.keyloan.dev \"x\" not found", "details": {"name": "x", "kind": "accessgrants"}}"#,
                Refused::NotFound,
            ),
            (
                r#"{"code": 404, "reason": "NotFound", "message": "namespaces \"nowhere\" not found", "details": {"name": "nowhere", "kind": "namespaces"}}"#,
                Refused::NoNamespace("nowhere".into()),
            ),
            (
                r#"{"code": 404, "reason": "NotFound", "message": "404 page not found"}"#,
                Refused::NotInstalled,
            ),
        ] {
            assert_eq!(Refused::by(status(text)), refused);
        }
    }

    #[test]
    fn broken_rules_are_told_one_by_one() {
        let broken = status(
            r#"{"code": 422, "reason": "Invalid", "message": "long", "details": {"kind": "AccessGrant", "causes": [
                {"field": "spec.duration", "message": "Invalid value: duration must be at least 1h"},
                {"field": "spec", "message": "Invalid value: a single-view link can have only one recipient"}]}}"#,
        );
        assert_eq!(
            Refused::by(broken),
            Refused::Invalid(vec![
                "spec.duration: duration must be at least 1h".into(),
                "a single-view link can have only one recipient".into(),
            ])
        );
    }
}
