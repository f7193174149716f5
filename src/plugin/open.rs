//! `kubectl keyloan open`: print the link of a loan; where it has ended, ask for the next one and wait for it.

use std::time::Duration;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::api::{ACTIVE, AccessGrant, Condition, RENEW_ANNOTATION, Renewal, link_name};
use crate::cluster::person::{CallError, Link, Refused};
use crate::plan::links::RENEWAL_MARGIN;
use crate::plan::reasons::grant as reasons;

use super::arguments::{GrantName, patience};
use super::failure::{Exit, Failure};
use super::output::{Format, document, facts, lasts, put, remark, say, when};
use super::session::Session;
use super::terms;
use super::waiting::{Waited, is_over, until, where_it_is};

/// Print the link of a loan. Where it has ended or is about to, and the loan goes on, ask for the next one and wait for it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    grant: GrantName,
    /// How long to wait for a link.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = patience)]
    timeout: Duration,
    /// Print for programs.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<LinkFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LinkFormat {
    /// The link and what is known of it, as JSON.
    Json,
    /// The link and what is known of it, as YAML.
    Yaml,
    /// Just the link.
    Url,
}

/// How long to wait for the next link where the current one opens still.
const PATIENCE_WITH_A_LINK: Duration = Duration::from_secs(20);

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let grant = session.grant(&arguments.grant.name).await?;
    let grant = match next(&grant, session.now()) {
        Next::Print => grant,
        Next::Over => return Err(over(&grant)),
        Next::Wait => wait(session, &grant, 0, arguments.timeout).await?,
        Next::Renew { at } => {
            let opens_still = opens(&grant, session.now());
            let patience = match opens_still {
                true => arguments.timeout.min(PATIENCE_WITH_A_LINK),
                false => arguments.timeout,
            };
            match renew(session, &grant, at, patience).await {
                Err(failure) if opens_still => {
                    remark(format_args!(
                        "note: {}; this is the current one",
                        failure.message
                    ));
                    grant
                }
                renewed => renewed?,
            }
        }
    };
    let link = session
        .person
        .link(session.namespace(), &secret_name(&grant))
        .await
        .map_err(|error| not_yours(error, &grant))?;
    print(&grant, &link, arguments.output, session.now())?;
    Ok(Exit::Done)
}

/// What to do about a loan's link.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The link opens: print it.
    Print,
    /// There will be one.
    Wait,
    /// Ask for the next one, as of this time.
    Renew { at: Timestamp },
    /// There will be no more.
    Over,
}

fn next(grant: &AccessGrant, now: Timestamp) -> Next {
    if is_over(grant) {
        return Next::Over;
    }
    let Some(status) = grant.status.as_ref().filter(|s| s.granted_at.is_some()) else {
        return Next::Wait;
    };
    let renews = status
        .terms
        .as_ref()
        .is_some_and(|t| !t.view_once && t.renewal == Renewal::OnRequest);
    let reason = active(grant).map(|c| c.reason.as_str());
    let Some(link) = &status.link else {
        // Somebody deleted its Secret, or it is just being made.
        return match renews && reason == Some(reasons::LINK_SECRET_MISSING) {
            true => Next::Renew { at: now },
            false => Next::Wait,
        };
    };
    let end = link.expires_at.0;
    // The operator's clock counts: where it says that the link has ended, it has.
    if reason == Some(reasons::LINK_ENDED) && renews {
        return Next::Renew { at: now.max(end) };
    }
    let hour_left = status.expires_at.as_ref().is_some_and(|loan_end| {
        loan_end.0.duration_since(now)
            > SignedDuration::from_hours(1) + SignedDuration::from_mins(2)
    });
    let about_to_end = end.duration_since(now) < RENEWAL_MARGIN;
    match about_to_end && renews && hour_left {
        true => Next::Renew { at: now },
        false => Next::Print,
    }
}

/// Whether the current link opens, by the operator's word and by our clock.
fn opens(grant: &AccessGrant, now: Timestamp) -> bool {
    let link = grant.status.as_ref().and_then(|s| s.link.as_ref());
    link.is_some_and(|l| l.expires_at.0 > now) && super::waiting::holds(grant, ACTIVE)
}

