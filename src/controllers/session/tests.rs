//! How a session interprets answers, with an account that answers as configured.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::onepassword::{Fault, Route};

/// Answers `vaults` as configured, and counts the calls.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Answer<Vec<Vault>>>>,
    asked: AtomicU32,
}

fn unscripted<T>() -> Answer<T> {
    Answer {
        result: Err(CallError::unsent(Problem::Broken(Fault::Call))),
        exchanges: vec![],
    }
}

#[async_trait]
impl OnePassword for Scripted {
    async fn vaults(&self) -> Answer<Vec<Vault>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let next = self.answers.lock().expect("fine").pop_front();
        next.unwrap_or_else(|| Answer {
            result: Ok(vec![]),
            exchanges: vec![],
        })
    }

    async fn items(&self, _: &VaultId) -> Answer<Vec<ItemOverview>> {
        unscripted()
    }

    async fn item(&self, _: &VaultId, _: &ItemId) -> Answer<Item> {
        unscripted()
    }

    async fn share_policy(&self, _: &VaultId, _: &ItemId) -> Answer<SharePolicy> {
        unscripted()
    }

    async fn share(&self, _: &Item, _: &SharePolicy, _: &ShareTerms) -> Answer<ShareUrl> {
        unscripted()
    }
}

struct World {
    scripted: Arc<Scripted>,
    session: Arc<Session>,
    clock: Clock,
    changes: Arc<AtomicU32>,
}

fn world(problems: &[(Problem, Stage)]) -> World {
    let answers = problems.iter().map(|(problem, stage)| Answer {
        result: Err(CallError::new(*problem, *stage, Effect::None)),
        exchanges: vec![],
    });
    let scripted = Scripted {
        answers: Mutex::new(answers.collect()),
        ..Scripted::default()
    };
    let (scripted, clock) = (Arc::new(scripted), Clock::system());
    let tools = Tools {
        tasks: crate::runtime::Supervisor::new().tasks(),
        clock: clock.clone(),
        metrics: Arc::new(Metrics::new()),
        quotas: Quotas::default(),
    };
    let changes = Arc::new(AtomicU32::new(0));
    let counted = changes.clone();
    let session = Session {
        inner: scripted.clone(),
        account: "sa@x".into(),
        payer: Payer {
            token: "t".into(),
            host: "h".into(),
        },
        state: Mutex::default(),
        tools: Arc::new(tools),
        changed: Box::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }),
    };
    World {
        scripted,
        session: Arc::new(session),
        clock,
        changes,
    }
}

impl World {
    async fn ask(&self) -> Result<(), Problem> {
        let account = OnBehalf::of_all(self.session.clone());
        let answer = account.vaults().await;
        answer.result.map(drop).map_err(|error| error.problem())
    }

    fn asked(&self) -> u32 {
        self.scripted.asked.load(Ordering::SeqCst)
    }
}

const AWAY: Problem = Problem::Unavailable { status: Some(503) };

#[tokio::test]
async fn a_token_that_is_refused_twice_is_not_sent_again() {
    let refusal = (Problem::Unauthorized, Stage::SignIn);
    let world = world(&[refusal, refusal]);
    assert_eq!(world.ask().await, Err(Problem::SignInRefused));
    assert_eq!(world.ask().await, Err(Problem::SignInRefused));
    assert_eq!(world.asked(), 1, "the second one was not sent");
    let kind = || world.session.seen().failure.map(|failure| failure.kind);
    assert_eq!(kind(), Some(FailureKind::Unavailable));
    world.clock.advance(SignedDuration::from_secs(6));
    assert_eq!(world.ask().await, Err(Problem::Unauthorized));
    world.clock.advance(SignedDuration::from_hours(1000));
    assert_eq!(world.ask().await, Err(Problem::Unauthorized));
    assert_eq!(world.asked(), 2);
    assert_eq!(kind(), Some(FailureKind::Rejected));
}

/// A sign-in that was interrupted for longer than 1Password remembers its first half.
#[tokio::test]
async fn one_refused_sign_in_is_not_the_end_of_a_token() {
    let refusal = (Problem::Unauthorized, Stage::SignIn);
    let world = world(&[refusal]);
    assert_eq!(world.ask().await, Err(Problem::SignInRefused));
    assert!(!world.session.seen().accepted, "nobody knows");
    world.clock.advance(SignedDuration::from_secs(6));
    assert_eq!(world.ask().await, Ok(()));
    let seen = world.session.seen();
    assert_eq!((seen.accepted, seen.failure), (true, None));
}

#[tokio::test]
async fn nothing_is_sent_while_1password_asks_us_to_wait() {
    let retry_after = Some(Duration::from_secs(30));
    let world = world(&[(Problem::RateLimited { retry_after }, Stage::Call)]);
    assert!(world.ask().await.is_err());
    assert!(matches!(
        world.ask().await,
        Err(Problem::RateLimited { .. })
    ));
    assert_eq!(world.asked(), 1);
    world.clock.advance(SignedDuration::from_secs(31));
    assert_eq!(world.ask().await, Ok(()));
}

