//! What can happen to a running loan: in 1Password, in the cluster, and to the operator.

use std::time::Duration;

use jiff::SignedDuration;
use keyloan::api::{
    ACCEPTED, ACTIVE, AccessFlow, AccessFlowSpec, AccessGrant, ENDED, LinkOutcome,
    OnePasswordIntegration, RENEW_ANNOTATION,
};
use keyloan::onepassword::core::CoreOptions;
use keyloan_simulator::{ItemChanges, SharePolicy};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::table::hold_lines;
use crate::world::{Ask, PLATFORM, World, condition, outcomes};

/// Items to which something happens.
const ITEMS: [&str; 5] = ["deleted", "moved", "archived", "renamed", "tagged"];

/// A world with an integration, a flow for all items of the vault, and one for those with a tag.
struct Scene {
    world: World,
    lines: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_a_running_loan_is_told_and_each_link_is_counted() {
    // Each its own world, as clocks are moved: a request that is a day old lapses.
    let mut lines = Scene::open().await.item().await;
    lines.extend(Scene::open().await.account().await);
    lines.extend(Scene::open().await.objects().await);
    lines.extend(Scene::open().await.operator().await);
    let head = "| What happens | Seen in | Reason | Recovers | Links that nobody has |\n|---|---|---|---|---|";
    hold_lines(
        "what happens to a loan",
        &format!("{head}\n{}", lines.join("\n")),
    );
}

impl Scene {
    async fn open() -> Self {
        let world = World::start().await;
        // Titles are found without another listing.
        for name in ITEMS {
            let added = world.control.add_item("Infra", &item(name)).await;
            added.expect("added");
        }
        world.integration("prod", "lender").await;
        let more = |flow: &mut AccessFlowSpec| flow.limits.active_per_requester = 100;
        world.flow("oncall", more).await;
        Self {
            world,
            lines: Vec::new(),
        }
    }

    /// To the item that is lent.
    async fn item(mut self) -> Vec<String> {
        let grant = self.loan("deleted").await;
        let control = self.world.control.clone();
        control
            .remove_item("Infra", "deleted")
            .await
            .expect("deleted");
        self.renewal("The item is deleted", &grant, "no; request another item")
            .await;

        let grant = self.loan("moved").await;
        control
            .remove_item("Infra", "moved")
            .await
            .expect("deleted");
        control
            .add_item("Finance", &item("moved"))
            .await
            .expect("added");
        self.renewal(
            "The item is moved to another vault",
            &grant,
            "no; request it from there",
        )
        .await;

        let grant = self.loan("archived").await;
        let archived = |archived| ItemChanges {
            archived: Some(archived),
            ..ItemChanges::default()
        };
        let edited = control
            .edit_item("Infra", "archived", &archived(true))
            .await;
        edited.expect("archived");
        self.renewal(
            "The item is archived",
            &grant,
            "no; request it when it is restored",
        )
        .await;
        let edited = control
            .edit_item("Infra", "archived", &archived(false))
            .await;
        edited.expect("restored");
        // Another version of the item than the one that was agreed on.
        self.world.advance(Duration::from_secs(3601)).await;
        let is_over = |g: &AccessGrant| condition(g, ENDED).is_some_and(|c| c.status == "True");
        self.world.until(&grant, is_over).await;

        let grant = self.loan("renamed").await;
        let changes = ItemChanges {
            title: Some("another name".into()),
            ..ItemChanges::default()
        };
        let edited = control.edit_item("Infra", "renamed", &changes).await;
        edited.expect("renamed");
        self.renewal("The item is renamed", &grant, "no; request it again")
            .await;

        let grant = self.loan("tagged").await;
        let changes = ItemChanges {
            tags: Some(vec!["other".into()]),
            ..ItemChanges::default()
        };
        let edited = control.edit_item("Infra", "tagged", &changes).await;
        edited.expect("tagged");
        self.renewal("The item gets other tags", &grant, "no; request it again")
            .await;
        self.lines
    }

