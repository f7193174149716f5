//! Errors of Kubernetes API calls, classified by what they mean to a controller; and calls that are
//! retried because of them.

use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use kube::client::AuthError;
use kube::core::Status;

/// How often at most a failed call is retried at once.
const TIMES: usize = 3;
/// The first wait; the next ones are longer.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// A call of the Kubernetes API that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} {object}: {kind}")]
pub struct ApiError {
    /// The verb.
    pub verb: &'static str,
    /// The kind, namespace and name.
    pub object: String,
    /// What went wrong.
    pub kind: ApiErrorKind,
}

/// What went wrong in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// The object or its namespace does not exist.
    NotFound,
    /// An object with this name already exists.
    AlreadyExists,
    /// An object with this name that is not ours was deleted, and somebody's finalizer blocks that.
    InTheWay,
    /// The object has another version or identity than expected.
    Conflict,
    /// The operator lacks a right, or an admission policy refuses.
    Forbidden(String),
    /// The API server rejects the object.
    Invalid(String),
    /// No response in time.
    Timeout,
    /// No response, or one that asks to retry later.
    Unavailable(String),
}

/// What an error of the client means, for all callers: no other place knows the API server's status
/// codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    NotFound,
    AlreadyExists,
    Conflict,
    Unauthenticated,
    Forbidden,
    Invalid,
    /// The client cannot parse the response.
    Unreadable,
    /// No response, or one that asks to retry later.
    Unavailable,
}

impl ErrorClass {
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            kube::Error::SerdeError(_) => Self::Unreadable,
            _ => Self::Unavailable,
        }
    }

    pub(super) fn of_status(status: &Status) -> Self {
        match (status.code, status.reason.as_str()) {
            (404, _) => Self::NotFound,
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, _) => Self::Conflict,
            (401, _) => Self::Unauthenticated,
            (403, _) => Self::Forbidden,
            (400 | 413 | 422, _) => Self::Invalid,
            _ => Self::Unavailable,
        }
    }
}

/// How much of the API server's message an error repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disclosure {
    /// The whole message.
    Message,
    /// Only the code and the reason: a webhook's message may quote the object, and a parse error
    /// may quote the response.
    CodeAndReason,
    /// The same as [`Disclosure::CodeAndReason`], and the name of the webhook, policy or quota that
    /// refuses, as the API server gives it.
    Refuser,
}

impl ApiErrorKind {
    /// Classifies an error of the client.
    pub(super) fn of(error: &kube::Error, disclosure: Disclosure) -> Self {
        let why = match disclosure {
            Disclosure::Message => quoted(error),
            Disclosure::CodeAndReason => withheld(error),
            Disclosure::Refuser => match refuser(error) {
                Some(who) => format!("{}, by {who}", withheld(error)),
                None => withheld(error),
            },
        };
        match ErrorClass::of(error) {
            ErrorClass::NotFound => Self::NotFound,
            ErrorClass::AlreadyExists => Self::AlreadyExists,
            ErrorClass::Conflict => Self::Conflict,
            ErrorClass::Unauthenticated | ErrorClass::Forbidden => Self::Forbidden(why),
            ErrorClass::Invalid => Self::Invalid(why),
            ErrorClass::Unreadable | ErrorClass::Unavailable => Self::Unavailable(why),
        }
    }

