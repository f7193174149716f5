//! A small world to plan in: alice, of engineering, asks for the item "db password" of the vault Infra, and the flow
//! "oncall" lends it to her for up to 8 hours without approval.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::*;
use keyloan::plan::delivery::failure::{Attempt, Failure};
use keyloan::plan::delivery::steps::IssueLink;
use keyloan::plan::effect::{Effect, EndLoan, Plan};
use keyloan::plan::grant::plan;
use keyloan::plan::inventory::{Inventory, ItemSeen, VaultSeen};
use keyloan::plan::observed::{IntegrationSeen, LinkSeen, Observed};
use keyloan::plan::quota::Budget;
use kube::api::ObjectMeta;

use super::executor::{apply, settle};

/// A Monday, 11:00 in Berlin.
pub const START: &str = "2026-11-23T10:00:00Z";

/// The uid of alice's grant.
pub const GRANT_UID: &str = "6f2c9d1e-grant";

pub fn t(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// So many minutes after the start.
pub fn at(minutes: i64) -> Timestamp {
    t(START)
        .checked_add(SignedDuration::from_mins(minutes))
        .expect("in range")
}

pub fn span(text: &str) -> Span {
    Span(text.into())
}

pub fn email(text: &str) -> Email {
    Email(text.into())
}

/// A Secret that somebody has planted in the place of the link.
pub fn planted() -> SecretReference {
    SecretReference {
        namespace: "links".into(),
        name: link_name(GRANT_UID),
    }
}

/// What is refused when a place for a link is made.
pub fn no_place(refused: bool) -> Failure {
    let why = "write Secret keyloan-system-links/keyloan-link-u: exceeded quota: few-secrets";
    Failure::NoPlace {
        why: why.into(),
        refused,
    }
}

/// What is refused when an intent is written.
pub fn no_record(refused: bool) -> Failure {
    let why = "create AccessRecord keyloan/u: exceeded quota: few-records";
    Failure::NoRecord {
        why: why.into(),
        refused,
    }
}

fn meta(namespace: &str, name: &str, uid: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(namespace.into()),
        name: Some(name.into()),
        uid: Some(uid.into()),
        generation: Some(1),
        creation_timestamp: Some(Time(at(0))),
        ..ObjectMeta::default()
    }
}

pub fn alice() -> Identity {
    Identity {
        username: "alice".into(),
        groups: vec![PrincipalName("engineering".into())],
        email: Some(email("alice@example.com")),
    }
}

/// Alice's request, made at the start.
pub fn grant() -> AccessGrant {
    let spec = AccessGrantSpec {
        integration: IntegrationRef {
            name: IntegrationName("prod".into()),
            namespace: Some("keyloan".into()),
        },
        item: ItemRef {
            vault: TitleOrId("Infra".into()),
            item: TitleOrId("db password".into()),
        },
        duration: Some(span("4h")),
        recipients: None,
        view_once: None,
        justification: None,
        flow: None,
        not_after: None,
        requester: Some(alice()),
    };
    AccessGrant {
        metadata: meta("team-a", "alice-db", GRANT_UID),
        spec,
        status: None,
    }
}

/// A flow without approval that lends every item of Infra to engineering, from every namespace.
pub fn flow(name: &str) -> AccessFlow {
    let spec = AccessFlowSpec {
        integration: IntegrationName("prod".into()),
        namespaces: FlowNamespaces {
            from: FromNamespaces::All,
            selector: None,
        },
        requesters: vec![Subject {
            kind: SubjectKind::Group,
            name: "engineering".into(),
            namespace: None,
        }],
        items: ItemSelection {
            include: vec![of_vault("Infra")],
            exclude: vec![],
        },
        grant: GrantRules {
            max_duration: span("8h"),
            default_duration: span("1h"),
            link_lifetime: LinkLifetime::OneHour,
            renewal: Renewal::OnRequest,
            view_once: ViewOnce::Allowed,
            recipients: RecipientRule::Requester,
            justification: Requirement::Optional,
        },
        approval: approval(ApprovalMode::None, &[]),
        timeframe: None,
        limits: FlowLimits::default(),
        access_details: None,
        suspend: false,
    };
    AccessFlow {
        metadata: meta("keyloan", name, &format!("flow-{name}")),
        spec,
        status: None,
    }
}

/// Everything of a vault.
pub fn of_vault(vault: &str) -> ItemSelector {
    ItemSelector {
        vault: TitleOrId(vault.into()),
        ids: vec![],
        titles: vec![],
        tags: vec![],
    }
}

