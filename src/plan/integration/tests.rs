//! The plan of an integration, case by case: a small world for both groups of tests.

mod schedule;
mod stalled;
mod status;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::api::{LinkLifetime, OnePasswordIntegration, Span, Time, TitleOrId};
use crate::plan::inventory::{Inventory, ItemSeen, PolicySeen, VaultSeen};

const ACCOUNT: &str = "sa@1passwordserviceaccounts.com";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + seconds).expect("in range")
}

fn integration() -> OnePasswordIntegration {
    let spec = json!({
        "auth": {"serviceAccountToken": {"secretRef": {"name": "op-token"}}},
        "plan": "Business",
    });
    let mut object =
        OnePasswordIntegration::new("prod", serde_json::from_value(spec).expect("a spec"));
    object.metadata.generation = Some(7);
    object
}

fn inventory() -> Inventory {
    let item = ItemSeen {
        id: "i1".into(),
        title: "db".into(),
        tags: vec![],
        updated_at: at(0),
        active: true,
    };
    let vault = VaultSeen {
        id: "v1".into(),
        title: "Infra".into(),
        listed_at: at(0),
        items: vec![item],
        refuted: BTreeMap::new(),
    };
    let policy = PolicySeen {
        max_lifetime: LinkLifetime::SevenDays,
        named_people: true,
        domains: true,
        view_once: false,
    };
    Inventory {
        vaults: vec![vault],
        policy: Some(policy),
    }
}

fn no_secret() -> TokenSeen {
    TokenSeen::Missing {
        secret: "op-token".into(),
    }
}

/// Everything that an [`Observed`] borrows, so that a case can change one part.
struct World {
    integration: OnePasswordIntegration,
    token: TokenSeen,
    session: SessionSeen,
    discovery: Option<Discovery>,
    inventory: Option<Inventory>,
    discovering: bool,
    room_from: Option<Timestamp>,
    unguarded: Option<String>,
}

impl World {
    /// A token of the right shape that has not been used yet.
    fn new() -> Self {
        let token = TokenSeen::Usable {
            account: ACCOUNT.into(),
            host: "my.1password.com".into(),
        };
        Self {
            integration: integration(),
            token,
            session: SessionSeen::default(),
            discovery: None,
            inventory: None,
            discovering: false,
            room_from: None,
            unguarded: None,
        }
    }

    /// The state after a successful discovery at second 0.
    fn discovered() -> Self {
        let discovery = Discovery {
            at: at(0),
            allowed: vec![],
            findings: Findings::default(),
        };
        let session = SessionSeen {
            accepted: true,
            ..SessionSeen::default()
        };
        Self {
            session,
            discovery: Some(discovery),
            inventory: Some(inventory()),
            ..Self::new()
        }
    }

    fn with_findings(findings: Findings) -> Self {
        let discovery = Discovery {
            at: at(0),
            allowed: vec![],
            findings,
        };
        Self::discovered().with(|world| world.discovery = Some(discovery))
    }

    fn failing(kind: FailureKind, count: u32) -> Self {
        let failure = Failure {
            kind,
            message: "it went wrong".into(),
            at: at(0),
            count,
        };
        Self::new().with(|world| world.session.failure = Some(failure))
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn plan(&self, seconds: i64) -> Plan {
        let seen = Observed {
            integration: &self.integration,
            token: self.token.clone(),
            session: self.session.clone(),
            discovery: self.discovery.as_ref(),
            inventory: self.inventory.as_ref(),
            discovering: self.discovering,
            room_from: self.room_from,
            unguarded: self.unguarded.clone(),
        };
        plan(&seen, at(seconds))
    }

    /// A condition's status and reason.
    fn says(&self, type_: &str, seconds: i64) -> String {
        let status = self.plan(seconds).status;
        let condition = status.conditions.iter().find(|c| c.type_ == type_);
        condition.map_or_else(|| "absent".into(), |c| format!("{} {}", c.status, c.reason))
    }
}
