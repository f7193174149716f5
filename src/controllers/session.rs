//! One token in use: passes calls on to the account, counts requests, and remembers what the
//! answers say about the token as a whole.
//!
//! A token that 1Password refused twice in a row is not sent again; while 1Password asks the operator
//! to wait, nothing is sent; and a failed sign-in is repeated only after a delay. Such calls fail at
//! once, without a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::answers::throttled_until;
use super::quotas::{Payer, Quotas};
use crate::onepassword::{
    Answer, CallError, Effect, Exchange, Item, ItemId, ItemOverview, NoAnswer, OnePassword,
    Outcome, Problem, ServiceAccountToken, SharePolicy, ShareTerms, ShareUrl, Stage, Vault,
    VaultId,
};
use crate::plan::integration::{Failure, FailureKind, SessionSeen, retry_at};
use crate::plan::quota::Requests;
use crate::runtime::{Clock, Tasks};
use crate::telemetry::Metrics;

/// A clock skew is noted again when it has changed by more than this.
const SKEW_CHANGE: SignedDuration = SignedDuration::from_secs(10);

/// One token in use.
pub(super) struct Session {
    inner: Arc<dyn OnePassword>,
    account: String,
    payer: Payer,
    state: Mutex<State>,
    tools: Arc<Tools>,
    /// Called on changes that affect the integration's status.
    changed: Box<dyn Fn() + Send + Sync>,
}

/// The parts that all sessions share.
pub(super) struct Tools {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: Tasks,
    pub(super) quotas: Quotas,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    accepted: bool,
    rejected: Option<Failure>,
    /// The last failed sign-in, until a call succeeds.
    sign_in: Option<(Failure, CallError)>,
    /// The last failed discovery, until one succeeds.
    discovery: Option<Failure>,
    throttled_until: Option<Timestamp>,
    clock_skew: Option<SignedDuration>,
}

impl Session {
    pub(super) fn new(
        token: &ServiceAccountToken,
        inner: Arc<dyn OnePassword>,
        tools: Arc<Tools>,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let payer = Payer {
            token: token.fingerprint().to_owned(),
            host: token.host().to_owned(),
        };
        // 1Password may have told an earlier operator.
        let state = State {
            throttled_until: tools.quotas.throttled_until(&payer),
            ..State::default()
        };
        Self {
            inner,
            account: token.account().to_owned(),
            payer,
            state: Mutex::new(state),
            tools,
            changed: Box::new(changed),
        }
    }

    /// The service account's address.
    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// The token and host that pay for the requests.
    pub(super) fn payer(&self) -> &Payer {
        &self.payer
    }

    /// The results of using the token so far.
    pub(super) fn seen(&self) -> SessionSeen {
        let state = self.lock();
        let sign_in = state.sign_in.as_ref().map(|(failure, _)| failure);
        let failure = state
            .rejected
            .as_ref()
            .or(sign_in)
            .or(state.discovery.as_ref());
        SessionSeen {
            accepted: state.accepted,
            failure: failure.cloned(),
            throttled_until: state.throttled_until,
            clock_skew: state.clock_skew,
        }
    }

    /// Notes the result of a discovery.
    pub(super) fn discovery_ended(&self, error: Option<&CallError>) {
        let now = self.tools.clock.now();
        let mut state = self.lock();
        let count = state.discovery.as_ref().map_or(0, |failure| failure.count);
        state.discovery = error.map(|error| failure(error, now, count));
    }

    /// The reason why a call is not even tried, if so.
    fn barrier(&self) -> Option<CallError> {
        let now = self.tools.clock.now();
        let state = self.lock();
        if state.rejected.is_some() {
            return Some(CallError::unsent(Problem::Unauthorized));
        }
        if let Some(until) = state.throttled_until.filter(|until| *until > now) {
            let retry_after = Duration::try_from(until.duration_since(now)).ok();
            return Some(CallError::unsent(Problem::RateLimited { retry_after }));
        }
        let (failure, error) = state.sign_in.as_ref()?;
        let waits = retry_at(failure).is_none_or(|at| at > now);
        waits.then(|| CallError::new(error.problem(), Stage::SignIn, Effect::None))
    }

