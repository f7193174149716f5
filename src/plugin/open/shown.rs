//! A link as it is printed: for people, with what to know before they open it, and for programs.

use clap::ValueEnum;
use jiff::Timestamp;
use kube::ResourceExt as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::api::AccessGrant;
use crate::cluster::person::Link;
use crate::plugin::failure::Failure;
use crate::plugin::output::{Format, Text, document, facts, lasts, put, say, visible, when};
use crate::plugin::terms;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LinkFormat {
    /// The link and what is known of it, as JSON.
    Json,
    /// The link and what is known of it, as YAML.
    Yaml,
    /// Just the link.
    Url,
}

/// Prints a link.
pub fn print(
    grant: &AccessGrant,
    link: &Link,
    format: Option<LinkFormat>,
    now: Timestamp,
) -> Result<(), Failure> {
    let url = link.url.expose_secret();
    match format {
        Some(LinkFormat::Url) => put(url)?,
        Some(LinkFormat::Json) => put(document(&for_programs(grant, link), Format::Json)?)?,
        Some(LinkFormat::Yaml) => {
            put(document(&for_programs(grant, link), Format::Yaml)?.trim_end())?;
        }
        None => {
            // Never broken, so that it can be clicked.
            put(visible(url))?;
            say(Text::default().and_apart(about(grant, link, now)))?;
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

/// What to know about a link before one opens it.
fn about(grant: &AccessGrant, link: &Link, now: Timestamp) -> Text {
    let status = grant.status.clone().unwrap_or_default();
    let terms = status.terms.as_ref();
    let recipients: Vec<_> = terms
        .iter()
        .flat_map(|t| &t.recipients)
        .map(ToString::to_string)
        .collect();
    let once = terms.is_some_and(|t| t.view_once);
    let known = [
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
    ];
    let access = terms::access(link.access_details.as_deref());
    facts(known.into_iter().chain(access))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::samples;

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