/// Approval by groups, the members of `group-0` and so on, of which so many people each have to agree.
pub fn approval(mode: ApprovalMode, required: &[u32]) -> Approval {
    let group = |(i, required): (usize, &u32)| {
        let name = format!("group-{i}");
        group(&name, &[(ApproverKind::Group, Some(&name))], *required)
    };
    approval_by(mode, required.iter().enumerate().map(group).collect())
}

/// A group of approvers of whom so many have to agree.
pub fn group(name: &str, who: &[(ApproverKind, Option<&str>)], required: u32) -> ApproverGroup {
    let approver = |(kind, name): &(ApproverKind, Option<&str>)| Approver {
        kind: *kind,
        name: name.map(str::to_owned),
    };
    ApproverGroup {
        name: name.into(),
        approvers: who.iter().map(approver).collect(),
        required,
    }
}

/// Approval by these groups, within a day.
pub fn approval_by(mode: ApprovalMode, groups: Vec<ApproverGroup>) -> Approval {
    Approval {
        mode,
        groups,
        timeout: span("24h"),
        reason: Requirement::Optional,
        without_address: WithoutAddress::Ignored,
    }
}

fn integration() -> OnePasswordIntegration {
    let spec = OnePasswordIntegrationSpec {
        auth: Auth {
            service_account_token: Some(ServiceAccountTokenSource {
                secret_ref: SecretKeyRef {
                    name: "op-token".into(),
                    key: "token".into(),
                },
                expires_at: None,
            }),
        },
        service_account_name: None,
        vaults: vec![],
        custom_access_details: None,
        owners: vec![],
        resource_owner: None,
        recipient_domains: vec![],
        limits: None,
        plan: AccountPlan::Business,
        discovery_interval: span("24h"),
        suspend: false,
    };
    OnePasswordIntegration {
        metadata: meta("keyloan", "prod", "integration-prod"),
        spec,
        status: Some(OnePasswordIntegrationStatus {
            conditions: vec![ready("True", "Ready")],
            account: Some("keyloan-prod@1password.com".into()),
            ..OnePasswordIntegrationStatus::default()
        }),
    }
}