    /// The label in metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::InTheWay => "in_the_way",
            Self::Conflict => "conflict",
            Self::Forbidden(_) => "forbidden",
            Self::Invalid(_) => "invalid",
            Self::Timeout => "timeout",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

fn quoted(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn withheld(error: &kube::Error) -> String {
    match error {
        // The reason is one of a few words, unless a webhook has set another text.
        kube::Error::Api(status) if is_word(&status.reason) => {
            format!("{} {}", status.code, status.reason)
        }
        kube::Error::Api(status) => status.code.to_string(),
        kube::Error::Service(_) | kube::Error::HyperError(_) => error.to_string(),
        _ => "its response cannot be read".to_owned(),
    }
}

/// The name of the webhook, policy or quota that refuses, from the beginning of the API server's
/// message. The rest of the message may be somebody else's.
fn refuser(error: &kube::Error) -> Option<String> {
    const BEGINNINGS: [(&str, char, &str); 4] = [
        ("admission webhook \"", '"', "the admission webhook"),
        (
            "Internal error occurred: failed calling webhook \"",
            '"',
            "the unreachable admission webhook",
        ),
        (
            "ValidatingAdmissionPolicy '",
            '\'',
            "the ValidatingAdmissionPolicy",
        ),
        ("exceeded quota: ", ',', "the ResourceQuota"),
    ];
    let kube::Error::Api(status) = error else {
        return None;
    };
    // A message about a forbidden call begins with the object: `secrets "name" is forbidden: ...`.
    let said = status.message.split_once(" is forbidden: ");
    let said = match said {
        Some((object, said)) if object.len() < 400 && !object.contains('\n') => said,
        _ => &status.message,
    };
    BEGINNINGS.iter().find_map(|(beginning, end, what)| {
        let (name, _) = said.strip_prefix(beginning)?.split_once(*end)?;
        let is_name = name.len() <= 253
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        is_name.then(|| format!("{what} {name}"))
    })
}

/// Whether a text looks like a reason, such as `AlreadyExists`, and cannot be a secret.
fn is_word(reason: &str) -> bool {
    (1..=32).contains(&reason.len()) && reason.chars().all(|c| c.is_ascii_alphabetic())
}

impl ApiErrorKind {
    /// Whether this is a refusal, which stands until a person changes something. A missing response
    /// is not.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Forbidden(_) | Self::Invalid(_) | Self::InTheWay)
    }

    /// Whether the error may pass by itself: there was no response, or one that asks to retry
    /// later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable(_))
    }

    /// The API server's own message.
    pub fn quote(&self) -> String {
        match self {
            Self::Forbidden(why) | Self::Invalid(why) | Self::Unavailable(why) => why.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for ApiErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it does not exist"),
            Self::AlreadyExists => f.write_str("it already exists"),
            Self::InTheWay => f.write_str(
                "an object with this name exists, is not managed by Keyloan and is blocked by a finalizer; remove the finalizer",
            ),
            Self::Conflict => f.write_str("it has changed in the meantime"),
            Self::Forbidden(why) => {
                write!(
                    f,
                    "the API server denied it: {why}; unless this names a quota, policy or \
                     webhook, check that the operator's roles are installed"
                )
            }
            Self::Invalid(why) => write!(f, "the API server rejected it: {why}"),
            Self::Timeout => f.write_str("the API server did not answer in time"),
            Self::Unavailable(why) => write!(f, "the API server is unavailable: {why}"),
        }
    }
}

/// Why signing in failed. It quotes only the standard error of a failed command: the standard
/// output may be a token.
pub(super) fn sign_in_failed(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { cmd, out } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            let last: String = last
                .unwrap_or("it printed no error")
                .trim()
                .chars()
                .take(300)
                .collect();
            format!(
                "the kubeconfig's sign-in command {cmd:?} failed ({}): {last}",
                out.status
            )
        }
        AuthError::AuthExecStart(error) => {
            format!("cannot run the kubeconfig's sign-in command: {error}")
        }
        other => other.to_string(),
    }
}