#[tokio::test]
async fn without_a_time_to_wait_it_is_a_minute() {
    let world = world(&[(Problem::RateLimited { retry_after: None }, Stage::Call)]);
    assert!(world.ask().await.is_err());
    let until = world.session.seen().throttled_until.expect("throttled");
    let wait = until.duration_since(world.clock.now());
    assert!((55..=60).contains(&wait.as_secs()), "{wait}");
}

#[tokio::test]
async fn a_failed_sign_in_is_repeated_ever_more_slowly_and_forgotten_with_the_first_success() {
    let world = world(&[(AWAY, Stage::SignIn), (AWAY, Stage::SignIn)]);
    assert_eq!(world.ask().await, Err(AWAY));
    assert_eq!(world.ask().await, Err(AWAY));
    assert_eq!(world.asked(), 1, "the second one was not sent");
    world.clock.advance(SignedDuration::from_secs(6));
    assert_eq!(world.ask().await, Err(AWAY));
    assert_eq!(
        world.session.seen().failure.map(|failure| failure.count),
        Some(2)
    );
    world.clock.advance(SignedDuration::from_secs(6));
    assert_eq!(world.ask().await, Err(AWAY));
    assert_eq!(world.asked(), 2, "six seconds are not enough now");
    world.clock.advance(SignedDuration::from_secs(6));
    assert_eq!(world.ask().await, Ok(()));
    assert_eq!(world.session.seen().failure, None);
}

#[tokio::test]
async fn what_concerns_one_item_says_nothing_about_the_token() {
    let world = world(&[(Problem::NotFound, Stage::Call), (AWAY, Stage::Call)]);
    assert!(world.ask().await.is_err());
    assert!(world.ask().await.is_err());
    let seen = world.session.seen();
    assert_eq!((seen.accepted, seen.failure), (true, None));
    assert_eq!(world.ask().await, Ok(()));
}

#[tokio::test]
async fn failed_discoveries_are_counted_though_single_calls_succeed_in_between() {
    let world = world(&[]);
    let error = CallError::new(AWAY, Stage::Call, Effect::None);
    for count in 1..=3 {
        assert_eq!(world.ask().await, Ok(()));
        world.session.discovery_ended(Some(&error));
        assert_eq!(
            world.session.seen().failure.map(|failure| failure.count),
            Some(count)
        );
    }
    world.session.discovery_ended(None);
    assert_eq!(world.session.seen().failure, None);
}

#[tokio::test]
async fn only_a_change_is_told() {
    let world = world(&[]);
    for _ in 0..3 {
        assert_eq!(world.ask().await, Ok(()));
    }
    assert_eq!(world.changes.load(Ordering::SeqCst), 1, "accepted once");
}

#[tokio::test]
async fn the_skew_of_the_clocks_is_told_from_the_last_answer_with_a_date() {
    let world = world(&[]);
    let date = world.clock.now() + SignedDuration::from_mins(5);
    let outcome = Outcome::Answered {
        status: 200,
        retry_after: None,
        date: Some(date),
    };
    let exchange = Exchange {
        method: "GET",
        route: Route::Vaults,
        outcome,
        cause: None,
    };
    let answer = Answer {
        result: Ok(vec![]),
        exchanges: vec![exchange],
    };
    world
        .scripted
        .answers
        .lock()
        .expect("fine")
        .push_back(answer);
    assert_eq!(world.ask().await, Ok(()));
    let skew = world.session.seen().clock_skew.expect("a skew");
    assert!((298..=300).contains(&skew.as_secs()), "{skew}");
}

/// Refused requests use up the limits, too; a sign-in counts for no requester.
#[tokio::test]
async fn what_is_sent_for_a_requester_counts_as_theirs_also_when_it_was_refused() {
    let world = world(&[]);
    let exchange = |route, status| Exchange {
        method: "POST",
        route,
        outcome: Outcome::Answered {
            status,
            retry_after: None,
            date: None,
        },
        cause: None,
    };
    let answer = || Answer {
        result: Err(CallError::new(Problem::NotFound, Stage::Call, Effect::None)),
        exchanges: vec![exchange(Route::AuthStart, 200), exchange(Route::Share, 400)],
    };
    let answers = std::iter::repeat_with(answer).take(25);
    world.scripted.answers.lock().expect("fine").extend(answers);
    let mallory = OnBehalf::of(world.session.clone(), "mallory");
    for _ in 0..25 {
        assert!(mallory.vaults().await.result.is_err());
    }
    let budget = |requester| {
        let wanted = crate::controllers::quotas::Wanted {
            requester,
            loan: "",
            plan: crate::api::AccountPlan::Teams,
            shares: crate::plan::quota::Shares::of(None),
        };
        let quotas = &world.session.tools.quotas;
        quotas.budget(&world.session.payer, wanted, world.clock.now())
    };
    assert!(budget("mallory").own_from.is_some());
    assert_eq!(budget("alice").own_from, None);
}