    /// To the account, its policy and its service account.
    async fn account(mut self) -> Vec<String> {
        let control = self.world.control.clone();
        let grant = self.loan("db password").await;
        control.revoke_token("lender").await.expect("revoked");
        // The first refusal may be of an interrupted sign-in only.
        self.renewal_past(
            &["OnePasswordUnavailable"],
            "The token is revoked",
            &grant,
            "with a new token",
        )
        .await;
        let token = control.rotate_token("lender").await.expect("a token");
        self.world.token("prod", &token).await;
        self.comes_right(&grant).await;

        let grant = self.loan("db password").await;
        let rights = |rights: &[&str]| {
            let account = json!({ "name": "lender", "vaults": { "Infra": rights } });
            serde_json::from_value(account).expect("a service account")
        };
        let changed = control.set_service_account(&rights(&["read"])).await;
        changed.expect("changed");
        self.renewal(
            "The service account may no longer share",
            &grant,
            "when it may",
        )
        .await;
        let changed = control
            .set_service_account(&rights(&["read", "share"]))
            .await;
        changed.expect("changed");
        self.comes_right(&grant).await;

        let others = SharePolicy {
            allowed_domains: vec!["example.org".into()],
            ..SharePolicy::default()
        };
        self.under_policy(
            "The account's policy excludes the recipient's domain",
            others,
        )
        .await;
        let members = SharePolicy {
            max_views: Some(1),
            ..SharePolicy::default()
        };
        self.under_policy("The account's policy lets links be viewed once", members)
            .await;
        self.lines
    }

    async fn under_policy(&mut self, what: &str, policy: SharePolicy) {
        let control = self.world.control.clone();
        let grant = self.loan("db password").await;
        let usual = control.policy().await.expect("a policy");
        control.set_policy(&policy).await.expect("set");
        self.renewal(what, &grant, "when the policy allows it")
            .await;
        control.set_policy(&usual).await.expect("set");
        self.comes_right(&grant).await;
    }

    /// To objects in the cluster.
    async fn objects(mut self) -> Vec<String> {
        let grant = self.loan("db password").await;
        self.world.lose_link(&grant).await;
        let told = self
            .world
            .until(&grant, |g| {
                condition(g, ACTIVE).is_some_and(|c| c.status != "True")
            })
            .await;
        self.line(
            "The link's Secret is deleted",
            &told,
            ACTIVE,
            "with the next link",
        )
        .await;
        self.comes_right(&grant).await;

        let grant = self.loan("db password").await;
        self.world.delete_record(&grant).await;
        let told = self
            .world
            .until(&grant, |g| {
                condition(g, ACCEPTED).is_some_and(|c| c.status != "True")
            })
            .await;
        self.world.until_link_gone(&grant).await;
        let told = condition(&told, ACCEPTED).expect("told").reason.clone();
        self.lines.push(format!(
            "| The record is deleted | Accepted | `{told}` | no; the loan is over | 0 |"
        ));

        let grant = self.loan("db password").await;
        self.set::<AccessFlow>("oncall", json!({ "suspend": true }))
            .await;
        self.renewal("The flow is suspended", &grant, "when it is resumed")
            .await;
        self.set::<AccessFlow>("oncall", json!({ "suspend": false }))
            .await;
        self.comes_right(&grant).await;

        let grant = self.loan("db password").await;
        self.set::<OnePasswordIntegration>("prod", json!({ "suspend": true }))
            .await;
        self.renewal("The integration is suspended", &grant, "when it is resumed")
            .await;
        self.set::<OnePasswordIntegration>("prod", json!({ "suspend": false }))
            .await;
        self.comes_right(&grant).await;

        let grant = self.loan("db password").await;
        self.set::<OnePasswordIntegration>("prod", json!({ "vaults": ["Finance"] }))
            .await;
        self.world.until_integration("prod", "True").await;
        self.renewal(
            "The integration no longer lends from the vault",
            &grant,
            "when it does",
        )
        .await;
        self.set::<OnePasswordIntegration>("prod", json!({ "vaults": ["Infra"] }))
            .await;
        self.comes_right(&grant).await;
        self.lines
    }

