//! Planned stops and changes of the lead: no link is lost to a rollout, and none is handed over twice.

use std::process::Command;
use std::time::Duration;

use crate::world::{Ask, World, outcomes};
use jiff::SignedDuration;
use keyloan::api::{AccessFlowSpec, AccessGrant, AccessRecord, LinkOutcome, RENEW_ANNOTATION};
use keyloan::operator::Election;
use keyloan_cluster::{OPERATOR_NAMESPACE, Program, operator_program, signal};
use keyloan_simulator::{Fault, FaultKind};

const SHARE: &str = "POST /api/v4/itemshare";
const ITEM: &str = "GET /api/v1/vault/{vault}/item/{item}";

/// A request whose call of this route takes its time.
async fn while_it_asks(world: &World, route: &str, takes: u64) -> AccessGrant {
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let slow = FaultKind::delay(Duration::from_secs(takes));
    let slow = world.control.fault(Fault::once(route, slow));
    slow.await.expect("ordered");
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_requested(route, 1).await;
    grant
}

async fn shares(world: &World) -> usize {
    world.control.shares().await.expect("shares").len()
}

/// A rolling update in the middle of a share: the answer is waited for, and the link is in its Secret when the operator has stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_being_made_when_the_operator_is_told_to_stop_is_handed_over() {
    let mut world = World::start().await;
    let grant = while_it_asks(&world, SHARE, 3).await;
    world.stop_operator().await;
    world.opens_for("alice", &grant).await;

    world.restart_operator().await;
    let grant = world.until_active(&grant).await;
    let record = world.until_record(&grant, |_| true).await;
    assert_eq!(outcomes(&record), [Some(LinkOutcome::Issued)]);
    assert_eq!(shares(&world).await, 1);
}

/// The twin: of a crash at the same moment nobody has the link.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_being_made_in_a_crash_is_lost_and_said_to_be() {
    let mut world = World::start().await;
    let grant = while_it_asks(&world, SHARE, 3).await;
    world.restart_operator().await;
    let grant = world.until_active(&grant).await;
    let issued =
        |record: &AccessRecord| outcomes(record).last() == Some(&Some(LinkOutcome::Issued));
    let record = world.until_record(&grant, issued).await;
    let [lost, issued] = [LinkOutcome::Lost, LinkOutcome::Issued].map(Some);
    assert_eq!(outcomes(&record), [lost, issued]);
    world.opens_for("alice", &grant).await;
}

/// Before there is an intent, nothing has to be finished.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_been_begun_is_not_begun_any_more() {
    let mut world = World::start().await;
    let grant = while_it_asks(&world, ITEM, 20).await;
    world.stop_operator().await;
    assert_eq!(shares(&world).await, 0);

    world.restart_operator().await;
    world.until_active(&grant).await;
    assert_eq!(shares(&world).await, 1);
}

/// Right after a start nothing is known of the integration yet: what is due then is not left until the next look, minutes later.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_asked_for_while_no_operator_ran_is_made_soon_after_a_start() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    let longer = |flow: &mut AccessFlowSpec| flow.grant.max_duration.0 = "4h".into();
    world.flow("oncall", longer).await;
    let ask = Ask::item("db password").lasting("4h");
    let grant = world.ask("alice", ask).await;
    let grant = world.until_active(&grant).await;
    world.stop_operator().await;
    world.advance(Duration::from_secs(61 * 60)).await;
    let now = world.now().to_string();
    world.annotate(&grant, RENEW_ANNOTATION, &now).await;
    world.restart_operator().await;
    let second = |record: &AccessRecord| outcomes(record) == [Some(LinkOutcome::Issued); 2];
    world.until_record(&grant, second).await;
    world.opens_for("alice", &grant).await;
}

/// A leader of its own process, which can be paused in the middle of something.
struct Paused {
    program: Program,
    _log: tempfile::TempDir,
}

