//! Why a person's call came to nothing, sorted by what the person can do about it.

use kube::core::Status;

/// A call that a person made in vain. The plugin says it in words, with what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What was tried.
    pub verb: &'static str,
    /// With what: kind, namespace and name.
    pub object: String,
    /// What came of it.
    pub refused: Refused,
}

/// What came of a call in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such object.
    NotFound,
    /// There is no such namespace.
    NoNamespace(String),
    /// The API server does not know the kind: Keyloan is not installed.
    NotInstalled,
    /// There is one of this name already.
    AlreadyExists,
    /// It is another version, or another object, than was thought.
    Conflict,
    /// The API server does not know who this is.
    NotSignedIn(String),
    /// The person lacks the right; the API server's words.
    NoRight(String),
    /// An admission policy refuses; its own words.
    Policy(String),
    /// The object breaks rules of its kind; one sentence for each.
    Invalid(Vec<String>),
    /// No answer in time.
    Timeout,
    /// No answer, or none that is understood.
    Unavailable(String),
}

impl Refused {
    /// Sorts an error of the client.
    pub(super) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::by(*status),
            kube::Error::Auth(error) => Self::NotSignedIn(error.to_string()),
            kube::Error::Service(error) => Self::Unavailable(innermost(&*error)),
            kube::Error::HyperError(error) => Self::Unavailable(innermost(&error)),
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// Sorts an answer of the API server.
    pub(super) fn by(status: Status) -> Self {
        let kind = status.details.as_ref().map_or("", |d| d.kind.as_str());
        let message = status.message.clone();
        match (status.code, status.reason.as_str()) {
            (404, _) if kind == "namespaces" => Self::NoNamespace(
                status
                    .details
                    .as_ref()
                    .map_or_else(String::new, |d| d.name.clone()),
            ),
            (404, _) if kind.is_empty() || message.contains("could not find the requested") => {
                Self::NotInstalled
            }
            (404, _) => Self::NotFound,
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, _) => Self::Conflict,
            (401, _) => Self::NotSignedIn(message),
            (403 | 422, _) if message.contains(DENIED) => Self::Policy(words_of_policy(&message)),
            (403, _) => Self::NoRight(message),
            (400 | 413 | 422, _) => Self::Invalid(complaints(&status)),
            _ => Self::Unavailable(message),
        }
    }
}

/// With these words the API server introduces those of an admission policy.
const DENIED: &str = "denied request: ";

fn words_of_policy(message: &str) -> String {
    let words = message
        .split_once(DENIED)
        .map_or(message, |(_, words)| words);
    words.to_owned()
}

/// The API server joins all complaints into one line that repeats the object; its causes are what a person can read.
fn complaints(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|d| &d.causes);
    let one = |field: &str, message: &str| {
        // "Invalid value: <the object>: <what is wrong>"
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

/// What lies at the bottom says what happened; what is above it says only that something did.
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
                {"field": "spec", "message": "Invalid value: a link that opens just once can have only one recipient"}]}}"#,
        );
        assert_eq!(
            Refused::by(broken),
            Refused::Invalid(vec![
                "spec.duration: duration must be at least 1h".into(),
                "a link that opens just once can have only one recipient".into(),
            ])
        );
    }
}
