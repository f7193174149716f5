//! A loan, with all that surrounds it, as it is read from JSON. What cannot be read is not there, as
//! in a cluster whose API server has refused it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::*;
use keyloan::plan::boundary::BoundarySeen;
use keyloan::plan::delivery::failure::{Attempt, Failure, Undeleted};
use keyloan::plan::integration::{Discovery, Findings, SessionSeen, TokenSeen};
use keyloan::plan::inventory::{Inventory, ItemSeen, PolicySeen, VaultSeen};
use keyloan::plan::observed::{Ahead, IntegrationSeen, LinkSeen, Observed, Usage};
use keyloan::plan::quota::Budget;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The objects of a scene, and what is known beside them.
pub struct Scene(Value);

/// What is known beside the objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Known {
    /// The time.
    pub now: Option<Timestamp>,
    history: bool,
    unserved: bool,
    labels: BTreeMap<String, String>,
    vaults: Vec<Vault>,
    view_once: bool,
    throttled: Option<Timestamp>,
    own_from: Option<Timestamp>,
    first_from: Option<Timestamp>,
    link: Option<Link>,
    foreign: u8,
    active: u32,
    pending: u32,
    next_over: Option<Timestamp>,
    in_line: u32,
    new: u32,
    failed: Option<Failed>,
    undeleted: Option<Failed>,
    broken: Option<String>,
    changed_at: Option<Timestamp>,
    checked: Vec<String>,
    listed: Option<Timestamp>,
    skew: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Vault {
    id: String,
    title: String,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Clone, Debug, Deserialize)]
struct Item {
    id: String,
    title: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    archived: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Link {
    sequence: u32,
    at: Timestamp,
    version: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct Failed {
    at: Timestamp,
    count: u32,
    kind: u8,
}

impl Scene {
    /// Reads a scene; none if the bytes are no JSON.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }

    fn one<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.0.get(key)?.clone()).ok()
    }

    fn list<T: DeserializeOwned>(&self, key: &str) -> Vec<T> {
        let list = self.0.get(key).and_then(Value::as_array);
        let list = list.into_iter().flatten().take(20);
        list.filter_map(|value| serde_json::from_value(value.clone()).ok())
            .collect()
    }

    /// What is known beside the objects.
    pub fn known(&self) -> Known {
        self.one("known").unwrap_or_default()
    }

    /// The request.
    pub fn grant(&self) -> Option<AccessGrant> {
        self.one("grant")
    }

    /// The decisions. No two objects of one kind and namespace have the same name.
    pub fn decisions(&self) -> Vec<AccessDecision> {
        let mut decisions: Vec<AccessDecision> = self.list("decisions");
        let mut names = BTreeSet::new();
        decisions
            .retain(|decision| names.insert(decision.metadata.name.clone().unwrap_or_default()));
        decisions
    }

    /// The flows.
    pub fn flows(&self) -> Vec<AccessFlow> {
        self.list("flows")
    }

    /// The integration.
    pub fn integration(&self) -> Option<OnePasswordIntegration> {
        self.one("integration")
    }

    /// The loan as the operator would see it.
    pub fn observed(&self) -> (Observed, Timestamp) {
        let known = self.known();
        let now = known.now.unwrap_or(Timestamp::UNIX_EPOCH);
        let records: Vec<AccessRecord> = self.list("denials");
        let flows = self.flows();
        let usage = flows.iter().filter_map(|flow| flow.metadata.uid.clone());
        let used = Usage {
            active: known.active,
            pending: known.pending,
            next_over: known.next_over,
        };
        let usage = usage.map(|uid| (uid, used)).collect();
        let seen = Observed {
            grant: self.grant().map(Arc::new),
            record: self.one("record").map(Arc::new),
            history: known.history,
            namespace_labels: known.labels.clone(),
            flows: flows.into_iter().map(Arc::new).collect(),
            integration: self.integration().map(|object| IntegrationSeen {
                object: Arc::new(object),
                inventory: known.inventory().map(Arc::new),
                throttled_until: known.throttled,
                budget: Budget {
                    own_from: known.own_from,
                    first_links_from: known.first_from,
                },
            }),
            link: known.link_seen(),
            usage,
            ahead: Ahead {
                in_line: known.in_line,
                new: known.new,
            },
            unlent: records.into_iter().map(Arc::new).collect(),
            gone: self.one("gone").map(Arc::new),
            decisions: self.decisions().into_iter().map(Arc::new).collect(),
            boundary: BoundarySeen {
                broken: known.broken.clone(),
                changed_at: known.changed_at,
            },
            checked: known.checked.iter().cloned().collect(),
            attempt: known.failed.as_ref().map(|failed| failed.attempt()),
            undeleted: known.undeleted.as_ref().map(|failed| Undeleted {
                at: failed.at,
                why: "the API server said no".into(),
                is_passing: failed.kind % 2 == 0,
                count: failed.count,
            }),
            links_namespace: "keyloan-system-links".into(),
            unserved: known.unserved,
        };
        (seen, now)
    }
}