/// An integration's condition Ready.
pub fn ready(status: &str, reason: &str) -> Condition {
    Condition {
        type_: READY.into(),
        status: status.into(),
        reason: reason.into(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: Time(at(0)),
    }
}

/// An item in use.
pub fn item(id: &str, title: &str) -> ItemSeen {
    ItemSeen {
        id: id.into(),
        title: title.into(),
        tags: vec!["prod".into()],
        updated_at: at(-10_000),
        active: true,
    }
}

/// A vault that was listed an hour before the start.
pub fn vault(id: &str, title: &str, items: Vec<ItemSeen>) -> VaultSeen {
    VaultSeen {
        id: id.into(),
        title: title.into(),
        listed_at: at(-60),
        items,
        refuted: BTreeMap::new(),
    }
}

/// Infra, with the item that alice asks for, two of the same title and an archived one; and HR.
pub fn inventory() -> Inventory {
    let archived = ItemSeen {
        active: false,
        ..item("i-old", "old key")
    };
    let infra = vec![
        item("i-db", "db password"),
        item("i-twin-1", "twin"),
        item("i-twin-2", "twin"),
        archived,
    ];
    let hr = vec![item("i-pay", "payroll")];
    Inventory {
        vaults: vec![vault("v-infra", "Infra", infra), vault("v-hr", "HR", hr)],
        policy: None,
    }
}

/// What there is to be seen, in parts that a test can change.
#[derive(Clone, Debug)]
pub struct World {
    pub seen: Observed,
}

impl World {
    /// Alice's request has just been made, and everything is ready to grant it.
    pub fn asked() -> Self {
        let seen = Observed {
            grant: Some(Arc::new(grant())),
            flows: vec![Arc::new(flow("oncall"))],
            integration: Some(IntegrationSeen {
                object: Arc::new(integration()),
                inventory: Some(Arc::new(inventory())),
                throttled_until: None,
                budget: Budget::default(),
            }),
            checked: BTreeSet::from([GRANT_UID.to_owned()]),
            links_namespace: "keyloan-system-links".into(),
            ..Observed::default()
        };
        Self { seen }
    }

    /// The loan runs since the start: its first link was issued there, for an hour.
    pub fn lent() -> Self {
        Self::asked().settled(0)
    }

    /// Like [`World::lent`], after a request that was changed first.
    pub fn lent_with(change: impl FnOnce(&mut World)) -> Self {
        Self::asked().with(change).settled(0)
    }

    /// The loan has ended by its time, with its Secret gone and the end written.
    pub fn ended() -> Self {
        Self::lent().settled(4 * 60)
    }

    pub fn with(mut self, change: impl FnOnce(&mut World)) -> Self {
        change(&mut self);
        self
    }

    /// Everything that the plan wants is done, at this minute.
    pub fn settled(self, minute: i64) -> Self {
        let seen = settle(self.seen, at(minute)).expect("it comes to rest");
        Self { seen }
    }

    /// One effect of the plan is carried out at this minute.
    pub fn one_step(self, minute: i64) -> Self {
        let plan = self.plan_at(minute);
        let seen = apply(&plan, self.seen, at(minute));
        Self { seen }
    }

    pub fn plan_at(&self, minute: i64) -> Plan {
        plan(&self.seen, at(minute))
    }

    pub fn grant(&mut self) -> &mut AccessGrant {
        Arc::make_mut(self.seen.grant.as_mut().expect("a grant"))
    }

    pub fn requester(&mut self) -> &mut Identity {
        self.grant().spec.requester.as_mut().expect("a requester")
    }

    pub fn record(&mut self) -> &mut AccessRecord {
        Arc::make_mut(self.seen.record.as_mut().expect("a record"))
    }

    pub fn flow(&mut self) -> &mut AccessFlow {
        Arc::make_mut(&mut self.seen.flows[0])
    }

    pub fn integration_seen(&mut self) -> &mut IntegrationSeen {
        self.seen.integration.as_mut().expect("an integration")
    }

    pub fn integration(&mut self) -> &mut OnePasswordIntegration {
        Arc::make_mut(&mut self.integration_seen().object)
    }

    /// What is known of 1Password; Infra is its first vault.
    pub fn vaults(&mut self) -> &mut Vec<VaultSeen> {
        let inventory = self.integration_seen().inventory.as_mut();
        &mut Arc::make_mut(inventory.expect("an inventory")).vaults
    }

    pub fn infra(&mut self) -> &mut VaultSeen {
        &mut self.vaults()[0]
    }

    /// Alice asks for this item of this vault.
    pub fn asks_for(&mut self, vault: &str, item: &str) {
        self.grant().spec.item = ItemRef {
            vault: TitleOrId(vault.into()),
            item: TitleOrId(item.into()),
        };
    }

    /// Alice asks for the next link, at this minute.
    pub fn asks_to_renew(&mut self, minute: i64) {
        self.asks_at(at(minute));
    }

    pub fn asks_at(&mut self, time: Timestamp) {
        let annotation = (RENEW_ANNOTATION.to_owned(), time.to_string());
        self.grant().metadata.annotations = Some(BTreeMap::from([annotation]));
    }

    /// The last attempt failed so, at this minute.
    pub fn failed(&mut self, minute: i64, failure: Failure) {
        self.seen.attempt = Some(Attempt {
            at: at(minute),
            failure,
            count: 1,
        });
    }

    /// The owners block alice.
    pub fn block_alice(&mut self) {
        self.integration().spec.limits = Some(IntegrationLimits {
            blocked: vec![Person {
                kind: PersonKind::User,
                name: "alice".into(),
            }],
            ..IntegrationLimits::default()
        });
    }
}

/// The link that a plan issues.
pub fn issued(plan: &Plan) -> &IssueLink {
    match &plan.effect {
        Some(Effect::IssueLink(issue)) => issue,
        other => panic!("no link is issued, but {other:?}; {:?}", plan.status),
    }
}

/// The end that a plan writes.
pub fn ended(plan: &Plan) -> EndLoan {
    match &plan.effect {
        Some(Effect::EndLoan(end)) => (**end).clone(),
        other => panic!("no end is written, but {other:?}; {:?}", plan.status),
    }
}

/// A condition of a plan's status: status, reason, message.
pub fn condition<'a>(plan: &'a Plan, type_: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let status = plan.status.as_ref().expect("a status");
    let condition = status.conditions.iter().find(|c| c.type_ == type_)?;
    Some((&condition.status, &condition.reason, &condition.message))
}

/// The reason of a condition of a plan's status.
pub fn reason<'a>(plan: &'a Plan, type_: &str) -> &'a str {
    condition(plan, type_).map_or("", |(_, reason, _)| reason)
}

/// What is said of a vault from which no flow lends to the requester, whether it is there or not.
pub fn not_for_you(vault: &str) -> String {
    format!(
        "none of the flows available to you covers vault {vault:?}; check its title, or ask the integration's owners for a flow"
    )
}

/// Whether a plan's status says that a person has to do something.
pub fn stalled(plan: &Plan) -> bool {
    condition(plan, STALLED).is_some_and(|(status, _, _)| status == "True")
}

/// A Secret with the link of this sequence, issued at this minute for an hour.
pub fn secret(sequence: u32, minute: i64) -> LinkSeen {
    LinkSeen::Present {
        sequence,
        issued_at: at(minute),
        item_version: 1,
    }
}