impl Paused {
    /// Starts as the leader.
    fn start(world: &World) -> Self {
        let log = tempfile::tempdir().expect("a folder");
        let program = operator_program(env!("CARGO_BIN_EXE_keyloan")).expect("the operator");
        let mut command = Command::new(program);
        let lease = format!("--lease={OPERATOR_NAMESPACE}/keyloan");
        command.args(world.operator_arguments()).args([
            "--listen=127.0.0.1:0",
            "--identity=paused",
            &lease,
        ]);
        let program = Program::start(&command, &log.path().join("log")).expect("started");
        Self { program, _log: log }
    }

    /// Pauses; another replica takes the lead.
    async fn stops(&self, world: &mut World) {
        signal(self.program.id(), "STOP").expect("paused");
        world.settings.election = Some(Election {
            namespace: OPERATOR_NAMESPACE.into(),
            lease: "keyloan".into(),
            identity: "other".into(),
        });
        world.restart_operator().await;
    }

    /// Goes on, and ends because it leads no longer; returns what it said last.
    async fn goes_on(mut self) -> String {
        signal(self.program.id(), "CONT").expect("goes on");
        let ended = async {
            while self.program.has_ended().is_none() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
        let said = self.program.log_tail(20);
        assert!(ended.is_ok(), "it still runs:\n{said}");
        said
    }
}

/// A leader that was paused while it made a link, such as on a machine that slept, finds that another one leads.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_paused_hands_over_no_link_that_another_has_replaced() {
    let mut world = World::without_operator().await;
    let paused = Paused::start(&world);
    let grant = while_it_asks(&world, SHARE, 3).await;
    paused.stops(&mut world).await;
    let is_replaced = |record: &AccessRecord| {
        let [lost, issued] = [LinkOutcome::Lost, LinkOutcome::Issued].map(Some);
        outcomes(record) == [lost, issued]
    };
    world.until_record(&grant, is_replaced).await;
    let link = world.read_link("alice", &grant).await.expect("readable");

    let said = paused.goes_on().await;
    let now = world.read_link("alice", &grant).await.expect("readable");
    assert_eq!(now, link, "{said}");
    let record = world.until_record(&grant, |_| true).await;
    assert!(is_replaced(&record), "{:?}", outcomes(&record));
    world.opens_for("alice", &grant).await;
}

/// The same where a Secret with an earlier link exists, which both replicas change.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_paused_in_a_renewal_does_not_replace_the_link_of_another() {
    let mut world = World::without_operator().await;
    let paused = Paused::start(&world);
    world.integration("prod", "lender").await;
    let longer = |flow: &mut AccessFlowSpec| flow.grant.max_duration.0 = "4h".into();
    world.flow("oncall", longer).await;
    let ask = Ask::item("db password").lasting("4h");
    let grant = world.ask("alice", ask).await;
    let grant = world.until_active(&grant).await;
    world
        .until_record(&grant, |record| {
            outcomes(record) == [Some(LinkOutcome::Issued)]
        })
        .await;
    // The link is about to end, and its Secret is there.
    world.backdate(&grant, SignedDuration::from_mins(55)).await;
    let slow = FaultKind::delay(Duration::from_secs(3));
    let slow = world.control.fault(Fault::once(SHARE, slow));
    slow.await.expect("ordered");
    let now = world.now().to_string();
    world.annotate(&grant, RENEW_ANNOTATION, &now).await;
    world.until_requested(SHARE, 2).await;
    paused.stops(&mut world).await;
    let [issued, lost] = [LinkOutcome::Issued, LinkOutcome::Lost].map(Some);
    let is_replaced = |record: &AccessRecord| outcomes(record) == [issued, lost, issued];
    world.until_record(&grant, is_replaced).await;
    let link = world.read_link("alice", &grant).await.expect("readable");

    let said = paused.goes_on().await;
    let now = world.read_link("alice", &grant).await.expect("readable");
    assert_eq!(now, link, "{said}");
    world.opens_for("alice", &grant).await;
}