impl Known {
    /// The vaults, if they were listed.
    pub fn inventory(&self) -> Option<Inventory> {
        let listed_at = self.listed?;
        let vaults = self.vaults.iter().map(|vault| VaultSeen {
            id: vault.id.clone(),
            title: vault.title.clone(),
            listed_at,
            items: vault
                .items
                .iter()
                .map(|item| item.seen(listed_at))
                .collect(),
            refuted: BTreeMap::new(),
        });
        Some(Inventory {
            vaults: vaults.collect(),
            policy: Some(PolicySeen {
                max_lifetime: LinkLifetime::ThirtyDays,
                named_people: !self.history,
                domains: true,
                view_once: self.view_once,
            }),
        })
    }

    fn link_seen(&self) -> LinkSeen {
        match (&self.link, self.foreign) {
            (_, 1) => LinkSeen::Foreign,
            (_, 2) => LinkSeen::Kept,
            (_, 3) => LinkSeen::OutOfReach,
            (Some(link), _) => LinkSeen::Present {
                sequence: link.sequence,
                issued_at: link.at,
                item_version: link.version,
            },
            (None, _) => LinkSeen::Absent,
        }
    }

    /// What an integration's plan knows of its session.
    pub fn session(&self) -> SessionSeen {
        SessionSeen {
            accepted: !self.unserved,
            failure: None,
            throttled_until: self.throttled,
            clock_skew: self.skew.map(SignedDuration::from_secs),
        }
    }

    /// What an integration's plan knows of its token.
    pub fn token(&self) -> TokenSeen {
        match &self.broken {
            Some(why) => TokenSeen::Malformed(why.clone()),
            None => TokenSeen::Usable {
                account: "keyloan@1password.com".into(),
                host: "my.1password.com".into(),
            },
        }
    }

    /// What was found when the vaults were listed.
    pub fn discovery(&self) -> Option<Discovery> {
        Some(Discovery {
            at: self.listed?,
            allowed: Vec::new(),
            findings: Findings {
                missing: self.checked.clone(),
                ambiguous: Vec::new(),
                unreadable: Vec::new(),
                sharing_forbidden: self.view_once,
            },
        })
    }
}

impl Item {
    fn seen(&self, updated_at: Timestamp) -> ItemSeen {
        ItemSeen {
            id: self.id.clone(),
            title: self.title.clone(),
            tags: self.tags.clone(),
            updated_at,
            active: !self.archived,
        }
    }
}

impl Failed {
    fn attempt(&self) -> Attempt {
        let failure = match self.kind % 14 {
            0 => Failure::Unauthorized,
            1 => Failure::Forbidden,
            2 => Failure::NotFound,
            3 => Failure::Archived,
            4 => Failure::RateLimited { until: self.at },
            5 => Failure::Refused,
            6 => Failure::OpensOnce,
            7 => Failure::NotShareable("the SDK core refused the call".into()),
            8 => Failure::Unavailable,
            9 => Failure::Unanswered("in time".into()),
            10 => Failure::ItemDiffers,
            11 => Failure::ItemChanged,
            12 => Failure::LimitReached,
            _ => Failure::SecretTaken(SecretReference {
                namespace: "links".into(),
                name: "taken".into(),
            }),
        };
        Attempt {
            at: self.at,
            failure,
            count: self.count,
        }
    }
}
