//! Records and link Secrets, as the executor leaves them, and as it never would.

use std::sync::Arc;

use keyloan::api::*;
use keyloan::plan::observed::LinkSeen;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::values::*;
use crate::plan::executor::{Reached, issue_link};
use crate::plan::world::{GRANT_UID, World, alice, at, issued};

/// A record as the executor leaves it, with other links, terms and times than it would write.
pub fn record() -> impl Strategy<Value = AccessRecord> {
    let end = (
        time(),
        select(vec![
            EndReason::Expired,
            EndReason::NotIssued,
            EndReason::Deleted,
        ]),
    );
    let end = end.prop_map(|(at, reason)| EndRecord {
        reason,
        by: None,
        at: Time(at),
    });
    let terms = (
        any_span(),
        rarely(vec(any_email(), 1..3), Just(vec![])),
        any::<bool>(),
        lifetime(),
        renewal(),
        rarely(Just(at(-10_000)), time()),
    );
    let meta = meta("keyloan", &[GRANT_UID], "record");
    let blocked = rarely(Just(alice()), identity());
    let outcome = select(vec![
        None,
        Some(RequestOutcome::Lent),
        Some(RequestOutcome::Lent),
        Some(RequestOutcome::Lent),
        Some(RequestOutcome::Denied),
    ]);
    let residual = option::of(some_time());
    (
        meta,
        terms,
        vec(link_record(), 0..5),
        option::weighted(0.2, end),
        residual,
        blocked,
        outcome,
    )
        .prop_map(
            |(metadata, terms, links, end, residual_until, requester, outcome)| {
                let world = World::asked();
                let plan = world.plan_at(0);
                let seen = issue_link(issued(&plan), world.seen, Reached::Intent, at(0));
                let mut record = seen.record.map(Arc::unwrap_or_clone).expect("a record");
                record.metadata = metadata;
                record.spec.links = links;
                record.spec.end = end;
                record.spec.residual_until = residual_until;
                record.spec.requester = requester;
                record.spec.outcome = outcome;
                let (duration, recipients, view_once, link_lifetime, renewal, updated_at) = terms;
                record.spec.terms = Terms {
                    duration,
                    recipients,
                    view_once,
                    link_lifetime,
                    renewal,
                    item_updated_at: Time(updated_at),
                    ..record.spec.terms
                };
                record
            },
        )
}

pub fn link_record() -> impl Strategy<Value = LinkRecord> {
    let outcome = select(vec![
        None,
        Some(LinkOutcome::Issued),
        Some(LinkOutcome::Issued),
        Some(LinkOutcome::Lost),
        Some(LinkOutcome::Refused),
    ]);
    let times = (minute(), rarely(Just(None), time().prop_map(Some)));
    (sequence(), times, outcome, rarely(Just(true), Just(false))).prop_map(
        |(sequence, (minute, odd), outcome, complete)| {
            let issued = complete && outcome == Some(LinkOutcome::Issued);
            let time = |m| Time(odd.unwrap_or(at(m)));
            LinkRecord {
                sequence,
                intent_at: time(minute),
                attempt: None,
                latest_end: time(minute + 61),
                issued_at: issued.then(|| time(minute)),
                expires_at: issued.then(|| time(minute + 60)),
                item_version: issued.then_some(1),
                outcome,
            }
        },
    )
}

pub fn link_seen() -> impl Strategy<Value = LinkSeen> {
    let present =
        (sequence(), time(), any::<u32>()).prop_map(|(sequence, issued_at, item_version)| {
            LinkSeen::Present {
                sequence,
                issued_at,
                item_version,
            }
        });
    prop_oneof![7 => Just(LinkSeen::Absent), 6 => present, 1 => Just(LinkSeen::Foreign), 1 => Just(LinkSeen::Kept), 1 => Just(LinkSeen::OutOfReach)]
}

pub fn sequence() -> impl Strategy<Value = u32> {
    rarely(1u32..5, select(vec![0, u32::MAX, u32::MAX - 1]))
}
