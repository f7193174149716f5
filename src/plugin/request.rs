//! `kubectl keyloan request`: request an item and wait for its link.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use crate::api::{
    ACTIVE, AccessGrant, AccessGrantSpec, Email, Identity, IntegrationName, IntegrationRef,
    ItemRef, Span, Time, TitleOrId,
};
use crate::desk::action::Action;
use crate::desk::standing::{holds, is_over, new_loan, not_granted};
use crate::desk::terms;
use crate::desk::text::{Text, facts};

use super::arguments::{span, timeout};
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
    #[arg(long, value_name = "DURATION", value_parser = span)]
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
    let wish = complete(arguments)?;
    let request = request(wish, session.me().await?, session.now())?;
    let made = signature::create(session, request).await?;
    let name = made.name_any();
    remark(format_args!("Requested {} as {name}.", terms::item(&made)));
    let (hints, explain) = (&session.hints, Action::Explain(name.clone()));
    if no_wait {
        match output {
            Some(format) => print_object(&made, format)?,
            None => say(facts([
                ("Open the link", hints.command(&Action::Open(name))),
                ("See its state", hints.command(&explain)),
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
        Waited::Gone => Err(Failure {
            exit: Exit::Refused,
            ..Failure::new(format!("{name} was deleted while it was pending"))
        }),
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

/// The object. It names its requester even though most clusters stamp it: the policies of other
/// clusters demand it.
fn request(wish: Arguments, me: Identity, now: Timestamp) -> Result<AccessGrant, Failure> {
    let item = wish.item.unwrap_or_default();
    let integration = wish.integration.unwrap_or_default();
    let (namespace, integration) = match integration.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, integration),
    };
    let not_after = wish
        .not_after
        .map(|text| not_after(&text, now))
        .transpose()?;
    let recipients: Vec<_> = wish.recipients.iter().map(|text| address(text)).collect();
    Ok(AccessGrant {
        metadata: ObjectMeta {
            generate_name: wish.name.is_none().then(|| format!("{}-", slug(&item))),
            name: wish.name,
            ..ObjectMeta::default()
        },
        spec: AccessGrantSpec {
            integration: IntegrationRef {
                name: IntegrationName(integration),
                namespace,
            },
            item: ItemRef {
                vault: TitleOrId(wish.vault.unwrap_or_default()),
                item: TitleOrId(item),
            },
            duration: wish.duration,
            recipients: (!recipients.is_empty()).then_some(recipients),
            view_once: wish.view_once.then_some(true),
            justification: wish.justification,
            flow: wish.flow,
            not_after,
            requester: Some(me),
        },
        status: None,
    })
}

/// Trims an address and lower-cases it, as the API requires.
fn address(text: &str) -> Email {
    Email(text.trim().to_lowercase())
}

/// Parses a time, or a time from now.
fn not_after(text: &str, now: Timestamp) -> Result<Time, Failure> {
    let at = text.parse::<Timestamp>().ok().or_else(|| {
        let away: SignedDuration = text.parse().ok()?;
        now.checked_add(away).ok()
    });
    let at = at.filter(|at| *at > now).ok_or_else(|| {
        Failure::usage(format!(
            "--not-after {text:?} is not a time in the future: use a form such as 2027-01-31T12:00:00Z, or 2h for two hours from now"
        ))
    })?;
    let whole_seconds = Timestamp::from_second(at.as_second()).unwrap_or(at);
    Ok(Time(whole_seconds))
}

/// Turns a title into the beginning of an object's name.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
        if slug.len() >= 40 {
            break;
        }
    }
    match slug.trim_end_matches('-') {
        "" => "loan".to_owned(),
        slug => slug.to_owned(),
    }
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
    let open = ("Open the link", hints.command(&Action::Open(name)));
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

    #[rstest::rstest]
    #[case("Alice@Example.com", "alice@example.com")]
    #[case(" bob@example.com\t", "bob@example.com")]
    fn an_address_is_taken_as_people_write_it(#[case] text: &str, #[case] taken: &str) {
        let grant = made(&["Infra/db", "--integration=prod", "--recipient", text]);
        assert_eq!(grant.spec.recipients, Some(vec![Email(taken.into())]));
    }

    #[test]
    fn what_is_not_asked_for_is_left_to_the_flow() {
        insta::assert_yaml_snapshot!(made(&[
            "Infra/db/main",
            "--integration=prod",
            "--name=mine"
        ]));
    }

    #[rstest::rstest]
    #[case("DB  password (prod)", "db-password-prod")]
    #[case("~~~", "loan")]
    #[case("Übung", "bung")]
    #[case(
        "a title that is far longer than any name should be",
        "a-title-that-is-far-longer-than-any-name"
    )]
    fn a_request_is_named_after_its_item(#[case] title: &str, #[case] name: &str) {
        assert_eq!(slug(title), name);
    }

    #[rstest::rstest]
    #[case("2027-01-31T13:00:00+01:00", "2027-01-31T12:00:00Z")]
    #[case("2027-01-31t12:00:00z", "2027-01-31T12:00:00Z")]
    #[case("90m", "2026-11-24T12:30:00Z")]
    fn the_last_moment_is_a_time_or_a_while_from_now(#[case] text: &str, #[case] at: &str) {
        assert_eq!(
            not_after(text, samples::present()).unwrap().0.to_string(),
            at
        );
    }

    #[test]
    fn a_last_moment_that_has_passed_is_wrong() {
        let failure = not_after("2020-01-01T00:00:00Z", samples::present()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
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