    /// Makes one call, for a requester if there is one, and takes in what it reveals.
    async fn call<T>(
        &self,
        requester: Option<&str>,
        name: &'static str,
        call: impl Future<Output = Answer<T>> + Send,
    ) -> Answer<T> {
        if let Some(error) = self.barrier() {
            return Answer {
                result: Err(error),
                exchanges: vec![],
            };
        }
        let watch = self.tools.clock.stopwatch();
        let mut answer = call.await;
        let word = if answer.result.is_ok() {
            "ok"
        } else {
            "failed"
        };
        self.tools
            .metrics
            .onepassword
            .call(name, word, watch.elapsed().as_secs_f64());
        self.count(requester, &answer.exchanges);
        answer.result = answer.result.map_err(|error| self.lock().judged(error));
        self.take_in(&answer.exchanges, answer.result.as_ref().err());
        answer
    }

    /// Counts the sent requests, including those that 1Password refused. A sign-in counts for no
    /// requester: it serves all later calls.
    fn count(&self, requester: Option<&str>, exchanges: &[Exchange]) {
        for exchange in exchanges {
            let outcome = match exchange.outcome {
                Outcome::Answered { status, .. } => status.to_string(),
                Outcome::Silent(NoAnswer::Connect(_)) => "connect".to_owned(),
                Outcome::Silent(why) => format!("{why:?}").to_lowercase(),
            };
            let route = exchange.route.template();
            self.tools
                .metrics
                .onepassword
                .request(exchange.method, route, outcome);
        }
        let now = self.tools.clock.now();
        for (requester, signs_in) in [(None, true), (requester, false)] {
            let sent = exchanges.iter().filter(|exchange| exchange.was_sent());
            let sent = sent.map(|exchange| exchange.route);
            let requests = sent
                .filter(|route| route.is_sign_in() == signs_in)
                .map(|route| match route.is_write() {
                    true => Requests::WRITE,
                    false => Requests::READ,
                })
                .fold(Requests::default(), std::ops::Add::add);
            if requests != Requests::default() {
                let (quotas, metrics) = (&self.tools.quotas, &self.tools.metrics);
                quotas.count(&self.payer, requester, requests, now);
                metrics
                    .onepassword
                    .quota_requests(requests.reads, requests.writes);
            }
        }
    }

