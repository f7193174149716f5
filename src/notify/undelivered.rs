//! Why an attempt to deliver failed, and whether another one makes sense. No sentence holds a
//! secret: neither a URL's path, nor a key, a password or what was sent.

use std::collections::HashSet;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::desk::visible::visible;
use crate::network::{Hindrance, NoConnection, Unconnected, Unreached};

use super::text::cut;

/// The number of characters of an answer that are quoted.
const QUOTED: usize = 100;

/// The length of a run of characters by which a part of a secret is recognized in an answer, and a
/// part of what was sent.
const SECRET_RUN: usize = 8;
const SENT_RUN: usize = 16;

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Undelivered {
    /// Whether another attempt makes sense.
    pub again: Again,
    /// What the failure is about.
    pub about: About,
    message: String,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// This receiver: others may take their notices.
    Receiver,
    /// The mail server, which takes no notice for anybody.
    Server,
}

/// Whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It does, not earlier than the receiver asked.
    Later {
        /// The time that the receiver asked to wait, at most an hour.
        after: Option<Duration>,
    },
    /// The receiver does not take this notice.
    Never,
}

impl Undelivered {
    /// Another attempt makes sense.
    pub(super) fn later(message: impl Into<String>) -> Self {
        Self::new(Again::Later { after: None }, message)
    }

    /// No other attempt makes sense.
    pub(super) fn never(message: impl Into<String>) -> Self {
        Self::new(Again::Never, message)
    }

    pub(super) fn new(again: Again, message: impl Into<String>) -> Self {
        Self {
            again,
            about: About::Receiver,
            message: message.into(),
        }
    }

    /// The same, and another attempt makes sense.
    pub(super) fn again(mut self) -> Self {
        self.again = Again::Later { after: None };
        self
    }

    /// The same, about the server.
    pub(super) fn of_server(mut self) -> Self {
        self.about = About::Server;
        self
    }

    /// The time for an attempt was over.
    pub(super) fn too_late(host: &str, limit: Duration) -> Self {
        let seconds = limit.as_secs();
        Self::later(format!("{host} did not answer within {seconds} s"))
    }

    /// There was no connection.
    pub(super) fn unconnected(host: &str, error: &NoConnection) -> Self {
        Self::later(match error {
            NoConnection::NotAllowed(refusal) => refusal.to_string(),
            NoConnection::Unconnected(error) => {
                format!(
                    "cannot connect to {host}: {error}; {}",
                    what_to_check(error)
                )
            }
        })
    }
}

fn what_to_check(error: &Unconnected) -> &'static str {
    match error.why {
        Unreached::Host(Hindrance::Name) => {
            "check the receiver's name, the cluster's DNS, and whether a NetworkPolicy lets the \
             operator query it"
        }
        Unreached::Host(Hindrance::UnknownAuthority) => {
            "give Keyloan the certificate of that authority with the chart's value egress.caBundle"
        }
        Unreached::Host(Hindrance::InvalidCertificate) => {
            "have the receiver's certificate corrected: it has to be valid for this name"
        }
        Unreached::Host(Hindrance::Refused | Hindrance::TimedOut | Hindrance::Other) => {
            "check that the receiver runs, and firewalls and NetworkPolicies between it and the \
             operator"
        }
        Unreached::ProxyCredentials { .. } => {
            "the proxy asks for a user and a password: set the chart's value \
             egress.proxy.credentialsSecretRef"
        }
        Unreached::ProxyForbids | Unreached::ProxyFails(_) => {
            "the proxy does not connect to this receiver: allow it in the proxy's rules"
        }
        Unreached::Proxy(_) | Unreached::ProxyUnusable => {
            "check the proxy in the chart's value egress.proxy"
        }
    }
}

/// What an answer says, for a sentence: at most 100 visible characters, in quotes. It is left out
/// if it repeats a part of a secret or of what was sent.
pub(super) fn quoted(answer: &str, secrets: &[&str], sent: &[&str]) -> String {
    let text = visible(answer);
    // An answer in JSON may have escaped slashes.
    let read = answer.replace('\\', "").to_lowercase();
    let leaks = |secret: &&str| {
        let decoded = percent_decode_str(secret)
            .decode_utf8_lossy()
            .to_lowercase();
        repeats(&read, &secret.to_lowercase(), SECRET_RUN) || repeats(&read, &decoded, SECRET_RUN)
    };
    let tells = |sent: &&str| {
        let sent = sent.replace('\\', "").to_lowercase();
        repeats(&read, &sent, SENT_RUN)
    };
    let is_left_out = secrets.iter().any(leaks) || sent.iter().any(tells);
    match text.is_empty() || is_left_out {
        true => String::new(),
        false => format!(" (\"{}\")", cut(&text, QUOTED)),
    }
}

/// Whether a text has a run of this many characters from a secret, or a shorter secret as a whole.
fn repeats(text: &str, secret: &str, run: usize) -> bool {
    let secret = secret.as_bytes();
    if secret.is_empty() {
        return false;
    }
    let text = text.as_bytes();
    let run = run.min(secret.len());
    let runs: HashSet<_> = text.windows(run).collect();
    secret.windows(run).any(|part| runs.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PATH: &str = "/services/T0A1B2C3D/B9Z8Y7X6W/abcDEF123ghiJKL456?sig=a%2Bb%2Fc%3Dd-efg";

    #[rstest]
    #[case::short("no_service", " (\"no_service\")")]
    #[case::empty("", "")]
    #[case::blank(" \r\n", "")]
    #[case::lines("a\r\nb", " (\"a ⏎ b\")")]
    #[case::control("\u{1b}[2K", " (\"\\u{1b}[2K\")")]
    #[case::the_path("no such hook /services/T0A1B2C3D/B9Z8Y7X6W/abcDEF123ghiJKL456", "")]
    #[case::a_part_of_it("unknown key DEF123ghi", "")]
    #[case::in_another_case("unknown key abcdef123GHI", "")]
    #[case::escaped("{\"path\":\"\\/T0A1B2C3D\\/B9Z8\"}", "")]
    #[case::decoded("signature a+b/c=d-efg is wrong", "")]
    #[case::what_was_sent("cannot parse: replica lag in the main database", "")]
    #[case::a_word_of_it("cannot parse: replica", " (\"cannot parse: replica\")")]
    fn an_answer_is_quoted_without_secrets(#[case] answer: &str, #[case] quote: &str) {
        let sent = "{\"text\":\"replica lag in the main database\"}";
        assert_eq!(quoted(answer, &[PATH], &[sent]), quote);
    }

    #[test]
    fn a_short_secret_is_recognized_as_a_whole() {
        assert_eq!(quoted("hello bob, pw1 is wrong", &["pw1"], &[]), "");
        assert_eq!(quoted("hello bob", &["pw1", ""], &[]), " (\"hello bob\")");
    }

    #[test]
    fn a_long_answer_is_cut() {
        let quote = quoted(&"é".repeat(4000), &[], &[]);
        assert_eq!(quote.chars().count(), QUOTED + 5);
        assert!(quote.ends_with("…\")"), "{quote}");
    }
}
