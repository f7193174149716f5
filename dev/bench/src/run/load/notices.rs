//! What notifiers cost the loans: the same loans with and without them, in turn.

#[path = "../../../../../tests/support/private_server.rs"]
mod private_server;
#[path = "../../../../../tests/support/receiver.rs"]
#[allow(dead_code, reason = "tests have it refuse")]
mod receiver;

use std::path::Path;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessNotifier, NOTIFIER_LABEL, READY, SECRET_LABEL};
use keyloan_cluster::wait_until;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{Load, PATIENCE, in_milliseconds, ratio};
use crate::audit::AuditLog;
use crate::latency::Latencies;
use crate::loans;
use crate::report::{Figure, Section, Unit};
use crate::run::setting::operators_name;
use crate::stage::{self, PLATFORM};
use receiver::Receiver;

/// The number of notifiers, each with a receiver of its own.
const NOTIFIERS: usize = 3;
/// How often both are measured.
const ROUNDS: usize = 5;
/// The upper limits: of the median with notifiers, as a ratio to that without, and of the further
/// writes for each loan.
const RATIO: f64 = 1.1;
const WRITES: f64 = 0.0;
/// The authority of the receivers' certificate.
const AUTHORITY: &str = "../../tests/fixtures/private-ca/ca.pem";

/// The words with which an operator may send to the receivers.
pub(super) fn words() -> [String; 2] {
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join(AUTHORITY);
    [
        "--notice-host=localhost".to_owned(),
        format!("--ca-bundle={}", authority.display()),
    ]
}

/// Loans of one round.
struct Round {
    median: std::time::Duration,
    writes: f64,
    of_what: String,
}

impl Load {
    /// Lends with and without notifiers, in turn.
    pub(super) async fn tell_of_loans(&mut self) -> Result<Section> {
        let loans = self.scale.told;
        let mut section = Section::new(
            "Notices",
            format!(
                "{ROUNDS} rounds, each of {loans} loans one at a time without notifiers, and {loans} with {NOTIFIERS} notifiers, each of \
                 which tells a program of its own everything. Until a loan is Active. The middle rounds."
            ),
        );
        self.warm_up().await?;
        let (mut without, mut with) = (Vec::new(), Vec::new());
        let mut told = 0;
        for _ in 0..ROUNDS {
            without.push(self.lend_a_round("loans without notifiers").await?);
            let receivers = self.add_notifiers().await?;
            with.push(self.lend_a_round("loans with notifiers").await?);
            for receiver in &receivers {
                let has_all = async || (issued(receiver) >= loans).then_some(());
                wait_until("a receiver is told of each link", PATIENCE, has_all).await?;
                told += receiver.received().len();
            }
            self.remove_notifiers().await?;
        }
        let middle = |mut rounds: Vec<Round>| {
            rounds.sort_by_key(|round| round.median);
            rounds.swap_remove(ROUNDS / 2)
        };
        let (without, with) = (middle(without), middle(with));
        section.add(in_milliseconds("p50 without notifiers", without.median));
        section.add(in_milliseconds("p50 with notifiers", with.median));
        section.add(
            Figure::new("the ratio", ratio(with.median, without.median), Unit::Ratio)
                .at_most(RATIO),
        );
        section.add(
            Figure::new(
                "further writes for each loan",
                with.writes - without.writes,
                Unit::Writes,
            )
            .at_most(WRITES)
            .made_of(with.of_what),
        );
        self.progress.say(&format!("{told} events were delivered"));
        Ok(section)
    }

    async fn lend_a_round(&mut self, what: &str) -> Result<Round> {
        self.rest().await?;
        let audit = AuditLog::new(self.ground.audit_log(), operators_name());
        let mark = audit.mark()?;
        let first = self.next + 1;
        self.next += self.scale.told;
        let numbers = first..first + self.scale.told;
        let (stage, progress) = (&self.ground.stage, &self.progress);
        let lend = |number| loans::lend(stage, number, self.integration(number));
        let batch = loans::batch(what, numbers, 1, progress, lend).await?;
        self.rest().await?;
        let writes = audit.writes_since(mark, &loans::names(&batch.loans))?;
        let loans = batch.loans.len();
        let to_active: Latencies = batch.to_active();
        Ok(Round {
            median: to_active.median(),
            writes: writes.of_loans() as f64 / loans as f64,
            of_what: writes.per_loan(loans),
        })
    }

    async fn add_notifiers(&self) -> Result<Vec<Receiver>> {
        let admin = &self.ground.stage.admin;
        let mut receivers = Vec::new();
        for number in 0..NOTIFIERS {
            let receiver = Receiver::start().await;
            let name = name(number);
            let secret = json!({
                "metadata": { "name": name, "labels": { SECRET_LABEL: "notifier", NOTIFIER_LABEL: name } },
                "stringData": {
                    "url": receiver.url("/"),
                    "signing": "whsec_c2l4dGVlbi10aW1lcy10d28tYnl0ZXMtb2Yta2V5IQ==",
                },
            });
            stage::create::<Secret>(admin, PLATFORM, secret).await?;
            let notifier = json!({ "metadata": { "name": name }, "spec": {
                "secretRef": { "name": name }, "webhook": { "signingKeys": ["signing"] },
            } });
            stage::create::<AccessNotifier>(admin, PLATFORM, notifier).await?;
            receivers.push(receiver);
        }
        let notifiers = Api::<AccessNotifier>::namespaced(admin.clone(), PLATFORM);
        for number in 0..NOTIFIERS {
            let is_ready = async || {
                let status = notifiers.get(&name(number)).await.ok()?.status?;
                let mut conditions = status.conditions.iter();
                let is_so = conditions.any(|c| c.type_ == READY && c.status == "True");
                is_so.then_some(())
            };
            wait_until("a notifier is ready", PATIENCE, is_ready).await?;
        }
        Ok(receivers)
    }

    async fn remove_notifiers(&self) -> Result<()> {
        let admin = &self.ground.stage.admin;
        let notifiers = Api::<AccessNotifier>::namespaced(admin.clone(), PLATFORM);
        let secrets = Api::<Secret>::namespaced(admin.clone(), PLATFORM);
        for number in 0..NOTIFIERS {
            let now = DeleteParams::default();
            notifiers.delete(&name(number), &now).await?;
            secrets.delete(&name(number), &now).await?;
        }
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("receiver-{number}")
}

/// The number of first links of which a receiver was told.
fn issued(receiver: &Receiver) -> usize {
    let received = receiver.received();
    let events = received
        .iter()
        .filter_map(|it| serde_json::from_str::<Value>(&it.body).ok());
    events
        .filter(|event| event["type"] == "dev.keyloan.link-issued")
        .count()
}
