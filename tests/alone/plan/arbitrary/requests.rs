//! Grants, as they were asked for and as an earlier pass may have left them.

use keyloan::api::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::values::*;
use crate::plan::world::{self, GRANT_UID, at};

pub fn grant() -> impl Strategy<Value = AccessGrant> {
    let asked = option::weighted(
        0.4,
        rarely(
            minute().prop_map(|m| at(m).to_string()),
            text(
                &["yesterday"],
                &["", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59Z"],
            ),
        ),
    );
    let item = (vault_name(), title()).prop_map(|(vault, item)| ItemRef { vault, item });
    let spec = (
        option::of(any_span()),
        option::weighted(0.2, vec(any_email(), 0..3)),
        option::weighted(0.2, any::<bool>()),
        rarely(Just(None), text(&["INC-1"], &[""]).prop_map(Some)),
        rarely(Just(None), text(&["a", "oncall"], &[""]).prop_map(Some)),
        option::weighted(0.1, some_time()),
        rarely(identity().prop_map(Some), Just(None)),
    );
    let meta = meta("team-a", &["alice-db"], GRANT_UID);
    (meta, asked, item, spec, option::weighted(0.2, status())).prop_map(
        |(metadata, asked, item, spec, status)| {
            let mut grant = world::grant();
            grant.metadata = metadata;
            grant.metadata.annotations = asked.map(|a| [(RENEW_ANNOTATION.to_owned(), a)].into());
            grant.spec.item = item;
            let (duration, recipients, view_once, justification, flow, not_after, requester) = spec;
            grant.spec = AccessGrantSpec {
                duration,
                recipients,
                view_once,
                justification,
                flow,
                not_after,
                requester,
                ..grant.spec
            };
            grant.status = status;
            grant
        },
    )
}

/// A status that may have come from a pass over another state than this one.
pub fn status() -> impl Strategy<Value = AccessGrantStatus> {
    let reasons = &["FlowChosen", "Lapsed", "OutsideTimeframe", "ItemNotFound"];
    let condition = (
        select(vec![ACCEPTED, ACTIVE, ENDED, STALLED, "Unknown"]),
        select(vec!["True", "False", "Unknown", ""]),
        text(reasons, &["", "x y"]),
        some_time(),
    );
    let condition = condition.prop_map(|(type_, status, reason, since)| Condition {
        type_: type_.into(),
        status: status.into(),
        reason,
        message: "earlier".into(),
        observed_generation: None,
        last_transition_time: since,
    });
    let phases = vec![
        None,
        Some(Phase::Pending),
        Some(Phase::Issuing),
        Some(Phase::Active),
        Some(Phase::Failed),
        Some(Phase::Lapsed),
        Some(Phase::Denied),
        Some(Phase::Ended),
    ];
    let lent = rarely(Just(None), some_time().prop_map(Some));
    (select(phases), vec(condition, 0..4), lent).prop_map(|(phase, conditions, granted_at)| {
        AccessGrantStatus {
            phase,
            conditions,
            granted_at,
            observed_generation: Some(1),
            ..AccessGrantStatus::default()
        }
    })
}
