//! How a command ends: its exit code, and where it failed, what happened and what to do next.

use std::process::ExitCode;

use crate::cluster::ConnectError;
use crate::cluster::person::{CallError, Refused};

/// The exit codes, which scripts rely on; they are in `--help` and in docs/plugin.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for has come about.
    Done = 0,
    /// Something went wrong.
    Error = 1,
    /// Something is missing in the arguments, or wrong with them.
    Usage = 2,
    /// The request was denied, has lapsed, failed or ended.
    Refused = 3,
    /// It did not come about in time.
    TimedOut = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, to what.
    pub message: String,
    /// What to do next.
    pub next: Option<String>,
}

impl Failure {
    /// Something went wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Error,
            message: message.into(),
            next: None,
        }
    }

    /// Something is missing, or wrong, in the arguments.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::new(message)
        }
    }

    /// Adds what to do next.
    pub fn next(self, next: impl Into<String>) -> Self {
        Self {
            next: Some(next.into()),
            ..self
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            // A kubeconfig that is there, but broken, is told as such below.
            ConnectError::Infer(_) => {
                let none = "there is no kubeconfig, nor a pod's ServiceAccount";
                Self::new(format!("no cluster is configured: {none}"))
                    .next("set KUBECONFIG or pass --kubeconfig, as for kubectl")
            }
            error @ ConnectError::Kubeconfig(_) => Self::new(error.to_string())
                .next("mend it, or name another one with KUBECONFIG or --kubeconfig"),
            error @ (ConnectError::Flags(_) | ConnectError::Said(_)) => {
                Self::usage(error.to_string())
            }
            error @ ConnectError::SignIn(_) => Self::new(error.to_string()).next(SIGN_IN_AGAIN),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let CallError {
            verb,
            object,
            refused,
        } = error;
        let (what, next) = explain(refused);
        let failure = Self::new(format!("cannot {verb} {object}: {what}"));
        match next {
            Some(next) => failure.next(next),
            None => failure,
        }
    }
}

/// Logins and certificates expire, and the API server does not say which of both it was.
const SIGN_IN_AGAIN: &str = "sign in again, as you do for kubectl: log in to your identity provider, or get a new kubeconfig where yours has a token or certificate that has expired; `kubectl auth whoami` shows whether it worked";

fn explain(refused: Refused) -> (String, Option<String>) {
    let (what, next) = match refused {
        Refused::NotFound => (
            "it does not exist".into(),
            "`kubectl keyloan list -A` shows yours; name another namespace with -n",
        ),
        Refused::NoNamespace(name) => (
            format!("there is no namespace {name:?}"),
            "name another one with -n, or set it in your context",
        ),
        Refused::NotInstalled => (
            "this cluster does not know Keyloan's kinds".into(),
            "name another cluster with --context, or have the chart keyloan-crds installed here",
        ),
        Refused::AlreadyExists => ("there is one of this name".into(), "choose another name"),
        Refused::Conflict => (
            "it has changed in the meantime, or is another one now".into(),
            "look at it again with `kubectl keyloan explain`",
        ),
        Refused::NotSignedIn(why) => (
            format!("the cluster does not know who you are: {why}"),
            SIGN_IN_AGAIN,
        ),
        Refused::Untrusted(why) => (
            format!("the API server's certificate is not trusted: {why}"),
            "have the certificate renewed, or get a new kubeconfig from whoever runs the cluster",
        ),
        Refused::NoRight(why) => (
            format!("you have no right to: {why}"),
            "ask for the role keyloan-requester (to ask), keyloan-approver (to decide) or keyloan-admin (to export) there, or name another namespace with -n",
        ),
        // It says itself what to do.
        Refused::Policy(words) => return (format!("the cluster's policy refuses: {words}"), None),
        Refused::Invalid(complaints) => {
            return (format!("it breaks a rule: {}", complaints.join("; ")), None);
        }
        Refused::Timeout => (
            "the API server did not answer in time".into(),
            "try again; if it lasts, see whether kubectl gets an answer",
        ),
        Refused::Unavailable(why) => (
            format!("the API server is not available: {why}"),
            "try again; if it lasts, see whether kubectl gets an answer",
        ),
    };
    (what, Some(next.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{KubeconfigProblem, UnusableKubeconfig};
    use crate::plugin::output::complaint;

    #[test]
    fn a_kubeconfig_that_is_of_no_use_is_named_with_what_is_wrong() {
        let unusable = UnusableKubeconfig {
            path: "/home/alice/.kube/config".into(),
            error: KubeconfigProblem::NoContext,
        };
        let failure = Failure::from(ConnectError::Kubeconfig(unusable));
        assert_eq!(
            failure.message,
            "cannot use the kubeconfig /home/alice/.kube/config: no current context is set: choose one with `kubectl config use-context NAME` or --context"
        );
        assert!(
            failure
                .next
                .is_some_and(|next| next.contains("--kubeconfig"))
        );
    }

    #[test]
    fn each_refusal_says_what_happened_to_what_and_what_to_do_next() {
        let all = [
            Refused::NotFound,
            Refused::NoNamespace("nowhere".into()),
            Refused::NotInstalled,
            Refused::AlreadyExists,
            Refused::Conflict,
            Refused::NotSignedIn("Unauthorized".into()),
            Refused::NoRight("User \"erin\" cannot create resource".into()),
            Refused::Policy("keyloan-identity: set it to \"erin\"".into()),
            Refused::Invalid(vec![
                "spec.duration: too short".into(),
                "spec.item: missing".into(),
            ]),
            Refused::Timeout,
            Refused::Untrusted("it has expired".into()),
            Refused::Unavailable("connection refused".into()),
        ];
        let shown: Vec<_> = all
            .map(|refused| {
                let failure = Failure::from(CallError {
                    verb: "create",
                    object: "AccessGrant team-a/db".into(),
                    refused,
                });
                complaint(&failure, None).join("\n") + "\n"
            })
            .into();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
