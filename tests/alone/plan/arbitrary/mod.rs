//! Anything that could be seen of a loan: mostly what a cluster holds, now and then what no API server would let pass.

mod decisions;
mod records;
mod requests;
mod rules;
mod values;

use std::sync::Arc;

use jiff::Timestamp;
use keyloan::api::RENEW_ANNOTATION;
use keyloan::plan::delivery::failure::Undeleted;
use keyloan::plan::delivery::failure::{Attempt, Failure};
use keyloan::plan::grant::plan;
use keyloan::plan::observed::{Ahead, Observed, Usage};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use decisions::{boundary, decision};
use records::{link_record, link_seen, record};
use requests::grant;
pub use rules::{flow_seen, integration_seen, inventory_seen};
use values::minute;
pub use values::{any_span, lifetime, rarely, text, time, vault_name, word};

use super::executor::{Reached, issue_link};
use super::world::{GRANT_UID, World, at, issued, no_place, no_record, planted};

/// What was seen, and when.
pub fn observed() -> impl Strategy<Value = (Observed, Timestamp)> {
    prop_oneof![2 => anything(), 1 => as_agreed()]
}

/// A request, or a loan on the terms that its request and its flow confirm, with other links than it would have: what a record says
/// that nobody confirms lends nothing.
fn as_agreed() -> impl Strategy<Value = (Observed, Timestamp)> {
    let asked = option::weighted(0.7, minute());
    let seen = (link_seen(), option::weighted(0.1, attempt()), asked);
    let links = option::weighted(0.7, vec(link_record(), 0..4));
    let shortened = option::of(select(vec!["1h", "90m", "2h", "3h"]));
    (links, shortened, seen, now()).prop_map(|(links, shortened, (link, attempt, asked), now)| {
        let world = World::asked().approved_for(shortened);
        let world = if shortened.is_some() {
            world.one_step(0)
        } else {
            world
        };
        let plan = world.plan_at(0);
        let mut seen = world.seen;
        if let Some(links) = links {
            seen = issue_link(issued(&plan), seen, Reached::Intent, at(0));
            let record = seen.record.as_mut().map(Arc::make_mut);
            record.expect("a record").spec.links = links;
            seen.link = link;
        }
        let grant = seen.grant.as_mut().map(Arc::make_mut).expect("a grant");
        if let Some(minute) = asked {
            let annotations = grant.metadata.annotations.get_or_insert_default();
            annotations.insert(RENEW_ANNOTATION.into(), at(minute).to_string());
        }
        seen.attempt = attempt;
        (seen, now)
    })
}

fn anything() -> impl Strategy<Value = (Observed, Timestamp)> {
    let known = prop_oneof![2 => Just(None), 3 => record().prop_map(Some)];
    let loan = (
        rarely(grant().prop_map(Some), Just(None)),
        known,
        link_seen(),
        option::weighted(0.2, attempt()),
        option::weighted(0.1, undeleted()),
        vec(record(), 0..3),
        prop::bool::weighted(0.1),
    );
    let around = (
        vec(flow_seen(), 1..4),
        rarely(integration_seen().prop_map(Some), Just(None)),
        btree_map(word(), usage(), 0..2),
        btree_map(word(), word(), 0..2),
        rarely(Just((0, 0)), (0u32..99, 0u32..99)),
    );
    let deciding = (
        vec(decision(), 0..6),
        boundary(),
        rarely(
            Just(vec![
                GRANT_UID.to_owned(),
                "decision-1".into(),
                "decision-2".into(),
            ]),
            Just(vec![]),
        ),
    );
    (loan, around, deciding, now()).prop_map(
        |((grant, record, link, attempt, undeleted, unlent, unserved), around, deciding, now)| {
            let (decisions, boundary, checked) = deciding;
            let (flows, integration, usage, namespace_labels, (in_line, new)) = around;
            let ahead = Ahead { in_line, new };
            let seen = Observed {
                grant: grant.map(Arc::new),
                // Where there is no record, it may be history.
                history: unserved && record.is_none(),
                record: record.map(Arc::new),
                namespace_labels,
                flows: flows.into_iter().map(Arc::new).collect(),
                integration,
                link,
                usage,
                ahead,
                attempt,
                undeleted,
                unlent: unlent.into_iter().map(Arc::new).collect(),
                gone: None,
                decisions: decisions.into_iter().map(Arc::new).collect(),
                boundary,
                checked: checked.into_iter().collect(),
                links_namespace: "keyloan-system-links".into(),
                unserved,
            };
            (on_these_terms(seen, now), now)
        },
    )
}

/// Decisions mostly refer to the terms that the request's status would show.
fn on_these_terms(mut seen: Observed, now: Timestamp) -> Observed {
    let digest = plan(&seen, now).status.and_then(|status| status.digest);
    for decision in &mut seen.decisions {
        let decision = Arc::make_mut(decision);
        if digest.is_some() && decision.spec.reason.as_deref() != Some("") {
            decision.spec.digest = digest.clone();
        }
    }
    seen
}

/// How an attempt to issue a link can fail.
pub fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Unauthorized),
        Just(Failure::Forbidden),
        Just(Failure::NotFound),
        Just(Failure::Archived),
        time().prop_map(|until| Failure::RateLimited { until }),
        Just(Failure::Refused),
        Just(Failure::OpensOnce),
        Just(Failure::NotConnected),
        Just(Failure::Unavailable),
        Just(Failure::NotKept("403 Forbidden".into())),
        any::<bool>().prop_map(no_place),
        any::<bool>().prop_map(no_record),
        Just(Failure::ItemDiffers),
        Just(Failure::ItemChanged),
        Just(Failure::LimitReached),
        Just(Failure::SecretTaken(planted())),
    ]
}

fn now() -> impl Strategy<Value = Timestamp> {
    rarely(minute().prop_map(at), time())
}

fn usage() -> impl Strategy<Value = Usage> {
    (0u32..4, 0u32..4, option::of(time())).prop_map(|(active, pending, next_over)| Usage {
        active,
        pending,
        next_over,
    })
}

fn undeleted() -> impl Strategy<Value = Undeleted> {
    let count = rarely(1u32..9, any::<u32>());
    (time(), any::<bool>(), count).prop_map(|(at, is_passing, count)| Undeleted {
        at,
        why: "the API server said no".into(),
        is_passing,
        count,
    })
}

fn attempt() -> impl Strategy<Value = Attempt> {
    (time(), failure(), rarely(1u32..9, any::<u32>())).prop_map(|(at, failure, count)| Attempt {
        at,
        failure,
        count,
    })
}
