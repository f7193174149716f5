//! The states of integrations, flows and requests that a tool has to tell apart, each with the
//! status that the plan writes.

use keyloan::api::*;
use keyloan::plan::integration::{
    self, Discovery, Failure, FailureKind, Findings, Observed, SessionSeen, TokenSeen,
};
use keyloan::plan::inventory::{Inventory, PolicySeen};
use keyloan::plan::validity::{self, Lender};
use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::deciders::{bob, carol};
use crate::plan::world::*;

/// An object's health in Argo CD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argo {
    Healthy,
    Progressing,
    Degraded,
    Suspended,
}

/// An object's state for Flux, which waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flux {
    Current,
    InProgress,
    Failed,
}

/// One state of an object.
pub struct State {
    /// The name of its file.
    pub name: &'static str,
    /// The object with its status.
    pub object: Value,
    /// Its health in Argo CD, with `health.lua`.
    pub argo: Argo,
    /// Its state for Flux, with the expressions in `flux/`.
    pub flux: Flux,
}

impl State {
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap()
    }
}

/// All of them.
pub fn states() -> Vec<State> {
    [integrations(), flows(), grants()]
        .into_iter()
        .flatten()
        .collect()
}

const ACCOUNT: &str = "keyloan-prod@1password.com";

/// The facts about an integration; by default, it lends.
struct Known {
    object: OnePasswordIntegration,
    token: TokenSeen,
    session: SessionSeen,
    inventory: Option<Inventory>,
    unguarded: Option<String>,
}

impl Known {
    fn of(change: impl FnOnce(&mut Self)) -> Self {
        let mut object = World::asked().integration().clone();
        object.status = None;
        let policy = PolicySeen {
            max_lifetime: LinkLifetime::SevenDays,
            named_people: true,
            domains: false,
            view_once: false,
        };
        let mut known = Self {
            object,
            token: TokenSeen::Usable {
                account: ACCOUNT.into(),
                host: "my.1password.com".into(),
            },
            session: SessionSeen {
                accepted: true,
                ..SessionSeen::default()
            },
            inventory: Some(Inventory {
                policy: Some(policy),
                ..inventory()
            }),
            unguarded: None,
        };
        change(&mut known);
        known
    }

    /// The token is used for the first time.
    fn at_first(change: impl FnOnce(&mut Self)) -> Self {
        Self::of(|known| {
            known.session.accepted = false;
            known.inventory = None;
            change(known);
        })
    }

    /// The object after this many minutes, looked at as often.
    fn seen_for(mut self, minutes: i64) -> OnePasswordIntegration {
        for minute in 0..=minutes {
            let discovery = self.inventory.as_ref().map(|_| Discovery {
                at: at(0),
                allowed: vec![],
                findings: Findings::default(),
            });
            let seen = Observed {
                integration: &self.object,
                token: self.token.clone(),
                session: self.session.clone(),
                discovery: discovery.as_ref(),
                inventory: self.inventory.as_ref(),
                discovering: false,
                room_from: None,
                unguarded: self.unguarded.clone(),
            };
            self.object.status = Some(integration::plan(&seen, at(minute)).status);
        }
        self.object
    }

    fn fails(&mut self, kind: FailureKind, message: &str) {
        self.session.failure = Some(Failure {
            kind,
            message: message.into(),
            at: at(0),
            count: 1,
        });
    }
}

fn integrations() -> Vec<State> {
    let missing = || TokenSeen::Missing {
        secret: "op-token".into(),
    };
    vec![
        state(
            "unseen",
            unseen(Known::of(|_| ()).object),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "ready",
            Known::of(|_| ()).seen_for(0),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "token_expires_soon",
            Known::of(|k| {
                let token = k.object.spec.auth.service_account_token.as_mut();
                token.unwrap().expires_at = Some(Time(at(24 * 60)));
            })
            .seen_for(0),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "signing_in",
            Known::at_first(|_| ()).seen_for(0),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "token_wrong",
            Known::at_first(|k| {
                k.token = TokenSeen::Malformed("the token is not a service account token".into());
            })
            .seen_for(0),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "token_dies",
            Known::of(|k| k.fails(FailureKind::Rejected, "1Password does not accept the token"))
                .seen_for(0),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "secret_may_follow",
            Known::at_first(|k| k.token = missing()).seen_for(0),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "secret_missing",
            Known::at_first(|k| k.token = missing()).seen_for(1),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "throttled_while_it_lends",
            Known::of(|k| k.session.throttled_until = Some(at(10))).seen_for(0),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "throttled_at_first",
            Known::at_first(|k| k.session.throttled_until = Some(at(10))).seen_for(0),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "unavailable_at_first",
            Known::at_first(|k| k.fails(FailureKind::Unavailable, "1Password does not answer"))
                .seen_for(0),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "boundary_not_in_force",
            Known::of(|k| k.unguarded = Some("policy keyloan-grant-identity is missing".into()))
                .seen_for(0),
            Argo::Degraded,
            Flux::InProgress,
        ),
        state(
            "suspended",
            Known::of(|k| k.object.spec.suspend = true).seen_for(0),
            Argo::Suspended,
            Flux::Current,
        ),
    ]
}