    fn take_in(&self, exchanges: &[Exchange], error: Option<&CallError>) {
        let now = self.tools.clock.now();
        let mut state = self.lock();
        let before = state.clone();
        state.note_date(exchanges, now);
        match error {
            None => {
                state.accepted = true;
                state.sign_in = None;
            }
            Some(error) => state.note_error(error, now),
        }
        let throttled_until = state.throttled_until;
        let changed = *state != before;
        let told = |state: &State| state.trouble().map(|failure| failure.message.clone());
        let trouble = told(&state).filter(|trouble| told(&before).as_ref() != Some(trouble));
        drop(state);
        if let Some(until) = throttled_until.filter(|_| throttled_until != before.throttled_until) {
            self.tools.quotas.throttle(&self.payer, until);
        }
        // Logged once for each problem, because calls are retried.
        if let Some(why) = trouble {
            tracing::warn!(host = self.payer.host, why, "1Password cannot be used");
        }
        if changed {
            (self.changed)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The problem that keeps the token as a whole from being used.
    fn trouble(&self) -> Option<&Failure> {
        let sign_in = self.sign_in.as_ref().map(|(failure, _)| failure);
        self.rejected.as_ref().or(sign_in)
    }

    /// The error, in doubt if it is the first refusal of the token after a success: one that is
    /// believed too soon keeps all loans waiting until somebody changes the Secret.
    fn judged(&self, error: CallError) -> CallError {
        let refused_before = self
            .sign_in
            .as_ref()
            .is_some_and(|(_, earlier)| earlier.problem() == Problem::SignInRefused);
        match error.problem() {
            Problem::Unauthorized if !refused_before => error.in_doubt(),
            _ => error,
        }
    }

    fn note_error(&mut self, error: &CallError, now: Timestamp) {
        match error.problem() {
            Problem::Unauthorized => {
                self.accepted = false;
                self.rejected = Some(failure(error, now, 0));
            }
            Problem::RateLimited { retry_after } => {
                let until = throttled_until(retry_after, now);
                self.throttled_until = self.throttled_until.max(Some(until));
            }
            problem if error.stage() == Stage::SignIn => {
                if problem == Problem::SignInRefused {
                    self.accepted = false;
                }
                let count = self
                    .sign_in
                    .as_ref()
                    .map_or(0, |(failure, _)| failure.count);
                self.sign_in = Some((failure(error, now, count), error.clone()));
            }
            // These errors concern only that vault or item, and the caller gets them; but the
            // sign-in succeeded.
            Problem::Forbidden
            | Problem::NotFound
            | Problem::NotActive
            | Problem::Conflict
            | Problem::NotShareable(_)
            | Problem::CannotShare(_)
            | Problem::ShareConflict
            | Problem::Refused(_) => self.accepted = true,
            Problem::SignInRefused
            | Problem::Unreachable(_)
            | Problem::Unavailable { .. }
            | Problem::Timeout
            | Problem::Broken(_) => {}
        }
    }

    fn note_date(&mut self, exchanges: &[Exchange], now: Timestamp) {
        let date = exchanges
            .iter()
            .rev()
            .find_map(|exchange| match exchange.outcome {
                Outcome::Answered { date, .. } => date,
                Outcome::Silent(_) => None,
            });
        let Some(skew) = date.map(|date| date.duration_since(now)) else {
            return;
        };
        let moved = |known: SignedDuration| known.saturating_sub(skew).abs() > SKEW_CHANGE;
        if self.clock_skew.is_none_or(moved) {
            self.clock_skew = Some(skew);
        }
    }
}

/// A failure that follows `earlier` others of its kind.
fn failure(error: &CallError, at: Timestamp, earlier: u32) -> Failure {
    let kind = match error.problem() {
        Problem::Unauthorized => FailureKind::Rejected,
        Problem::Forbidden => FailureKind::Forbidden,
        Problem::RateLimited { .. } => FailureKind::RateLimited,
        Problem::SignInRefused
        | Problem::Unreachable(_)
        | Problem::Unavailable { .. }
        | Problem::Timeout => FailureKind::Unavailable,
        _ => FailureKind::Broken,
    };
    Failure {
        kind,
        message: error.to_string(),
        at,
        count: earlier.saturating_add(1),
    }
}

/// The account as used for one requester, or for the operator itself: the requests count as theirs.
pub(super) struct OnBehalf {
    session: Arc<Session>,
    requester: Option<String>,
}

impl OnBehalf {
    /// Uses the account for this requester.
    pub(super) fn of(session: Arc<Session>, requester: &str) -> Self {
        Self {
            session,
            requester: Some(requester.to_owned()),
        }
    }

    /// Uses the account for all requesters.
    pub(super) fn of_all(session: Arc<Session>) -> Self {
        Self {
            session,
            requester: None,
        }
    }

    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Answer<T>> + Send,
    ) -> Answer<T> {
        let requester = self.requester.as_deref();
        self.session.call(requester, name, call).await
    }
}

#[async_trait]
impl OnePassword for OnBehalf {
    async fn vaults(&self) -> Answer<Vec<Vault>> {
        let call = self.session.inner.vaults();
        self.call("vaults", call).await
    }

    async fn items(&self, vault: &VaultId) -> Answer<Vec<ItemOverview>> {
        let call = self.session.inner.items(vault);
        self.call("items", call).await
    }

    async fn item(&self, vault: &VaultId, item: &ItemId) -> Answer<Item> {
        let call = self.session.inner.item(vault, item);
        self.call("item", call).await
    }

    async fn share_policy(&self, vault: &VaultId, item: &ItemId) -> Answer<SharePolicy> {
        let call = self.session.inner.share_policy(vault, item);
        self.call("share_policy", call).await
    }

    async fn share(
        &self,
        item: &Item,
        policy: &SharePolicy,
        terms: &ShareTerms,
    ) -> Answer<ShareUrl> {
        let call = self.session.inner.share(item, policy, terms);
        self.call("share", call).await
    }
}

#[cfg(test)]
mod tests;
