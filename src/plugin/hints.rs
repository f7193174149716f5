//! Commands for a person to run next. They repeat the flags of this run: without them, they could
//! reach another loan of the same name.

use crate::cluster::person::PersonAccess;
use crate::desk::action::{Action, Advice, Refusal};
use crate::desk::text::Fact;

use super::failure::{Exit, Failure};

/// The flags with which the next command reaches the same cluster and namespace.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    namespace: String,
    cluster: String,
}

impl Hints {
    /// The flags of this run. The kubeconfig's own settings apply to the next run anyway. A token
    /// is not repeated, because others may read the output.
    pub fn of(access: &PersonAccess) -> Self {
        let kubeconfig = access.kubeconfig.as_ref();
        let kubeconfig = kubeconfig.map(|path| path.display().to_string());
        let said = &access.overrides;
        let mut cluster: String = [
            ("--context", &said.context),
            ("--kubeconfig", &kubeconfig),
            ("--cluster", &said.cluster),
            ("--user", &said.user),
            ("--server", &said.server),
            ("--certificate-authority", &said.certificate_authority),
            ("--tls-server-name", &said.tls_server_name),
            ("--as", &said.impersonate),
            ("--as-uid", &said.impersonate_uid),
        ]
        .map(|(name, value)| flag(name, value.as_deref()))
        .concat();
        for group in &said.impersonate_groups {
            cluster += &flag("--as-group", Some(group));
        }
        if said.insecure_skip_tls_verify {
            cluster += " --insecure-skip-tls-verify";
        }
        Self {
            namespace: flag("-n", access.namespace.as_deref()),
            cluster,
        }
    }

    /// The command for an action in the same namespace: `kubectl keyloan open db -n team-a`.
    pub fn command(&self, action: &Action) -> String {
        let words = match action {
            Action::Request => "request".to_owned(),
            Action::Open(name) => format!("open {name}"),
            Action::Explain(name) => format!("explain {name}"),
            Action::Revoke(name) => format!("revoke {name}"),
        };
        format!("kubectl keyloan {words}{}{}", self.namespace, self.cluster)
    }

    /// An action and its command.
    pub fn fact(&self, action: &Action) -> Fact {
        (action.label(), self.command(action))
    }

    /// The command that lists the person's requests in all namespaces of the same cluster.
    pub fn list_everywhere(&self) -> String {
        format!("kubectl keyloan list -A{}", self.cluster)
    }

    /// Advice to run the command for an action.
    pub fn next(&self, to: &str, action: &Action) -> String {
        format!("To {to}, run `{}`.", self.command(action))
    }

    /// The failure of a command that waited too long.
    pub fn timed_out(&self, refusal: Refusal) -> Failure {
        let message = format!("timed out: {}", refusal.message);
        self.failure(Exit::TimedOut, Refusal { message, ..refusal })
    }

    /// The failure of a command that is refused.
    pub fn failure(&self, exit: Exit, refusal: Refusal) -> Failure {
        let next = |Advice { to, action }| self.next(to, &action);
        Failure {
            exit,
            message: refusal.message,
            next: refusal.next.map(next),
        }
    }
}

fn flag(name: &str, value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" {name} {}", quoted(value)))
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Overrides;

    fn hints(namespace: Option<&str>, context: Option<&str>, kubeconfig: Option<&str>) -> Hints {
        Hints::of(&PersonAccess {
            kubeconfig: kubeconfig.map(Into::into),
            namespace: namespace.map(Into::into),
            overrides: Overrides {
                context: context.map(Into::into),
                ..Overrides::default()
            },
            ..PersonAccess::default()
        })
    }

    #[test]
    fn a_command_acts_as_the_same_one_and_repeats_no_token() {
        let hints = Hints::of(&PersonAccess {
            overrides: Overrides {
                token: Some("s3cret".into()),
                impersonate: Some("bob@example.com".into()),
                impersonate_groups: vec!["ops".into(), "dev".into()],
                ..Overrides::default()
            },
            ..PersonAccess::default()
        });
        assert_eq!(
            hints.command(&Action::Open("db".into())),
            "kubectl keyloan open db --as bob@example.com --as-group ops --as-group dev"
        );
    }

    #[test]
    fn where_nothing_was_said_the_command_is_short() {
        let hints = hints(None, None, None);
        assert_eq!(
            hints.command(&Action::Open("db".into())),
            "kubectl keyloan open db"
        );
        assert_eq!(hints.list_everywhere(), "kubectl keyloan list -A");
    }

    #[test]
    fn a_command_goes_where_this_one_went() {
        let hints = hints(Some("team-b"), Some("prod"), Some("/etc/kube/config"));
        assert_eq!(
            hints.command(&Action::Revoke("db".into())),
            "kubectl keyloan revoke db -n team-b --context prod --kubeconfig /etc/kube/config"
        );
        assert_eq!(
            hints.list_everywhere(),
            "kubectl keyloan list -A --context prod --kubeconfig /etc/kube/config"
        );
    }

    #[test]
    fn a_shell_reads_a_hinted_command_as_it_was_meant() {
        let odd = "it's a $(context); `x`";
        let command =
            hints(None, Some(odd), Some("~/my config")).command(&Action::Open("db".into()));
        let words = shell_words::split(&command).unwrap();
        let meant = ["--context", odd, "--kubeconfig", "~/my config"];
        assert_eq!(words[4..], meant, "{command}");
    }
}