    /// To the operator: its clock, and the core that it runs.
    async fn operator(mut self) -> Vec<String> {
        let usual = self.world.settings.core_options.clone();
        let hangs = CoreOptions {
            cpu_time: Duration::from_millis(1),
            ..usual.clone()
        };
        let starves = CoreOptions {
            max_memory: 1 << 20,
            ..usual.clone()
        };
        for (what, options) in [
            ("The core hangs", hangs),
            ("The core runs out of memory", starves),
        ] {
            let grant = self.loan("db password").await;
            self.world.settings.core_options = options;
            self.world.restart_operator().await;
            self.renewal(what, &grant, "by itself").await;
            self.world.settings.core_options = usual.clone();
            self.world.restart_operator().await;
            self.comes_right(&grant).await;
        }

        // 1Password's clock stays.
        let grant = self.loan("db password").await;
        let two_hours = SignedDuration::from_hours(2);
        self.world.settings.clock.advance(two_hours);
        let told = self
            .world
            .until(&grant, |g| {
                condition(g, ACTIVE).is_some_and(|c| c.status != "True")
            })
            .await;
        self.line(
            "The operator's clock jumps ahead by 2 h",
            &told,
            ACTIVE,
            "with the next link",
        )
        .await;
        self.comes_right(&grant).await;
        self.world.settings.clock.advance(-two_hours - two_hours);
        self.loan("db password").await;
        let integrations: Api<OnePasswordIntegration> =
            Api::namespaced(self.world.admin.clone(), PLATFORM);
        let is_told = |integration: &OnePasswordIntegration| {
            let status = integration.status.as_ref();
            status.is_some_and(|s| s.conditions.iter().any(|c| c.reason == "ClockSkew"))
        };
        self.world.until_listed(&integrations, is_told).await;
        self.lines.push(
            "| The operator's clock jumps back by 2 h | the integration's Ready | `ClockSkew` | when the clock is set right | 0 |".into(),
        );
        self.lines
    }

    /// A running loan of this item.
    async fn loan(&self, title: &str) -> AccessGrant {
        let ask = Ask::item(title).lasting("8h");
        let grant = self.world.ask("alice", ask).await;
        let grant = self.world.until_active(&grant).await;
        let is_whole =
            |record: &keyloan::api::AccessRecord| outcomes(record) == [Some(LinkOutcome::Issued)];
        self.world.until_record(&grant, is_whole).await;
        grant
    }

    /// The link ends, the requester asks for the next one, and it comes, or it is told why not.
    async fn renewal(&mut self, what: &str, grant: &AccessGrant, recovers: &str) {
        self.renewal_past(&[], what, grant, recovers).await;
    }

    /// The same, where these reasons are told for a moment, too.
    async fn renewal_past(
        &mut self,
        passing: &[&str],
        what: &str,
        grant: &AccessGrant,
        recovers: &str,
    ) {
        self.world.advance(Duration::from_secs(61 * 60)).await;
        self.asks_again(grant).await;
        // The third one is told for a moment after a start.
        let working = ["LinkEnded", "Issuing", "IntegrationNotReady", "NotIssued"];
        let is_settled = |grant: &AccessGrant| {
            condition(grant, ACTIVE).is_some_and(|c| match c.status.as_str() {
                "True" => sequence(grant) == Some(2),
                _ => ![&working, passing].concat().contains(&c.reason.as_str()),
            })
        };
        let told = self.world.until(grant, is_settled).await;
        self.line(what, &told, ACTIVE, recovers).await;
    }

    async fn asks_again(&self, grant: &AccessGrant) {
        let now = self.world.now().to_string();
        self.world.annotate(grant, RENEW_ANNOTATION, &now).await;
    }

    /// What was amiss has been mended, and some time passes: the requester gets a link.
    async fn comes_right(&self, grant: &AccessGrant) {
        self.world.advance(Duration::from_secs(3601)).await;
        self.asks_again(grant).await;
        let is_next = |grant: &AccessGrant| {
            condition(grant, ACTIVE).is_some_and(|c| c.status == "True")
                && sequence(grant) > Some(1)
        };
        self.world.until(grant, is_next).await;
        self.world.opens_for("alice", grant).await;
    }

    async fn line(&mut self, what: &str, grant: &AccessGrant, kind: &str, recovers: &str) {
        let told = &condition(grant, kind).expect("told").reason;
        let record = self.world.until_record(grant, |_| true).await;
        let lost = outcomes(&record)
            .iter()
            .filter(|o| **o == Some(LinkOutcome::Lost))
            .count();
        self.lines.push(format!(
            "| {what} | {kind} | `{told}` | {recovers} | {lost} |"
        ));
    }

    /// Changes the spec of an object, as a person does.
    async fn set<K>(&self, name: &str, spec: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let objects: Api<K> = Api::namespaced(self.world.admin.clone(), PLATFORM);
        let patch = Patch::Merge(json!({ "spec": spec }));
        let set = objects.patch(name, &PatchParams::default(), &patch).await;
        set.expect("changed");
    }
}

fn sequence(grant: &AccessGrant) -> Option<u32> {
    Some(grant.status.as_ref()?.link.as_ref()?.sequence)
}

fn item(title: &str) -> keyloan_simulator::account::Item {
    let item = json!({
        "title": title,
        "fields": [{ "label": "password", "value": "correct-horse", "kind": "Concealed" }],
    });
    serde_json::from_value(item).expect("an item")
}
