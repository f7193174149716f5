//! What to do about a loan's link, and whether the one that is waited for has come.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::api::{ACTIVE, AccessGrant, Condition, Renewal};
use crate::plan::links::RENEWAL_MARGIN;
use crate::plan::reasons::grant as reasons;
use crate::plugin::failure::{Exit, Failure};
use crate::plugin::hints::Hints;
use crate::plugin::waiting::{holds, is_over, where_it_is};

/// The operator needs some of a loan's last time for a link that opens for an hour.
const SHORTEST: SignedDuration = SignedDuration::from_mins(62);

/// What to do about a loan's link.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The link opens: print it.
    Print,
    /// There will be one after this one; none yet is 0.
    Wait {
        /// The number of the current link.
        after: u32,
    },
    /// Ask for the next one, as of this time.
    Renew {
        /// By the operator's clock, as far as it is known.
        at: Timestamp,
    },
    /// There will be no more.
    Over,
}

/// Looks at a loan's link.
pub fn next(grant: &AccessGrant, now: Timestamp) -> Next {
    if is_over(grant) {
        return Next::Over;
    }
    let Some(status) = grant.status.as_ref().filter(|s| s.granted_at.is_some()) else {
        return Next::Wait { after: 0 };
    };
    let terms = status.terms.as_ref();
    let renews = terms.is_some_and(|t| !t.view_once && t.renewal == Renewal::OnRequest);
    let reason = active(grant).map_or("", |c| c.reason.as_str());
    let Some(link) = &status.link else {
        // Somebody deleted its Secret; or the operator is at work.
        let again = [reasons::LINK_SECRET_MISSING, reasons::LINKS_LOST].contains(&reason);
        return match renews && again {
            true => Next::Renew { at: now },
            false => Next::Wait { after: 0 },
        };
    };
    let end = link.expires_at.0;
    // The operator's clock counts: where it says that the link opens no more, it does not.
    if opens(grant, now) {
        let loan_end = status.expires_at.as_ref();
        let time_left = loan_end.is_some_and(|at| at.0.duration_since(now) > SHORTEST);
        let about_to_end = end.duration_since(now) < RENEWAL_MARGIN;
        return match about_to_end && renews && time_left {
            true => Next::Renew { at: now },
            false => Next::Print,
        };
    }
    let can_be_asked_for = [
        reasons::LINK_ENDED,
        reasons::LINKS_LOST,
        reasons::LINK_ISSUED,
    ]
    .contains(&reason);
    match renews && can_be_asked_for {
        true => Next::Renew { at: now.max(end) },
        false => Next::Wait {
            after: link.sequence,
        },
    }
}

/// Whether the current link opens, by the operator's word and by our clock.
pub fn opens(grant: &AccessGrant, now: Timestamp) -> bool {
    let link = grant.status.as_ref().and_then(|s| s.link.as_ref());
    link.is_some_and(|l| l.expires_at.0 > now) && holds(grant, ACTIVE)
}

/// Whether there is a link after this one, or why there will be none. What was known before is no news.
pub fn arrived(
    grant: &AccessGrant,
    after: u32,
    known: Option<&str>,
    hints: &Hints,
) -> Option<Result<Box<AccessGrant>, Failure>> {
    if is_over(grant) {
        return Some(Err(over(grant, hints)));
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
    let news = stopped.contains(&condition.reason.as_str()) && known != Some(&condition.reason);
    news.then(|| {
        Err(Failure::new(format!(
            "{} gets no other link: {}",
            grant.name_any(),
            condition.message
        )))
    })
}

/// The condition that says whether the link opens.
pub fn active(grant: &AccessGrant) -> Option<&Condition> {
    let status = grant.status.as_ref()?;
    status.conditions.iter().find(|c| c.type_ == ACTIVE)
}

/// There is no link any more.
pub fn over(grant: &AccessGrant, hints: &Hints) -> Failure {
    let name = grant.name_any();
    let failure = Failure::new(format!("{name} has no link. {}", where_it_is(grant)));
    Failure {
        exit: Exit::Refused,
        ..failure.next(format!("ask again with `{}`", hints.command("request")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Time;
    use crate::plugin::samples;

    fn arrived(
        grant: &AccessGrant,
        after: u32,
        known: Option<&str>,
    ) -> Option<Result<Box<AccessGrant>, Failure>> {
        super::arrived(grant, after, known, &Hints::default())
    }

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
        assert_eq!(
            next(&samples::waiting(), samples::now()),
            Next::Wait { after: 0 }
        );
        assert_eq!(next(&samples::denied(), samples::now()), Next::Over);
    }

    #[test]
    fn the_next_link_is_one_with_a_higher_number() {
        let grant = samples::active();
        assert_eq!(arrived(&grant, 1, None), None);
        assert!(arrived(&grant, 0, None).unwrap().is_ok());
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
        let failure = arrived(&grant, 1, None).unwrap().unwrap_err();
        assert_eq!(
            failure.message,
            "alice-db gets no other link: the flow is suspended"
        );
    }

    #[test]
    fn a_link_that_has_ended_is_not_printed() {
        let mut grant = samples::active();
        let (message, late) = ("the loan ends too soon", at("2026-11-24T13:45:00Z"));
        samples::say(&mut grant, ACTIVE, false, reasons::NO_TIME_LEFT, message);
        assert_eq!(next(&grant, late), Next::Wait { after: 1 });
        let failure = arrived(&grant, 1, None).unwrap().unwrap_err();
        assert!(failure.message.ends_with(message), "{failure:?}");
    }

    #[test]
    fn who_asks_again_after_links_were_lost_waits_for_news() {
        let mut grant = samples::active();
        samples::say(
            &mut grant,
            ACTIVE,
            false,
            reasons::LINKS_LOST,
            "three were lost",
        );
        assert!(matches!(next(&grant, samples::now()), Next::Renew { .. }));
        assert_eq!(arrived(&grant, 1, Some(reasons::LINKS_LOST)), None);
    }
}
