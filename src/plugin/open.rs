//! `kubectl keyloan open`: print the link of a loan. If the link has ended, ask for the next one
//! and wait for it.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use clap::ValueEnum;
use jiff::Timestamp;
use kube::ResourceExt as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::api::{ACTIVE, AccessGrant, RENEW_ANNOTATION};
use crate::cluster::person::{CallError, Link, Refused};
use crate::desk::link::{
    Arrival, Next, REQUESTED, about, arrived, deleted, next, not_there_yet, not_yours, opens, over,
};
use crate::desk::standing::condition;
use crate::desk::text::Text;
use crate::desk::visible::visible;

use super::arguments::{GrantName, timeout};
use super::failure::{Exit, Failure};
use super::output::{Structured, print_value, put, remark, say};
use super::session::Session;
use super::waiting::{Waited, until};

/// How long to wait for the next link while the current one still opens.
const TIMEOUT_WITH_A_LINK: Duration = Duration::from_secs(20);

/// How often to retry while the API server does not know the requester's right yet: 10 s in total.
const UNTIL_ALLOWED: ConstantBuilder = ConstantBuilder::new()
    .with_delay(Duration::from_millis(200))
    .with_max_times(50);

/// Print the link of a loan. If the link has ended or is about to end, and the loan has not ended,
/// ask for the next link and wait for it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    grant: GrantName,
    /// How long to wait for a link.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = timeout)]
    timeout: Duration,
    /// Print in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<LinkFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LinkFormat {
    /// The link and its details as JSON.
    Json,
    /// The link and its details as YAML.
    Yaml,
    /// Only the link.
    Url,
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let grant = session.grant(&arguments.grant.name).await?;
    let grant = match next(&grant, session.now()) {
        Next::Show => grant,
        Next::Over => return Err(session.hints.failure(Exit::Refused, over(&grant))),
        Next::Wait { after } => wait(session, &grant, (after, None), arguments.timeout).await?,
        Next::Renew { at } => {
            let opens_still = opens(&grant, session.now());
            let timeout = match opens_still {
                true => arguments.timeout.min(TIMEOUT_WITH_A_LINK),
                false => arguments.timeout,
            };
            match renew(session, &grant, at, timeout).await {
                Err(failure) if opens_still => {
                    remark(format_args!(
                        "note: {}; printing the current link",
                        failure.message
                    ));
                    grant
                }
                renewed => renewed?,
            }
        }
    };
    let link = read(session, &grant)
        .await
        .map_err(|error| match error.refused {
            Refused::NoRight(_) => session.hints.failure(Exit::Error, not_yours(&grant)),
            _ => error.into(),
        })?;
    print(&grant, &link, arguments.output, session.now())?;
    Ok(Exit::Done)
}

/// Reads the link. The API server learns of the requester's right a moment after the operator has
/// given it, so the requester's call is retried.
async fn read(session: &Session, grant: &AccessGrant) -> Result<Link, CallError> {
    let secret = grant.status.as_ref().and_then(|s| s.link.as_ref());
    let Some(secret) = secret.map(|link| link.secret_ref.clone()) else {
        return Err(CallError {
            verb: "read",
            object: format!("the link of {}", grant.name_any()),
            refused: Refused::NotFound,
        });
    };
    let read = || session.person.link(&secret.namespace, &secret.name);
    let no_right = |error: &CallError| matches!(error.refused, Refused::NoRight(_));
    match read().await {
        Err(error) if no_right(&error) && is_requester(session, grant).await => {
            read.retry(UNTIL_ALLOWED).when(no_right).await
        }
        answer => answer,
    }
}

async fn is_requester(session: &Session, grant: &AccessGrant) -> bool {
    let requester = grant.spec.requester.as_ref();
    let me = session.me().await.ok();
    me.zip(requester)
        .is_some_and(|(me, requester)| me.username == requester.username)
}

async fn renew(
    session: &Session,
    grant: &AccessGrant,
    at: Timestamp,
    timeout: Duration,
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
    remark(REQUESTED);
    let current = grant.status.as_ref().and_then(|s| s.link.as_ref());
    let known = condition(grant, ACTIVE).map(|c| c.reason.as_str());
    wait(
        session,
        &asked,
        (current.map_or(0, |l| l.sequence), known),
        timeout,
    )
    .await
}

/// Waits for a link with a higher number, or for a reason other than `known` why there is none.
async fn wait(
    session: &Session,
    grant: &AccessGrant,
    (after, known): (u32, Option<&str>),
    timeout: Duration,
) -> Result<AccessGrant, Failure> {
    let news = |seen: &AccessGrant| arrived(seen, after, known);
    match until(session, grant, timeout, news).await? {
        Waited::There(Arrival::Link(grant)) => Ok(*grant),
        Waited::There(Arrival::Over(refusal)) => Err(session.hints.failure(Exit::Refused, refusal)),
        Waited::There(Arrival::Stopped(refusal)) => {
            Err(session.hints.failure(Exit::Error, refusal))
        }
        Waited::Gone => Err(session.hints.failure(Exit::Refused, deleted(grant))),
        Waited::TimedOut => Err(session.hints.timed_out(not_there_yet(grant))),
    }
}

/// Prints a link.
fn print(
    grant: &AccessGrant,
    link: &Link,
    format: Option<LinkFormat>,
    now: Timestamp,
) -> Result<(), Failure> {
    let url = link.url.expose_secret();
    match format {
        Some(LinkFormat::Url) => put(url)?,
        Some(LinkFormat::Json) => print_value(&for_programs(grant, link), Structured::Json)?,
        Some(LinkFormat::Yaml) => print_value(&for_programs(grant, link), Structured::Yaml)?,
        None => {
            // Not wrapped, so that a terminal can open it.
            put(visible(url))?;
            say(Text::default().and_apart(about(grant, link.access_details.as_deref(), now)))?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::samples;
    use crate::plugin::output::lines;

    #[test]
    fn beside_the_link_stands_what_to_know_before_one_opens_it() {
        let details = Some("psql -h db.example.com");
        let about = about(&samples::active(), details, samples::present());
        insta::assert_snapshot!(lines(&about, None).join("\n"));
    }
}