/// Makes a call, and retries it unless it was refused or timed out. Use it where one task takes
/// many calls: if one of them failed, the task would repeat all of them and ask 1Password again.
/// The call must be idempotent.
pub async fn with_retries<T, F>(call: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let waits = ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_times(TIMES)
        .with_jitter();
    call.retry(waits)
        .when(|error| matches!(error.kind, ApiErrorKind::Unavailable(_)))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PLANTED: &str = "https://share.example/s#planted-key";

    fn refusal(code: u16, reason: &str) -> kube::Error {
        let message = format!("admission webhook \"echo\" denied the request: {PLANTED}");
        kube::Error::Api(Status::failure(&message, reason).with_code(code).boxed())
    }

    fn unreadable() -> kube::Error {
        let answer = format!("\"{PLANTED}\"");
        kube::Error::SerdeError(serde_json::from_str::<u32>(&answer).expect_err("no number"))
    }

    #[rstest]
    #[case::refused(refusal(403, "Forbidden"), "403 Forbidden")]
    #[case::invalid(refusal(422, "Invalid"), "422 Invalid")]
    #[case::broken(refusal(500, "InternalError"), "500 InternalError")]
    #[case::with_a_reason_of_somebodys_own(refusal(400, PLANTED), "400")]
    #[case::unreadable(unreadable(), "cannot be read")]
    fn of_a_secret_only_code_and_reason_are_told(#[case] error: kube::Error, #[case] tells: &str) {
        let told = ApiErrorKind::of(&error, Disclosure::CodeAndReason).to_string();
        assert!(told.contains(tells) && !told.contains("planted"), "{told}");
        let told = ApiErrorKind::of(&error, Disclosure::Message).to_string();
        assert!(told.contains("planted"), "of other objects all is: {told}");
    }

    #[rstest]
    #[case::webhook(
        "admission webhook \"labels.example.com\" denied the request: PLANTED",
        "the admission webhook labels.example.com"
    )]
    #[case::webhook_down(
        "Internal error occurred: failed calling webhook \"down.example.com\": failed to call webhook: PLANTED",
        "the unreachable admission webhook down.example.com"
    )]
    #[case::policy(
        "secrets \"keyloan-link-u\" is forbidden: ValidatingAdmissionPolicy 'team-labels' with binding 'b' denied request: PLANTED",
        "the ValidatingAdmissionPolicy team-labels"
    )]
    #[case::quota(
        "secrets \"keyloan-link-u\" is forbidden: exceeded quota: few, requested: count/secrets=1, used: PLANTED",
        "the ResourceQuota few"
    )]
    #[case::no_name("admission webhook \"PLANTED\" denied the request", "403 Forbidden")]
    #[case::somebodys_own_words("PLANTED admission webhook \"a.example\" denied", "403 Forbidden")]
    fn of_a_secret_that_is_changed_who_refuses_is_told_and_none_of_their_words(
        #[case] message: &str,
        #[case] tells: &str,
    ) {
        let message = message.replace("PLANTED", PLANTED);
        let error = Status::failure(&message, "Forbidden")
            .with_code(403)
            .boxed();
        let told = ApiErrorKind::of(&kube::Error::Api(error), Disclosure::Refuser).to_string();
        assert!(told.contains(tells) && !told.contains("planted"), "{told}");
    }

    #[test]
    fn a_sign_in_that_fails_says_what_the_command_says_to_people() {
        use std::os::unix::process::ExitStatusExt as _;
        let out = std::process::Output {
            status: std::process::ExitStatus::from_raw(255 << 8),
            stdout: b"{\"token\": \"s3cret\"}".to_vec(),
            stderr: b"Traceback\nThe SSO session has expired: run aws sso login\n\n".to_vec(),
        };
        let error = AuthError::AuthExecRun {
            cmd: "aws".into(),
            out: Box::new(out),
        };
        let told = sign_in_failed(&error);
        assert!(
            told.contains("\"aws\"") && told.ends_with("run aws sso login"),
            "{told}"
        );
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn what_a_failure_means_does_not_depend_on_how_much_is_told() {
        for (code, reason) in [(404, "NotFound"), (409, "AlreadyExists"), (409, "Conflict")] {
            let error = refusal(code, reason);
            let withheld = ApiErrorKind::of(&error, Disclosure::CodeAndReason);
            assert_eq!(withheld, ApiErrorKind::of(&error, Disclosure::Message));
        }
    }
}
