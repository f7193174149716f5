//! What `kubectl keyloan` can be asked to do: the commands, what they share, and the exit codes.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::SignedDuration;

use crate::api::Span;
use crate::cluster::person::Scope;

use super::access::AccessArguments;
use super::{approve, decision};
use super::{completion, explain, export, list, open, request, version};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  error: the message says what happened and what to do next
  2  wrong usage: an argument is wrong, or missing with no terminal to ask
  3  the request was denied, has lapsed, failed or ended
  4  timed out while waiting; the request or decision stands";

/// Borrow items of 1Password, decide about others' requests, and see how loans stand.
#[derive(Debug, Parser)]
#[command(name = "kubectl-keyloan", bin_name = "kubectl keyloan", version, after_help = EXIT_CODES)]
#[command(disable_version_flag = true, subcommand_required = true)]
pub struct Arguments {
    #[command(flatten)]
    pub access: AccessArguments,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask for an item, and wait until its link is there.
    Request(Box<request::Arguments>),
    /// List your requests and loans, or those that wait for your decision.
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    /// Agree to a request, to its very terms.
    Approve(approve::Arguments),
    /// Refuse a request.
    ///
    /// One refusal ends it.
    Deny(decision::Arguments),
    /// End a loan, or a request.
    ///
    /// The requester may, whoever decides about it, the integration's owners, and whoever holds the verb revoke.
    Revoke(decision::Arguments),
    /// Print the link of a loan; where it has ended, ask for the next one and wait for it.
    Open(open::Arguments),
    /// Say why a request or loan is where it is.
    Explain(explain::Arguments),
    /// Print integrations or flows as code: YAML, Helm values or Terraform.
    Export(export::Arguments),
    /// Print the script that completes this command in a shell.
    Completion(completion::Arguments),
    /// Print the versions of this command and of the cluster.
    Version(version::Arguments),
}

/// Which grant.
#[derive(Debug, Args)]
pub struct GrantName {
    /// The AccessGrant's name.
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// In which namespaces.
#[derive(Debug, Args)]
pub struct Namespaces {
    /// Look in all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
}

impl Namespaces {
    /// All, or the person's own.
    pub fn scope(&self, own: &str) -> Scope {
        if self.all_namespaces {
            Scope::All
        } else {
            Scope::Namespace(own.to_owned())
        }
    }
}

/// The duration of a loan: `4h`, `90m`, `1d12h`, `2w`, `2h0m0s`.
pub fn span(text: &str) -> Result<Span, String> {
    let span = Span(text.to_owned());
    match span.parse() {
        Some(duration) if duration >= SignedDuration::from_hours(1) => Ok(span),
        Some(_) => Err("the shortest loan is 1h, the shortest life of a 1Password link".into()),
        None => Err("write it in whole weeks, days, hours, minutes and seconds, such as 4h, 90m, 1d12h, 2w or 2h0m0s".into()),
    }
}

/// How long to wait: `30s`, `10m`, `1h30m`.
pub fn patience(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| "write it in hours, minutes and seconds, such as 30s or 10m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "it cannot be negative".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_lists_the_commands_and_the_exit_codes() {
        insta::assert_snapshot!(Arguments::command().term_width(100).render_help());
    }

    #[rstest::rstest]
    #[case("4h", Ok(Span("4h".into())))]
    #[case("30m", Err("the shortest loan is 1h, the shortest life of a 1Password link".into()))]
    #[case("2h0m0s", Ok(Span("2h0m0s".into())))]
    #[case("a while", Err("write it in whole weeks, days, hours, minutes and seconds, such as 4h, 90m, 1d12h, 2w or 2h0m0s".into()))]
    fn a_loan_lasts_an_hour_or_more(#[case] text: &str, #[case] parsed: Result<Span, String>) {
        assert_eq!(span(text), parsed);
    }

    #[rstest::rstest]
    #[case("90s", Some(90))]
    #[case("1h30m", Some(5_400))]
    #[case("0s", Some(0))]
    #[case("-1m", None)]
    #[case("soon", None)]
    fn patience_is_told_in_seconds_minutes_and_hours(
        #[case] text: &str,
        #[case] seconds: Option<u64>,
    ) {
        assert_eq!(patience(text).ok().map(|d| d.as_secs()), seconds);
    }
}
