//! Flows, integrations and inventories.

use std::sync::Arc;

use keyloan::api::*;
use keyloan::plan::inventory::{Inventory, ItemSeen, VaultSeen};
use keyloan::plan::observed::IntegrationSeen;
use keyloan::plan::quota::Budget;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::values::*;
use crate::plan::world::{World, approval, at, flow, inventory, ready};

pub fn flow_seen() -> impl Strategy<Value = AccessFlow> {
    let selector = (
        vault_name(),
        option::weighted(0.1, title()),
        option::weighted(0.1, title()),
    );
    let selector = selector.prop_map(|(vault, id, title)| ItemSelector {
        vault,
        ids: id.into_iter().map(|id| ItemId(id.0)).collect(),
        titles: title
            .into_iter()
            .map(|title| TitlePattern(title.0))
            .collect(),
        tags: vec![],
    });
    let rules = (
        any_span().prop_map(|s| {
            if s.parse().is_some() {
                Span("90d".into())
            } else {
                s
            }
        }),
        any_span(),
        lifetime(),
        renewal(),
        select(vec![
            ViewOnce::Allowed,
            ViewOnce::Allowed,
            ViewOnce::Required,
            ViewOnce::Forbidden,
        ]),
        select(vec![RecipientRule::Requester, RecipientRule::Listed]),
        rarely(Just(Requirement::Optional), Just(Requirement::Required)),
    );
    let modes = || select(vec![ApprovalMode::AnyOf, ApprovalMode::AllOf]);
    let by = |(mode, required): (_, Vec<u32>)| approval(mode, &required);
    let approval = prop_oneof![
        5 => Just(approval(ApprovalMode::None, &[])),
        4 => (modes(), vec(Just(1), 1..3)).prop_map(by),
        1 => (modes(), vec(1u32..3, 1..3)).prop_map(by),
        1 => (modes(), vec(any::<u32>().prop_map(|r| r / 4), 0..3)).prop_map(by),
    ];
    let meta = meta("keyloan", &["oncall", "a", "b"], "flow-oncall");
    let limits = rarely(Just((5, 10)), (0u32..3, 0u32..3));
    let suspend = rarely(Just(false), Just(true));
    let frame = option::weighted(0.1, timeframe());
    (
        meta,
        vec(selector, 0..3),
        rules,
        approval,
        frame,
        limits,
        suspend,
    )
        .prop_map(
            |(metadata, include, rules, approval, timeframe, limits, suspend)| {
                let mut flow = flow("oncall");
                flow.metadata = metadata;
                let (
                    max_duration,
                    default_duration,
                    link_lifetime,
                    renewal,
                    view_once,
                    recipients,
                    justification,
                ) = rules;
                flow.spec.grant = GrantRules {
                    max_duration,
                    default_duration,
                    link_lifetime,
                    renewal,
                    view_once,
                    recipients,
                    justification,
                };
                flow.spec.items.include.extend(include);
                flow.spec.approval = approval;
                flow.spec.timeframe = timeframe;
                flow.spec.limits = FlowLimits {
                    active_per_requester: limits.0,
                    pending_per_requester: limits.1,
                };
                flow.spec.suspend = suspend;
                flow
            },
        )
}

pub fn timeframe() -> impl Strategy<Value = Timeframe> {
    use Weekday::*;
    let zones = &["Europe/Berlin", "UTC", "America/New_York", "Pacific/Apia"];
    let odd_zones = &["", "Europe/Atlantis", "\u{0}", "../../etc/passwd", "Local"];
    let time = || {
        text(
            &["00:00", "09:00", "18:00", "23:59"],
            &["", ":", "24:00", "-1:00", "9", "99:999"],
        )
    };
    let days = vec(select(vec![Mon, Tue, Wed, Thu, Fri, Sat, Sun]), 0..8);
    (days, time(), time(), text(zones, odd_zones)).prop_map(|(days, from, to, time_zone)| {
        Timeframe {
            days,
            from: TimeOfDay(from),
            to: TimeOfDay(to),
            time_zone,
        }
    })
}

pub fn integration_seen() -> impl Strategy<Value = IntegrationSeen> {
    let blocked = rarely(
        Just(vec![]),
        Just(vec![Person {
            kind: PersonKind::User,
            name: "alice".into(),
        }]),
    );
    let ceiling = rarely(
        Just(LinkLifetime::ThirtyDays),
        select(vec![LinkLifetime::OneHour, LinkLifetime::OneDay]),
    );
    let approvals = option::weighted(0.1, 0u32..3);
    let limits = (
        option::weighted(0.3, any_span()),
        blocked,
        ceiling,
        approvals,
    );
    let limits = option::weighted(0.3, limits);
    let waits = || rarely(Just(None), time().prop_map(Some));
    let domains = option::weighted(0.5, text(&["example.com"], &["", "x"]).prop_map(Domain));
    let conditions = rarely(
        Just(vec![ready("True", "Ready")]),
        select(vec![
            vec![],
            vec![ready("False", "TokenInvalid")],
            vec![ready("", "")],
        ]),
    );
    (
        meta("keyloan", &["prod"], "integration-prod"),
        limits,
        domains,
        conditions,
        rarely(Just(false), Just(true)),
        rarely(inventory_seen().prop_map(Some), Just(None)),
        waits(),
        (waits(), waits()),
    )
        .prop_map(
            |(
                metadata,
                limits,
                domains,
                conditions,
                suspend,
                inventory,
                throttled_until,
                (own_from, first_links_from),
            )| {
                let mut integration = World::asked().integration().clone();
                integration.metadata = metadata;
                integration.spec.suspend = suspend;
                integration.spec.recipient_domains = domains.into_iter().collect();
                integration.spec.limits = limits.map(
                    |(max_duration, blocked, max_link_lifetime, min_approvals)| IntegrationLimits {
                        max_duration,
                        blocked,
                        max_link_lifetime,
                        min_approvals,
                        ..IntegrationLimits::default()
                    },
                );
                if let Some(status) = &mut integration.status {
                    status.conditions = conditions;
                }
                IntegrationSeen {
                    object: Arc::new(integration),
                    inventory: inventory.map(Arc::new),
                    throttled_until,
                    budget: Budget {
                        own_from,
                        first_links_from,
                    },
                }
            },
        )
}

pub fn inventory_seen() -> impl Strategy<Value = Inventory> {
    let item = (
        title(),
        title(),
        rarely(Just(at(-10_000)), time()),
        rarely(Just(true), Just(false)),
    );
    let item = item.prop_map(|(id, title, updated_at, active)| ItemSeen {
        id: id.0,
        title: title.0,
        tags: vec![],
        updated_at,
        active,
    });
    let refuted = || btree_map(title().prop_map(|t| t.0), time(), 0..3);
    let more = (
        vault_name(),
        vault_name(),
        vec(item, 0..4),
        refuted(),
        time(),
    );
    let more = more.prop_map(|(id, title, items, refuted, listed_at)| VaultSeen {
        id: id.0,
        title: title.0,
        listed_at,
        items,
        refuted,
    });
    let changed = rarely(Just(at(-10_000)), time());
    (
        vec(more, 0..2),
        refuted(),
        rarely(Just(at(-60)), time()),
        changed,
    )
        .prop_map(|(more, refuted, listed_at, updated_at)| {
            let mut seen = inventory();
            seen.vaults[0].refuted = refuted;
            seen.vaults[0].listed_at = listed_at;
            seen.vaults[0].items[0].updated_at = updated_at;
            // Sometimes of the same title or id.
            if more.iter().all(|v| v.id != "Infra") {
                seen.vaults.extend(more);
            }
            seen
        })
}
