//! Calls of the Kubernetes API that failed: what happened, to which object, and what to do next, in
//! words for any user interface.

/// A person's call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// The verb.
    pub verb: &'static str,
    /// The kind, namespace and name of the object.
    pub object: String,
    /// What went wrong.
    pub refused: Refused,
}

/// What went wrong in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The object does not exist.
    NotFound,
    /// The namespace does not exist.
    NoNamespace(String),
    /// The API server does not know the kind: Keyloan is not installed.
    NotInstalled,
    /// An object with this name already exists.
    AlreadyExists,
    /// The object has another version or identity than expected.
    Conflict,
    /// The API server does not recognize the person.
    NotSignedIn(String),
    /// The person lacks the right; with the API server's message.
    NoRight(String),
    /// An admission policy refuses; with its message.
    Policy(String),
    /// The object breaks rules of its kind; with one sentence for each.
    Invalid(Vec<String>),
    /// No response in time.
    Timeout,
    /// The API server's certificate is not trusted; with the reason.
    Untrusted(String),
    /// No response, or none that can be parsed.
    Unavailable(String),
}

/// What to do next about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Look for the object in another place.
    LookElsewhere,
    /// Choose another namespace.
    ChooseNamespace,
    /// Install Keyloan.
    Install,
    /// Choose another name.
    ChooseName,
    /// See what the object has become.
    LookAgain,
    /// Sign in again.
    SignIn,
    /// Have the API server's certificate renewed.
    RenewCertificate,
    /// Ask for a role.
    AskForRole,
    /// Try again.
    TryAgain,
}

impl CallError {
    /// What happened, to which object.
    pub fn message(&self) -> String {
        let Self {
            verb,
            object,
            refused,
        } = self;
        format!("cannot {verb} {object}: {}", refused.message())
    }

    /// What to do next. `None` if the message says that already.
    pub fn remedy(&self) -> Option<Remedy> {
        Some(match self.refused {
            Refused::NotFound => Remedy::LookElsewhere,
            Refused::NoNamespace(_) => Remedy::ChooseNamespace,
            Refused::NotInstalled => Remedy::Install,
            Refused::AlreadyExists => Remedy::ChooseName,
            Refused::Conflict => Remedy::LookAgain,
            Refused::NotSignedIn(_) => Remedy::SignIn,
            Refused::Untrusted(_) => Remedy::RenewCertificate,
            Refused::NoRight(_) => Remedy::AskForRole,
            Refused::Policy(_) | Refused::Invalid(_) => return None,
            Refused::Timeout | Refused::Unavailable(_) => Remedy::TryAgain,
        })
    }
}

impl Refused {
    /// Why, as the end of a sentence.
    pub fn message(&self) -> String {
        match self {
            Self::NotFound => "it does not exist".into(),
            Self::NoNamespace(name) => format!("namespace {name:?} does not exist"),
            Self::NotInstalled => "Keyloan is not installed in this cluster".into(),
            Self::AlreadyExists => "an object with this name already exists".into(),
            Self::Conflict => "it has changed or was replaced in the meantime".into(),
            Self::NotSignedIn(why) => {
                format!("the cluster does not accept your credentials: {why}")
            }
            Self::Untrusted(why) => {
                format!("the API server's certificate is not trusted: {why}")
            }
            Self::NoRight(why) => format!("permission denied: {why}"),
            Self::Policy(words) => format!("an admission policy rejects it: {words}"),
            Self::Invalid(complaints) => format!("it is invalid: {}", complaints.join("; ")),
            Self::Timeout => "the API server did not answer in time".into(),
            Self::Unavailable(why) => format!("the API server is unavailable: {why}"),
        }
    }
}

impl Remedy {
    /// The step as a sentence without its full stop, so that a user interface can add its own way
    /// to take the step.
    pub fn instruction(self) -> &'static str {
        match self {
            Self::LookElsewhere => "Look for it in your other namespaces",
            Self::ChooseNamespace => "Choose another namespace",
            Self::Install => "Have the chart keyloan-crds installed in this cluster",
            Self::ChooseName => "Choose another name",
            Self::LookAgain => "See its current state, then try again",
            Self::SignIn => "Sign in again",
            Self::RenewCertificate => "Have the certificate renewed",
            Self::AskForRole => {
                "Ask your administrator for the role keyloan-requester (to request), keyloan-approver (to decide) or keyloan-admin (to export) in that namespace"
            }
            Self::TryAgain => "Try again",
        }
    }
}

#[cfg(test)]
impl Refused {
    /// Everything that can go wrong.
    pub(crate) fn all() -> [Self; 12] {
        [
            Self::NotFound,
            Self::NoNamespace("nowhere".into()),
            Self::NotInstalled,
            Self::AlreadyExists,
            Self::Conflict,
            Self::NotSignedIn("Unauthorized".into()),
            Self::NoRight("User \"erin\" cannot create resource".into()),
            Self::Policy("keyloan-identity: set it to \"erin\"".into()),
            Self::Invalid(vec![
                "spec.duration: too short".into(),
                "spec.item: missing".into(),
            ]),
            Self::Timeout,
            Self::Untrusted("it has expired".into()),
            Self::Unavailable("connection refused".into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_what_happened_and_what_to_do_wherever_it_is_shown() {
        let shown = Refused::all().map(|refused| {
            let error = CallError {
                verb: "create",
                object: "AccessGrant team-a/db".into(),
                refused,
            };
            let next = error.remedy().map_or("", Remedy::instruction);
            for ours in ["kubectl", " -", "kubeconfig"] {
                assert!(!next.contains(ours), "{next}");
            }
            format!("{}\n{next}\n", error.message())
        });
        insta::assert_snapshot!(shown.join("\n"));
    }
}
