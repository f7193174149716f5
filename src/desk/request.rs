//! Requests: what a person types, the object to create from it, and what to say about it.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::core::ObjectMeta;

use crate::api::{
    AccessGrant, AccessGrantSpec, Email, Identity, IntegrationName, IntegrationRef, ItemRef, Span,
    Time, TitleOrId,
};

use super::action::Refusal;
use super::terms;

/// What a person wants to borrow. The flow decides what is left out.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The vault, by title or ID.
    pub vault: String,
    /// The item, by title or ID.
    pub item: String,
    /// The integration: `name`, or `namespace/name`.
    pub integration: String,
    /// The duration of the loan.
    pub duration: Option<Span>,
    /// The addresses of the recipients. If there are none, the requester is the recipient.
    pub recipients: Vec<String>,
    /// Whether the link opens only once.
    pub view_once: bool,
    /// Why the person needs the item.
    pub justification: Option<String>,
    /// The only flow to use.
    pub flow: Option<String>,
    /// The latest start of the loan.
    pub not_after: Option<Time>,
    /// The name of the request. If there is none, it is made from the item's title.
    pub name: Option<String>,
}

/// The object to create. It names its requester even though most clusters stamp it: the policies of
/// other clusters demand it.
pub fn draft(wish: Wish, me: Identity) -> AccessGrant {
    let (namespace, integration) = match wish.integration.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, wish.integration),
    };
    let recipients: Vec<_> = wish.recipients.iter().map(|text| address(text)).collect();
    let generate_name = wish
        .name
        .is_none()
        .then(|| format!("{}-", slug(&wish.item)));
    AccessGrant {
        metadata: ObjectMeta {
            generate_name,
            name: wish.name,
            ..ObjectMeta::default()
        },
        spec: AccessGrantSpec {
            integration: IntegrationRef {
                name: IntegrationName(integration),
                namespace,
            },
            item: ItemRef {
                vault: TitleOrId(wish.vault),
                item: TitleOrId(wish.item),
            },
            duration: wish.duration,
            recipients: (!recipients.is_empty()).then_some(recipients),
            view_once: wish.view_once.then_some(true),
            justification: wish.justification,
            flow: wish.flow,
            not_after: wish.not_after,
            requester: Some(me),
        },
        status: None,
    }
}

/// Trims an address and lower-cases it, as the API requires.
fn address(text: &str) -> Email {
    Email(text.trim().to_lowercase())
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

/// Parses the duration of a loan: `4h`, `90m`, `1d12h`, `2w`, `2h0m0s`. The error is an
/// instruction.
pub fn duration(text: &str) -> Result<Span, String> {
    let span = Span(text.to_owned());
    match span.parse() {
        Some(duration) if duration >= SignedDuration::from_hours(1) => Ok(span),
        Some(_) => {
            Err("the minimum duration is 1h, the shortest 1Password link lifetime".into())
        }
        None => Err(
            "use whole weeks, days, hours, minutes and seconds, such as 4h, 90m, 1d12h, 2w or 2h0m0s"
                .into(),
        ),
    }
}

/// Parses the latest start of a loan: a time, or a time from now. The error is the end of a
/// sentence about it.
pub fn latest_start(text: &str, now: Timestamp) -> Result<Time, String> {
    let at = text.parse::<Timestamp>().ok().or_else(|| {
        let away: SignedDuration = text.parse().ok()?;
        now.checked_add(away).ok()
    });
    let at = at.filter(|at| *at > now).ok_or_else(|| {
        format!(
            "{text:?} is not a time in the future: use a form such as 2027-01-31T12:00:00Z, or 2h for two hours from now"
        )
    })?;
    let whole_seconds = Timestamp::from_second(at.as_second()).unwrap_or(at);
    Ok(Time(whole_seconds))
}

/// Says that a request was made.
pub fn requested(made: &AccessGrant) -> String {
    format!("Requested {} as {}.", terms::item(made), made.name_any())
}

/// A request was deleted while somebody waited for its loan.
pub fn deleted(grant: &AccessGrant) -> Refusal {
    Refusal::new(format!(
        "{} was deleted while it was pending",
        grant.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::samples;

    #[rstest::rstest]
    #[case("Alice@Example.com", "alice@example.com")]
    #[case(" bob@example.com\t", "bob@example.com")]
    fn an_address_is_taken_as_people_write_it(#[case] text: &str, #[case] taken: &str) {
        let wish = Wish {
            recipients: vec![text.into()],
            ..Wish::default()
        };
        let grant = draft(wish, samples::alice());
        assert_eq!(grant.spec.recipients, Some(vec![Email(taken.into())]));
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
    #[case("4h", Ok(Span("4h".into())))]
    #[case("30m", Err("the minimum duration is 1h, the shortest 1Password link lifetime".into()))]
    #[case("2h0m0s", Ok(Span("2h0m0s".into())))]
    #[case("a while", Err("use whole weeks, days, hours, minutes and seconds, such as 4h, 90m, 1d12h, 2w or 2h0m0s".into()))]
    fn a_loan_lasts_an_hour_or_more(#[case] text: &str, #[case] parsed: Result<Span, String>) {
        assert_eq!(duration(text), parsed);
    }

    #[rstest::rstest]
    #[case("2027-01-31T13:00:00+01:00", "2027-01-31T12:00:00Z")]
    #[case("2027-01-31t12:00:00z", "2027-01-31T12:00:00Z")]
    #[case("90m", "2026-11-24T12:30:00Z")]
    fn the_last_moment_is_a_time_or_a_while_from_now(#[case] text: &str, #[case] at: &str) {
        let latest = latest_start(text, samples::present()).unwrap();
        assert_eq!(latest.0.to_string(), at);
    }

    #[test]
    fn a_last_moment_that_has_passed_is_wrong() {
        let why = latest_start("2020-01-01T00:00:00Z", samples::present()).unwrap_err();
        assert!(why.contains("is not a time in the future"), "{why}");
    }
}
