//! `kubectl keyloan request`: request an item and wait for its link.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::{ACTIVE, AccessGrant, Identity, Span};
use crate::desk::action::Action;
use crate::desk::request::{Wish, deleted, draft, duration, latest_start, requested};
use crate::desk::standing::{holds, is_over, new_loan, not_granted};
use crate::desk::text::{Text, facts};

use super::arguments::timeout;
use super::failure::{Exit, Failure};
use super::hints::Hints;
use super::output::{Format, print_object, remark, say};
use super::prompts;
use super::session::Session;
use super::signature;
use super::waiting::{Waited, until};

/// Request an item and wait for its link. On a terminal, asks for missing arguments.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The vault and the item, each by title or ID.
    #[arg(value_name = "VAULT/ITEM", conflicts_with_all = ["vault", "item"])]
    what: Option<String>,
    /// The vault, instead of VAULT/ITEM. Use it if the vault's title has a slash.
    #[arg(long, value_name = "TITLE")]
    vault: Option<String>,
    /// The item, instead of VAULT/ITEM. Use it with --vault.
    #[arg(long, value_name = "TITLE")]
    item: Option<String>,
    /// The integration to borrow from. Add its namespace if it is not your own.
    #[arg(long, value_name = "[NAMESPACE/]NAME", env = "KEYLOAN_INTEGRATION")]
    integration: Option<String>,
    /// The duration of the loan, such as 4h or 1d. Defaults to the flow's default.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Span>,
    /// The e-mail address of a recipient, who can open the link. Repeatable. Defaults to you.
    #[arg(long = "recipient", value_name = "EMAIL")]
    recipients: Vec<String>,
    /// Ask for a link that opens only once.
    #[arg(long)]
    view_once: bool,
    /// Why you need the item.
    #[arg(long, short, value_name = "TEXT")]
    justification: Option<String>,
    /// Use only this flow.
    #[arg(long, value_name = "NAME")]
    flow: Option<String>,
    /// The loan must not start later than this: a time such as 2027-01-31T12:00:00Z, or a time from
    /// now such as 2h.
    #[arg(long, value_name = "TIME")]
    not_after: Option<String>,
    /// The name of the request. Defaults to a name made from the item's title.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not wait for the link.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the link.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = timeout)]
    timeout: Duration,
    /// Print the AccessGrant in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Format>,
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit, Failure> {
    let (no_wait, timeout, output) = (arguments.no_wait, arguments.timeout, arguments.output);
    let arguments = complete(arguments)?;
    let request = request(arguments, session.me().await?, session.now())?;
    let made = signature::create(session, request).await?;
    let name = made.name_any();
    remark(requested(&made));
    let (hints, explain) = (&session.hints, Action::Explain(name.clone()));
    if no_wait {
        match output {
            Some(format) => print_object(&made, format)?,
            None => say(facts([
                hints.fact(&Action::Open(name)),
                hints.fact(&explain),
            ]))?,
        }
        return Ok(Exit::Done);
    }
    let settled = |grant: &AccessGrant| {
        let settled = holds(grant, ACTIVE) || is_over(grant);
        settled.then(|| grant.clone())
    };
    match until(session, &made, timeout, settled).await? {
        Waited::There(grant) => finish(session, &grant, output),
        Waited::Gone => Err(hints.failure(Exit::Refused, deleted(&made))),
        Waited::TimedOut => {
            let failure = Failure::new(format!(
                "timed out waiting for {name}; the request is still pending"
            ));
            Err(Failure {
                exit: Exit::TimedOut,
                ..failure.next(hints.next("see what it waits for", &explain))
            })
        }
    }
}

/// Fills in missing arguments by asking on the terminal.
fn complete(mut arguments: Arguments) -> Result<Arguments, Failure> {
    if let Some(what) = arguments.what.take() {
        let Some((vault, item)) = what.split_once('/') else {
            let message = format!("{what:?} is not an item: use the form VAULT/ITEM");
            return Err(Failure::usage(message));
        };
        arguments.vault = Some(vault.to_owned());
        arguments.item = Some(item.to_owned());
    }
    let mut asked = false;
    let mut filled = |field: &mut Option<String>, question, otherwise| {
        if field.as_ref().is_none_or(|text| text.trim().is_empty()) {
            *field = Some(prompts::ask(question, otherwise)?);
            asked = true;
        }
        Ok::<(), Failure>(())
    };
    let which = "name the item as VAULT/ITEM, or with --vault and --item";
    filled(&mut arguments.vault, "Vault", which)?;
    filled(&mut arguments.item, "Item", which)?;
    filled(
        &mut arguments.integration,
        "Integration ([namespace/]name)",
        "pass --integration [NAMESPACE/]NAME, or set KEYLOAN_INTEGRATION",
    )?;
    if asked && arguments.justification.is_none() {
        arguments.justification = prompts::ask_optional("Why do you need it (optional)")?;
    }
    Ok(arguments)
}

