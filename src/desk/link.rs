//! A loan's link: what to do to get one that opens, whether an expected link has arrived, and what
//! to know before opening it.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::api::{ACTIVE, AccessGrant, Time};
use crate::plan::delivery::Delivery;
use crate::plan::delivery::links::RENEWAL_MARGIN;
use crate::plan::reasons::GrantReason;

use super::action::{Action, Refusal};
use super::standing::{because, condition, holds, is_over};
use super::terms;
use super::text::{Text, facts};
use super::times::{opens as opens_until, when};

/// A loan with less time left gets no further link: a link opens for at least an hour, and the
/// operator needs a moment to issue it.
const SHORTEST: SignedDuration = SignedDuration::from_mins(62);

/// What to do to get a link that opens.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The current link opens: show it.
    Show,
    /// Wait for a link with a higher number.
    Wait {
        /// The number of the current link; 0 if there is none yet.
        after: u32,
    },
    /// Ask for the next link, as of this time.
    Renew {
        /// The time by the operator's clock, as far as it is known.
        at: Timestamp,
    },
    /// The loan is over: there is no further link.
    Over,
}

/// Decides what to do to get a link that opens.
pub fn next(grant: &AccessGrant, now: Timestamp) -> Next {
    if is_over(grant) {
        return Next::Over;
    }
    let Some(status) = grant.status.as_ref().filter(|s| s.granted_at.is_some()) else {
        return Next::Wait { after: 0 };
    };
    let terms = status.terms.as_ref();
    let renews = terms.is_some_and(|terms| Delivery::of(terms).renews(terms));
    let reason = condition(grant, ACTIVE).and_then(GrantReason::of);
    let Some(link) = &status.link else {
        // Either somebody deleted the link's Secret, or the operator is still working.
        let again = matches!(
            reason,
            Some(GrantReason::LinkSecretMissing | GrantReason::LinksLost)
        );
        return match renews && again {
            true => Next::Renew { at: now },
            false => Next::Wait { after: 0 },
        };
    };
    let end = link.expires_at.0;
    // The operator's clock decides: if it says that the link has ended, the link has ended.
    if opens(grant, now) {
        let loan_end = status.expires_at.as_ref();
        let time_left = loan_end.is_some_and(|at| at.0.duration_since(now) > SHORTEST);
        let about_to_end = end.duration_since(now) < RENEWAL_MARGIN;
        return match about_to_end && renews && time_left {
            true => Next::Renew { at: now },
            false => Next::Show,
        };
    }
    let can_be_asked_for = matches!(
        reason,
        Some(GrantReason::LinkEnded | GrantReason::LinksLost | GrantReason::LinkIssued)
    );
    match renews && can_be_asked_for {
        true => Next::Renew { at: now.max(end) },
        false => Next::Wait {
            after: link.sequence,
        },
    }
}

/// Whether the current link opens, according to the operator and to our clock.
pub fn opens(grant: &AccessGrant, now: Timestamp) -> bool {
    let link = grant.status.as_ref().and_then(|s| s.link.as_ref());
    link.is_some_and(|l| l.expires_at.0 > now) && holds(grant, ACTIVE)
}

/// What ends the wait for a link.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// The link has arrived, in this grant.
    Link(Box<AccessGrant>),
    /// The loan is over.
    Over(Refusal),
    /// The loan continues, but gets no further link.
    Stopped(Refusal),
}

/// What has happened since the link with the number `after`. A reason that was `known` before does
/// not end the wait.
pub fn arrived(grant: &AccessGrant, after: u32, known: Option<&str>) -> Option<Arrival> {
    if is_over(grant) {
        return Some(Arrival::Over(over(grant)));
    }
    let status = grant.status.as_ref()?;
    if status.link.as_ref().is_some_and(|l| l.sequence > after) {
        return Some(Arrival::Link(Box::new(grant.clone())));
    }
    let condition = condition(grant, ACTIVE)?;
    let stopped = matches!(
        GrantReason::of(condition)?,
        GrantReason::RenewalStopped
            | GrantReason::NoTimeForAnotherLink
            | GrantReason::LinkSecretTaken
            | GrantReason::LinksLost
    );
    let news = stopped && known != Some(&condition.reason);
    news.then(|| {
        Arrival::Stopped(Refusal::new(format!(
            "{} gets no further link: {}",
            grant.name_any(),
            condition.message
        )))
    })
}

/// The loan is over and has no link.
pub fn over(grant: &AccessGrant) -> Refusal {
    let message = because(format_args!("{} has no link", grant.name_any()), grant);
    Refusal::new(message).next("request the item again", Action::Request)
}

/// Says that a person has asked for the next link.
pub const REQUESTED: &str = "Requested the next link.";

/// The loan continues, and its link has not come yet.
pub fn not_there_yet(grant: &AccessGrant) -> Refusal {
    let name = grant.name_any();
    let message = format!("{name} has no link yet");
    Refusal::new(message).next("see what it waits for", Action::Explain(name))
}