/// A flow after this many minutes, with the state of its integration.
fn flow_seen_for(
    minutes: i64,
    has_integration: bool,
    change: impl FnOnce(&mut AccessFlow),
) -> AccessFlow {
    let mut flow = flow("oncall");
    change(&mut flow);
    let world = World::asked();
    let integration = world.seen.integration.as_ref().unwrap();
    let lender = has_integration.then(|| Lender {
        object: &integration.object,
        inventory: integration.inventory.as_deref(),
    });
    for minute in 0..=minutes {
        flow.status = Some(validity::plan(&flow, lender, at(minute)).status);
    }
    flow
}

fn flows() -> Vec<State> {
    vec![
        state(
            "unseen",
            unseen(flow("oncall")),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "ready",
            flow_seen_for(0, true, |_| ()),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "matches_nothing",
            flow_seen_for(0, true, |f| f.spec.items.include = vec![of_vault("Infraa")]),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "one_rule_matches_nothing",
            flow_seen_for(0, true, |f| f.spec.items.include.push(of_vault("Infraa"))),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "invalid_duration",
            flow_seen_for(0, true, |f| f.spec.grant.max_duration = span("30m")),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "integration_may_follow",
            flow_seen_for(0, false, |_| ()),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "integration_missing",
            flow_seen_for(1, false, |_| ()),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "suspended",
            flow_seen_for(0, true, |f| f.spec.suspend = true),
            Argo::Suspended,
            Flux::Current,
        ),
    ]
}

/// Alice's request with the status that it has at this minute.
fn request(world: &World, minute: i64) -> AccessGrant {
    let mut grant = world.seen.grant.as_deref().unwrap().clone();
    grant.status = world.plan_at(minute).status;
    grant
}

fn grants() -> Vec<State> {
    let waiting = World::by_owner_and_two_of_security;
    let mut denied = waiting().approved_by(bob(), 1).settled(1);
    denied.decide(carol(), Decision::Deny, 2);
    let void = World::asked().with(|w| w.grant().spec.not_after = Some(Time(at(-60))));
    vec![
        state(
            "unseen",
            unseen(grant()),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "waiting",
            request(&waiting(), 0),
            Argo::Suspended,
            Flux::InProgress,
        ),
        state(
            "issuing",
            request(&World::asked(), 0),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "integration_suspended",
            request(
                &World::asked().with(|w| w.integration().spec.suspend = true),
                0,
            ),
            Argo::Progressing,
            Flux::InProgress,
        ),
        state(
            "active",
            request(&World::lent(), 10),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "between_links",
            request(&World::lent(), 70),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "ending",
            request(&World::lent().with(World::block_alice).settled(20), 20),
            Argo::Healthy,
            Flux::Current,
        ),
        state(
            "ended",
            request(&World::ended(), 241),
            Argo::Healthy,
            Flux::Current,
        ),
        state("denied", request(&denied, 2), Argo::Degraded, Flux::Failed),
        state(
            "no_flow",
            request(&World::asked().with(|w| w.seen.flows.clear()), 1),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "lapsed",
            request(&waiting(), 24 * 60),
            Argo::Degraded,
            Flux::Failed,
        ),
        state(
            "made_again_after_its_time",
            request(&void, 0),
            Argo::Healthy,
            Flux::Current,
        ),
    ]
}

fn state(name: &'static str, object: impl Serialize, argo: Argo, flux: Flux) -> State {
    State {
        name,
        object: serde_json::to_value(object).unwrap(),
        argo,
        flux,
    }
}

/// As the API server stores it before any operator has looked at it.
fn unseen(object: impl Serialize) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object["status"] = json!({ "observedGeneration": -1 });
    object
}