/// The request of a person, as their arguments say.
fn request(arguments: Arguments, me: Identity, now: Timestamp) -> Result<AccessGrant, Failure> {
    let not_after = arguments.not_after.map(|text| latest_start(&text, now));
    let not_after = not_after
        .transpose()
        .map_err(|why| Failure::usage(format!("--not-after {why}")))?;
    let wish = Wish {
        vault: arguments.vault.unwrap_or_default(),
        item: arguments.item.unwrap_or_default(),
        integration: arguments.integration.unwrap_or_default(),
        duration: arguments.duration,
        recipients: arguments.recipients,
        view_once: arguments.view_once,
        justification: arguments.justification,
        flow: arguments.flow,
        not_after,
        name: arguments.name,
    };
    Ok(draft(wish, me))
}

/// Prints the loan, or fails with the reason why there is none.
fn finish(session: &Session, grant: &AccessGrant, output: Option<Format>) -> Result<Exit, Failure> {
    if let Some(format) = output {
        print_object(grant, format)?;
    }
    if !holds(grant, ACTIVE) {
        return Err(refused(grant, &session.hints));
    }
    if output.is_none() {
        say(lent(grant, session.now(), &session.hints))?;
    }
    Ok(Exit::Done)
}

fn refused(grant: &AccessGrant, hints: &Hints) -> Failure {
    hints.failure(Exit::Refused, not_granted(grant))
}

fn lent(grant: &AccessGrant, now: Timestamp, hints: &Hints) -> Text {
    let name = grant.name_any();
    let is_active = format!("{name} is active.");
    let open = hints.fact(&Action::Open(name));
    Text::from(is_active).and_apart(facts(new_loan(grant, now).into_iter().chain([open])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::samples;
    use crate::plugin::output::{complaint, lines};
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &[&str]) -> Arguments {
        let line = ["request"].iter().chain(line);
        Line::parse_from(line).arguments
    }

    fn made(line: &[&str]) -> AccessGrant {
        let wish = complete(arguments(line)).unwrap();
        request(wish, samples::alice(), samples::present()).unwrap()
    }

    #[test]
    fn all_that_can_be_asked_for_is_in_the_request() {
        let line = [
            "Infra/db password",
            "--integration=keyloan/prod",
            "--duration=4h",
            "--recipient=alice@example.com",
            "--view-once",
            "--justification=INC-1234: replica lag",
            "--flow=oncall",
            "--not-after=2h",
        ];
        insta::assert_yaml_snapshot!(made(&line));
    }

    #[test]
    fn what_is_not_asked_for_is_left_to_the_flow() {
        insta::assert_yaml_snapshot!(made(&[
            "Infra/db/main",
            "--integration=prod",
            "--name=mine"
        ]));
    }

    #[test]
    fn a_last_moment_that_has_passed_is_wrong() {
        let passed = arguments(&["Infra/db", "--not-after=2020-01-01T00:00:00Z"]);
        let failure = request(passed, samples::alice(), samples::present()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(
            failure
                .message
                .starts_with("--not-after \"2020-01-01T00:00:00Z\" is not"),
            "{failure:?}"
        );
    }

    #[test]
    fn who_has_got_a_loan_reads_how_long_it_lasts_and_how_to_open_it() {
        let hints = Hints::default();
        let lent = lent(&samples::active(), samples::present(), &hints);
        insta::assert_snapshot!(lines(&lent, None).join("\n"));
    }

    #[test]
    fn who_was_denied_reads_by_whom_and_why() {
        let failure = refused(&samples::denied(), &Hints::default());
        assert_eq!(failure.exit, Exit::Refused);
        insta::assert_snapshot!(complaint(&failure, None).join("\n"));
    }
}