async fn renew(
    session: &Session,
    grant: &AccessGrant,
    at: Timestamp,
    patience: Duration,
) -> Result<AccessGrant, Failure> {
    let (namespace, name) = (session.namespace(), grant.name_any());
    let uid = grant.uid().unwrap_or_default();
    let at = Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string();
    let object = (namespace, name.as_str(), uid.as_str());
    let asked: AccessGrant = session
        .person
        .annotate(object, RENEW_ANNOTATION, &at)
        .await?;
    remark("Asked for the next link.");
    let current = grant.status.as_ref().and_then(|s| s.link.as_ref());
    wait(session, &asked, current.map_or(0, |l| l.sequence), patience).await
}

/// Waits for a link after this one.
async fn wait(
    session: &Session,
    grant: &AccessGrant,
    after: u32,
    patience: Duration,
) -> Result<AccessGrant, Failure> {
    let name = grant.name_any();
    match until(session, grant, patience, where_it_is, |seen| {
        arrived(seen, after)
    })
    .await?
    {
        Waited::There(Ok(grant)) => Ok(*grant),
        Waited::There(Err(failure)) => Err(failure),
        Waited::Gone => Err(Failure {
            exit: Exit::Refused,
            ..Failure::new(format!("{name} was deleted"))
        }),
        Waited::TimedOut => {
            let failure = Failure::new(format!("{name} has no link yet"));
            let next = format!("see what it waits for: kubectl keyloan explain {name}");
            Err(Failure {
                exit: Exit::TimedOut,
                ..failure.next(next)
            })
        }
    }
}

fn arrived(grant: &AccessGrant, after: u32) -> Option<Result<Box<AccessGrant>, Failure>> {
    if is_over(grant) {
        return Some(Err(over(grant)));
    }
    let status = grant.status.as_ref()?;
    if status.link.as_ref().is_some_and(|l| l.sequence > after) {
        return Some(Ok(Box::new(grant.clone())));
    }
    let condition = active(grant)?;
    let stopped = [
        reasons::RENEWAL_STOPPED,
        reasons::NO_TIME_LEFT,
        reasons::LINK_SECRET_TAKEN,
        reasons::LINKS_LOST,
    ];
    stopped.contains(&condition.reason.as_str()).then(|| {
        Err(Failure::new(format!(
            "{} gets no other link: {}",
            grant.name_any(),
            condition.message
        )))
    })
}

fn active(grant: &AccessGrant) -> Option<&Condition> {
    let status = grant.status.as_ref()?;
    status.conditions.iter().find(|c| c.type_ == ACTIVE)
}

fn over(grant: &AccessGrant) -> Failure {
    let name = grant.name_any();
    let failure = Failure::new(format!("{name} has no link. {}", where_it_is(grant)));
    Failure {
        exit: Exit::Refused,
        ..failure.next("ask again with `kubectl keyloan request`")
    }
}

fn secret_name(grant: &AccessGrant) -> String {
    let link = grant.status.as_ref().and_then(|s| s.link.as_ref());
    link.map_or_else(
        || link_name(&grant.uid().unwrap_or_default()),
        |link| link.secret_name.clone(),
    )
}

/// Only the requester reads a link, which is not a matter of asking for a role.
fn not_yours(error: CallError, grant: &AccessGrant) -> Failure {
    match error.refused {
        Refused::NoRight(_) => {
            let requester = grant.spec.requester.as_ref();
            let whose = requester.map_or("whoever asked", |who| &who.username);
            Failure::new(format!(
                "the link of {} is for {whose} alone",
                grant.name_any()
            ))
            .next("ask for the item yourself with `kubectl keyloan request`")
        }
        _ => error.into(),
    }
}

fn print(
    grant: &AccessGrant,
    link: &Link,
    format: Option<LinkFormat>,
    now: Timestamp,
) -> Result<(), Failure> {
    let url = link.url.expose_secret();
    match format {
        Some(LinkFormat::Url) => put(url),
        Some(LinkFormat::Json) => put(document(&for_programs(grant, link), Format::Json)?),
        Some(LinkFormat::Yaml) => {
            put(document(&for_programs(grant, link), Format::Yaml)?.trim_end())
        }
        None => say(format_args!("{url}\n\n{}", about(grant, link, now))),
    }
    Ok(())
}

