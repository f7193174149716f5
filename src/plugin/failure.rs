//! How a command ends: its exit code, and for a failure what happened and what to do next.

use std::process::ExitCode;

use crate::cluster::ConnectError;
use crate::desk::failed_call::{CallError, Remedy};

/// The exit codes. Scripts rely on them; `--help` and docs/plugin.md list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Done = 0,
    /// Something went wrong.
    Error = 1,
    /// An argument is missing or invalid.
    Usage = 2,
    /// The request was denied, has lapsed, failed or ended.
    Refused = 3,
    /// The wait timed out.
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
    /// What happened, to which object.
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

    /// An argument is missing or invalid.
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
            // A kubeconfig that exists but is broken is `Kubeconfig`, below.
            ConnectError::Infer(_) => {
                let none = "found neither a kubeconfig nor a pod's ServiceAccount";
                Self::new(format!("no cluster is configured: {none}"))
                    .next("Set KUBECONFIG or pass --kubeconfig, as for kubectl.")
            }
            error @ ConnectError::Kubeconfig(_) => Self::new(error.to_string())
                .next("Fix it, or choose another one with KUBECONFIG or --kubeconfig."),
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
        Self {
            next: error.remedy().map(with_kubectl),
            ..Self::new(error.message())
        }
    }
}

/// Logins and certificates expire, and the API server does not say which of them did.
const SIGN_IN_AGAIN: &str = "Sign in again as you do for kubectl: log in to your identity provider, or get a new kubeconfig if its token or certificate has expired. Run `kubectl auth whoami` to check whether it worked.";

/// How to take the step with kubectl's flags and commands.
fn with_kubectl(remedy: Remedy) -> String {
    let step = remedy.instruction();
    match remedy {
        Remedy::LookElsewhere => {
            "Run `kubectl keyloan list -A` to list yours, or pass -n to use another namespace."
                .into()
        }
        Remedy::ChooseNamespace => {
            "Pass -n with another namespace, or set one in your context.".into()
        }
        Remedy::Install => {
            "Choose another cluster with --context, or have the chart keyloan-crds installed in this one."
                .into()
        }
        Remedy::ChooseName => format!("{step} with --name."),
        Remedy::LookAgain => {
            "Run `kubectl keyloan explain` to see its current state, then try again.".into()
        }
        Remedy::SignIn => SIGN_IN_AGAIN.into(),
        Remedy::RenewCertificate => {
            format!("{step}, or get a new kubeconfig from the cluster's administrator.")
        }
        Remedy::AskForRole => format!("{step}, or pass -n to use another one."),
        Remedy::TryAgain => {
            format!("{step}. If it fails again, check whether kubectl gets an answer.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{KubeconfigProblem, UnusableKubeconfig};
    use crate::desk::failed_call::Refused;
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
        let shown: Vec<_> = Refused::all()
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