/// The grant was deleted before its link came.
pub fn deleted(grant: &AccessGrant) -> Refusal {
    Refusal::new(format!("{} was deleted", grant.name_any()))
}

/// Somebody else tried to read the link. No role helps: only the requester can read it.
pub fn not_yours(grant: &AccessGrant) -> Refusal {
    let requester = grant.spec.requester.as_ref();
    let requester = requester.map_or("the requester", |who| &who.username);
    let message = format!("only {requester} can read the link of {}", grant.name_any());
    Refusal::new(message).next("request the item yourself", Action::Request)
}

/// What to know about a link before opening it.
pub fn about(grant: &AccessGrant, access_details: Option<&str>, now: Timestamp) -> Text {
    let status = grant.status.as_ref();
    let terms = status.and_then(|s| s.terms.as_ref());
    let recipients = terms.iter().flat_map(|t| &t.recipients);
    let recipients: Vec<_> = recipients.map(ToString::to_string).collect();
    let once = match terms.is_some_and(|t| t.view_once) {
        true => "have a place ready for the secret before you open the link",
        false => "",
    };
    let time = |at: Option<&Time>, shown: fn(Timestamp, Timestamp) -> String| {
        at.map_or_else(String::new, |at| shown(at.0, now))
    };
    let link = status.and_then(|s| s.link.as_ref());
    let known = [
        ("Item", terms::item(grant)),
        ("Recipients", recipients.join(", ")),
        ("Link", time(link.map(|l| &l.expires_at), opens_until)),
        ("Opens once", once.to_owned()),
        (
            "Loan ends",
            time(status.and_then(|s| s.expires_at.as_ref()), when),
        ),
    ];
    facts(known.into_iter().chain(terms::access(access_details)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Renewal;
    use crate::desk::samples;

    fn stopped(grant: &AccessGrant) -> String {
        match arrived(grant, 1, None) {
            Some(Arrival::Stopped(refusal)) => refusal.message,
            other => panic!("{other:?}"),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_that_opens_for_a_while_is_printed() {
        assert_eq!(next(&samples::active(), samples::present()), Next::Show);
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
        assert_eq!(next(&grant, at("2026-11-24T11:25:00Z")), Next::Show);
    }

    #[test]
    fn a_loan_without_renewal_keeps_its_link_to_the_end() {
        let mut grant = samples::active();
        let status = grant.status.as_mut().unwrap();
        status.terms.as_mut().unwrap().renewal = Renewal::Never;
        assert_eq!(next(&grant, at("2026-11-24T11:25:00Z")), Next::Show);
    }

    #[test]
    fn the_operators_clock_says_whether_a_link_has_ended() {
        let mut grant = samples::active();
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            GrantReason::LinkEnded.as_str(),
            "the link has ended",
        );
        let end = at("2026-11-24T11:30:00Z");
        assert_eq!(next(&grant, samples::present()), Next::Renew { at: end });
    }

    #[test]
    fn a_link_whose_secret_somebody_deleted_is_asked_for_again() {
        let mut grant = samples::active();
        grant.status.as_mut().unwrap().link = None;
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            GrantReason::LinkSecretMissing.as_str(),
            "deleted",
        );
        let now = samples::present();
        assert_eq!(next(&grant, now), Next::Renew { at: now });
    }

    #[test]
    fn a_request_that_waits_is_waited_for_and_one_that_is_over_is_not() {
        assert_eq!(
            next(&samples::waiting(), samples::present()),
            Next::Wait { after: 0 }
        );
        assert_eq!(next(&samples::denied(), samples::present()), Next::Over);
    }

    #[test]
    fn the_next_link_is_one_with_a_higher_number() {
        let grant = samples::active();
        assert_eq!(arrived(&grant, 1, None), None);
        let arrived = arrived(&grant, 0, None);
        assert!(matches!(arrived, Some(Arrival::Link(_))), "{arrived:?}");
    }

    #[test]
    fn who_waits_for_a_link_that_is_refused_is_told_why() {
        let mut grant = samples::active();
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            GrantReason::RenewalStopped.as_str(),
            "the flow is suspended",
        );
        assert_eq!(
            stopped(&grant),
            "alice-db gets no further link: the flow is suspended"
        );
    }

    #[test]
    fn a_link_that_has_ended_is_not_printed() {
        let mut grant = samples::active();
        let (message, late) = ("the loan ends too soon", at("2026-11-24T13:45:00Z"));
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            GrantReason::NoTimeForAnotherLink.as_str(),
            message,
        );
        assert_eq!(next(&grant, late), Next::Wait { after: 1 });
        assert!(stopped(&grant).ends_with(message));
    }

    #[test]
    fn who_asks_again_after_links_were_lost_waits_for_news() {
        let mut grant = samples::active();
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            GrantReason::LinksLost.as_str(),
            "three were lost",
        );
        assert!(matches!(
            next(&grant, samples::present()),
            Next::Renew { .. }
        ));
        assert_eq!(
            arrived(&grant, 1, Some(GrantReason::LinksLost.as_str())),
            None
        );
    }
}