fn for_programs(grant: &AccessGrant, link: &Link) -> serde_json::Value {
    let status = grant.status.clone().unwrap_or_default();
    let terms = status.terms.as_ref();
    let mut value = json!({
        "name": grant.name_any(),
        "namespace": grant.namespace(),
        "url": link.url.expose_secret(),
        "sequence": link.sequence,
        "expiresAt": status.link.as_ref().map(|l| &l.expires_at),
        "loanExpiresAt": status.expires_at,
        "recipients": terms.map(|t| &t.recipients),
        "viewOnce": terms.map(|t| t.view_once),
        "accessDetails": link.access_details,
    });
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}

/// What to know about a link before one opens it.
fn about(grant: &AccessGrant, link: &Link, now: Timestamp) -> String {
    let status = grant.status.clone().unwrap_or_default();
    let terms = status.terms.as_ref();
    let recipients: Vec<_> = terms
        .iter()
        .flat_map(|t| &t.recipients)
        .map(ToString::to_string)
        .collect();
    let once = terms.is_some_and(|t| t.view_once);
    facts([
        ("Item", terms::item(grant)),
        ("Opens for", recipients.join(", ")),
        (
            "Opens",
            status
                .link
                .map_or_else(String::new, |l| lasts(l.expires_at.0, now)),
        ),
        (
            "Only once",
            if once {
                "have a place ready for what you see".into()
            } else {
                String::new()
            },
        ),
        (
            "Loan ends",
            status
                .expires_at
                .map_or_else(String::new, |t| when(t.0, now)),
        ),
        ("Access", link.access_details.clone().unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::api::Time;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_that_opens_for_a_while_is_printed() {
        assert_eq!(next(&samples::active(), samples::now()), Next::Print);
    }

    #[test]
    fn a_link_that_is_about_to_end_is_followed_by_the_next_one() {
        let now = at("2026-11-24T11:25:00Z");
        assert_eq!(next(&samples::active(), now), Next::Renew { at: now });
    }

    #[test]
    fn no_link_is_asked_for_when_the_loan_ends_within_the_hour() {
        let mut grant = samples::active();
        let status = grant.status.as_mut().unwrap();
        status.expires_at = Some(Time(at("2026-11-24T12:00:00Z")));
        assert_eq!(next(&grant, at("2026-11-24T11:25:00Z")), Next::Print);
    }

    #[test]
    fn a_loan_without_renewal_keeps_its_link_to_the_end() {
        let mut grant = samples::active();
        let status = grant.status.as_mut().unwrap();
        status.terms.as_mut().unwrap().renewal = Renewal::Never;
        assert_eq!(next(&grant, at("2026-11-24T11:25:00Z")), Next::Print);
    }

    #[test]
    fn the_operators_clock_says_whether_a_link_has_ended() {
        let mut grant = samples::active();
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            reasons::LINK_ENDED,
            "the link has ended",
        );
        let end = at("2026-11-24T11:30:00Z");
        assert_eq!(next(&grant, samples::now()), Next::Renew { at: end });
    }

    #[test]
    fn a_link_whose_secret_somebody_deleted_is_asked_for_again() {
        let mut grant = samples::active();
        grant.status.as_mut().unwrap().link = None;
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            reasons::LINK_SECRET_MISSING,
            "deleted",
        );
        let now = samples::now();
        assert_eq!(next(&grant, now), Next::Renew { at: now });
    }

    #[test]
    fn a_request_that_waits_is_waited_for_and_one_that_is_over_is_not() {
        assert_eq!(next(&samples::waiting(), samples::now()), Next::Wait);
        assert_eq!(next(&samples::denied(), samples::now()), Next::Over);
    }

    #[test]
    fn the_next_link_is_one_with_a_higher_number() {
        let grant = samples::active();
        assert_eq!(arrived(&grant, 1), None);
        assert!(arrived(&grant, 0).unwrap().is_ok());
    }

    #[test]
    fn who_waits_for_a_link_that_is_refused_is_told_why() {
        let mut grant = samples::active();
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            reasons::RENEWAL_STOPPED,
            "the flow is suspended",
        );
        let failure = arrived(&grant, 1).unwrap().unwrap_err();
        assert_eq!(
            failure.message,
            "alice-db gets no other link: the flow is suspended"
        );
    }

    #[test]
    fn beside_the_link_stands_what_to_know_before_one_opens_it() {
        let link = Link {
            url: "https://share.example/s#key".to_owned().into(),
            sequence: 1,
            access_details: Some("psql -h db.example.com".into()),
        };
        insta::assert_snapshot!(about(&samples::active(), &link, samples::now()));
    }
}
