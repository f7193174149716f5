//! Checks whether the boundary is in force: looks at the stored kinds and admission policies, lets
//! the API server refuse the operator, and keeps what it saw.
//!
//! It looks when the operator starts, when the kinds have come, when a policy changes, when a caller
//! asks, and at intervals.
//! Callers that ask during a look share the next one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::api::{GROUP, VERSION};
use crate::cluster::probe::{OwnIdentity, probe_false_identity, who_am_i};
use crate::cluster::{ApiError, ApiErrorKind, Cluster, with_retries};
use crate::manifests::{
    self, EMAIL_VARIABLES, IDENTITY_POLICIES, LINKS_VARIABLE, ManifestError, Releases,
    USERNAME_VARIABLES, link_entry,
};
use crate::plan::boundary::{
    BoundarySeen, Fields, Memory, OwnEntry, PoliciesSeen, PolicyKey, PolicyKind, Shipped, Verdict,
    fields_of, fields_served, misfit, verdict,
};
use crate::runtime::{Clock, Tasks};
use crate::telemetry::Metrics;

/// The policies may stop acting without notice, for example when the API server gets other flags.
const AT_LEAST_EVERY: Duration = Duration::from_secs(600);
/// The minimum interval between looks on demand: one look costs a dozen calls and serves all
/// waiting callers.
const NO_SOONER_THAN: Duration = Duration::from_millis(200);
/// The delay before the first repeated look after a problem. It doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The maximum delay before a repeated look.
const LAST_RETRY: Duration = Duration::from_secs(15);
/// The number of looks without an answer after which callers no longer wait for the first one, and
/// earlier results no longer hold.
const FAILURES_TOLERATED: u32 = 5;
/// The API server gives creation times in whole seconds. After a reported change, this wait makes
/// new objects younger than the change.
const A_SECOND: Duration = Duration::from_secs(1);
/// The namespace of dry runs if no other is known.
const ANY_NAMESPACE: &str = "default";

/// Whether the boundary is in force; if not, the reason.
pub type Answer = Result<(), String>;

/// The callback of a caller that waits for the answer.
type Then = Box<dyn FnOnce(Answer) + Send>;

/// What is known about the boundary.
pub struct Boundary {
    cluster: Arc<Cluster>,
    clock: Clock,
    metrics: Arc<Metrics>,
    shipped: Shipped,
    kinds: Fields,
    namespace: Option<String>,
    links_namespace: String,
    seen: watch::Sender<BoundarySeen>,
    subscribers: RwLock<Vec<Box<dyn Fn() + Send + Sync>>>,
    /// By the callers' names.
    asked: Mutex<HashMap<String, Then>>,
    wanted: Notify,
    looked: watch::Sender<bool>,
}

/// The results of one look that the next one needs.
#[derive(Default)]
struct Known {
    own: Option<OwnIdentity>,
    policies: PoliciesSeen,
    /// The state that the cluster keeps, once it has been read or written.
    memory: Option<Memory>,
    changed_at: Option<Timestamp>,
    /// The policies were seen not to act, although they are stored.
    was_open: bool,
    /// A look has had a result.
    has_shown: bool,
    /// The number of consecutive looks that have to be repeated soon.
    failures: u32,
}

/// What a look follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// The kinds or the policies may have changed.
    News,
    /// A caller asks.
    Request,
    /// It was time.
    Time,
}

/// The reason why a look has not shown that the boundary is in force.
enum Doubt {
    /// The boundary is not in force.
    Broken(String),
    /// The look has had no result.
    Unknown(String),
}

impl Doubt {
    /// A failure to read or write. A missing permission is a flaw; an interruption has no result.
    fn of(what: &str, error: &ApiError) -> Self {
        let why = format!("{what}: {error}");
        match error.kind.may_pass() || error.kind == ApiErrorKind::Conflict {
            true => Self::Unknown(why),
            false => Self::Broken(why),
        }
    }
}

impl Boundary {
    /// Creates a boundary about which nothing is known yet. `namespace` is the operator's own; it
    /// is needed only if the operator does not run as a ServiceAccount. `links_namespace` is the
    /// namespace for links, which the policies must contain.
    pub fn new(
        cluster: Arc<Cluster>,
        namespace: Option<String>,
        links_namespace: String,
        releases: &Releases,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, ManifestError> {
        let being_checked = BoundarySeen {
            broken: Some(
                "the operator is still checking whether the admission policies are in force".into(),
            ),
            changed_at: None,
        };
        let kinds: Vec<_> = manifests::crds()?.into_iter().map(|(_, crd)| crd).collect();
        let shipped = Shipped::new(
            &releases.current,
            &releases.earlier,
            &USERNAME_VARIABLES,
            &EMAIL_VARIABLES,
        );
        Ok(Arc::new(Self {
            cluster,
            clock,
            metrics,
            shipped,
            kinds: fields_of(&kinds),
            namespace,
            links_namespace,
            seen: watch::Sender::new(being_checked),
            subscribers: RwLock::default(),
            asked: Mutex::default(),
            wanted: Notify::new(),
            looked: watch::Sender::new(false),
        }))
    }

    /// Starts to watch the policies and to look. Subscribe first.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let ours: Vec<PolicyKey> = self.shipped.keys().cloned().collect();
        self.cluster
            .follow_policies(move |key| ours.contains(key), tasks);
        tasks.keep("boundary", self.clone().run());
    }

    /// The state according to the last look.
    pub fn seen(&self) -> BoundarySeen {
        self.seen.borrow().clone()
    }

    /// Looks, and calls `then` with the result of a look that begins after this call. Of several
    /// callers with the same name, only the last one gets an answer.
    pub fn check(&self, name: &str, then: impl FnOnce(Answer) + Send + 'static) {
        lock(&self.asked).insert(name.to_owned(), Box::new(then));
        self.wanted.notify_one();
    }

    /// Calls `notice` whenever [`seen`](Self::seen) changes from now on.
    pub fn subscribe(&self, notice: impl Fn() + Send + Sync + 'static) {
        let mut subscribers = self
            .subscribers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.push(Box::new(notice));
    }

    /// Waits until a look has had a result, or several have not.
    pub async fn looked(&self) {
        // The sender lives as long as self.
        self.looked
            .subscribe()
            .wait_for(|looked| *looked)
            .await
            .ok();
    }

    async fn run(self: Arc<Self>) -> Result<(), Infallible> {
        let mut changes = self.cluster.policies.changes();
        let mut jumps = self.clock.jumps();
        let mut known = Known::default();
        let mut thoroughly = true;
        let mut kinds_listed = std::pin::pin!(self.cluster.kinds_listed());
        let mut kinds_missing = true;
        // The failed looks since the last news.
        let mut tries = 0u32;
        loop {
            let began = self.clock.stopwatch();
            // Callers that ask from here on wait for the next look.
            let asked = std::mem::take(&mut *lock(&self.asked));
            changes.mark_unchanged();
            match self.look(&mut known, thoroughly).await {
                Some(answer) => asked.into_values().for_each(|then| then(answer.clone())),
                // The look is repeated soon.
                None => {
                    let mut later = lock(&self.asked);
                    for (name, then) in asked {
                        later.entry(name).or_insert(then);
                    }
                }
            }
            if known.has_shown || known.failures >= FAILURES_TOLERATED {
                self.looked.send_replace(true);
            }
            let fails = known.failures > 0;
            tries = if fails { tries.saturating_add(1) } else { 0 };
            kinds_missing &= fails;
            let woken = tokio::select! {
                biased;
                Ok(()) = changes.changed() => Woken::News,
                Ok(()) = jumps.changed() => Woken::News,
                () = &mut kinds_listed, if kinds_missing => {
                    kinds_missing = false;
                    Woken::News
                }
                () = self.wanted_after(began + NO_SOONER_THAN) => Woken::Request,
                () = tokio::time::sleep(wait(tries)) => Woken::Time,
            };
            thoroughly = fails || woken != Woken::Request;
            if woken == Woken::News {
                // What was installed just now acts in a moment.
                tries = 0;
            }
        }
    }

    async fn wanted_after(&self, soonest: Instant) {
        self.wanted.notified().await;
        tokio::time::sleep_until(soonest.into()).await;
    }

    /// The state; `None` if it is unknown but may be known soon.
    async fn look(&self, known: &mut Known, thoroughly: bool) -> Option<Answer> {
        let found = self.examine(known, thoroughly).await;
        known.failures = match found {
            Ok(_) => 0,
            Err(_) => known.failures.saturating_add(1),
        };
        let (answer, shows) = match found {
            Ok(changed_at) => {
                known.changed_at = Some(changed_at);
                (Ok(()), true)
            }
            Err(Doubt::Broken(why)) => (Err(why), true),
            // Earlier results hold for a while: an API server may just be starting.
            Err(Doubt::Unknown(why)) => (Err(why), known.failures >= FAILURES_TOLERATED),
        };
        known.has_shown |= shows;
        if shows || !known.has_shown {
            self.publish(BoundarySeen {
                broken: answer.clone().err(),
                changed_at: known.changed_at,
            });
        }
        shows.then_some(answer)
    }

    /// The time of the policies' last change, if they are in force. A `thorough` look checks
    /// everything, another one only the policies that verify identities: a watch reports other
    /// changes.
    async fn examine(&self, known: &mut Known, thoroughly: bool) -> Result<Timestamp, Doubt> {
        if thoroughly {
            self.kinds_fit().await?;
        }
        let own = match known.own.take() {
            Some(own) => own,
            None => who_am_i(&self.cluster.verbs).await.map_err(|error| {
                Doubt::of(
                    "the operator cannot read its own identity from the API server",
                    &error,
                )
            })?,
        };
        let own = known.own.insert(own).clone();
        let namespace = own.namespace().or(self.namespace.as_deref());
        let namespace = namespace.unwrap_or(ANY_NAMESPACE);
        let shown = self.probe(&own, namespace).await;
        // Read after the dry run, so that the policies are not older than its result.
        self.read(known, thoroughly).await?;
        let entries = self.own_entries(&own.identity.username);
        if let Some(flaw) = self.shipped.flaw(&known.policies, &entries) {
            return Err(Doubt::Broken(flaw));
        }
        match shown {
            Verdict::Guarded => self.remember(known, namespace).await,
            Verdict::Open(why) => {
                self.forget(known, namespace).await;
                Err(Doubt::Broken(why))
            }
            Verdict::Obstructed(why) => Err(Doubt::Broken(why)),
            Verdict::Unknown(why) => Err(Doubt::Unknown(why)),
        }
    }

    /// The entries for this operator that the policies must contain.
    fn own_entries(&self, username: &str) -> [OwnEntry; 2] {
        [
            OwnEntry {
                list: USERNAME_VARIABLES[0],
                text: username.into(),
                what: format!("{username} as Keyloan's operator"),
            },
            OwnEntry {
                list: LINKS_VARIABLE,
                text: link_entry(&self.links_namespace, username),
                what: format!(
                    "namespace {} as the one in which {username} keeps links",
                    self.links_namespace
                ),
            },
        ]
    }

    async fn kinds_fit(&self) -> Result<(), Doubt> {
        let schemas = || self.cluster.verbs.schemas(GROUP, VERSION);
        let served = with_retries(schemas).await.map_err(|error| {
            Doubt::of(
                "the operator cannot read which kinds the API server serves",
                &error,
            )
        })?;
        let served = served.as_ref().map(fields_served).unwrap_or_default();
        misfit(&self.kinds, &served).map_or(Ok(()), |why| Err(Doubt::Broken(why)))
    }

    async fn probe(&self, own: &OwnIdentity, namespace: &str) -> Verdict {
        let verbs = &self.cluster.verbs;
        let now = self.clock.now();
        let shown = verdict(&probe_false_identity(verbs, namespace, &own.identity, now).await);
        self.metrics.standing.boundary_check(match shown {
            Verdict::Guarded => "guarded",
            Verdict::Open(_) => "open",
            Verdict::Obstructed(_) | Verdict::Unknown(_) => "unknown",
        });
        shown
    }

    async fn read(&self, known: &mut Known, thoroughly: bool) -> Result<(), Doubt> {
        let guards_identities = |(kind, name): &&PolicyKey| {
            let kinds = [PolicyKind::Validating, PolicyKind::ValidatingBinding];
            kinds.contains(kind) && IDENTITY_POLICIES.contains(&name.as_str())
        };
        let keys = self.shipped.keys();
        let keys: Vec<_> = keys
            .filter(|key| thoroughly || guards_identities(key))
            .cloned()
            .collect();
        let read = self.cluster.policies.read(keys.clone()).await;
        let read = read.map_err(|error| {
            Doubt::of("the operator cannot read the admission policies", &error)
        })?;
        known.policies.retain(|key, _| !keys.contains(key));
        known.policies.extend(read);
        Ok(())
    }

    /// Keeps the observed state of policies that are in force, and returns the time of their last
    /// change.
    async fn remember(&self, known: &mut Known, namespace: &str) -> Result<Timestamp, Doubt> {
        if let Some(memory) = &known.memory
            && self.shipped.is_as_kept(memory, &known.policies)
        {
            return Ok(memory.changed_at);
        }
        let cannot_keep = |error: ApiError| {
            Doubt::of(
                "the operator cannot store what it saw of the admission policies",
                &error,
            )
        };
        let policies = &self.cluster.policies;
        let kept = policies.kept(namespace).await.map_err(cannot_keep)?;
        let now = who_am_i(&self.cluster.verbs).await;
        let now = now
            .map_err(|error| Doubt::of("the operator cannot read the API server's time", &error))?;
        let now = now.at.unwrap_or_else(|| self.clock.now());
        let before = kept.memory.clone().filter(|_| !known.was_open);
        let memory = self.shipped.remember(before.as_ref(), &known.policies, now);
        if before.is_none_or(|before| before.changed_at != memory.changed_at) {
            let changed_at = memory.changed_at;
            if kept.is_first() {
                tracing::info!(%changed_at, "the operator sees the admission policies for the \
                     first time; only requests and approvals made from now on count");
            } else {
                tracing::warn!(%changed_at, "the admission policies have changed; requests and \
                     approvals made before the change no longer count");
            }
            tokio::time::sleep(A_SECOND).await;
        }
        let stored = policies.keep(namespace, kept, Some(&memory)).await;
        stored.map_err(cannot_keep)?;
        known.was_open = false;
        Ok(known.memory.insert(memory).changed_at)
    }

    /// The policies are stored but do not act: their earlier state verifies nothing that is made in
    /// the meantime.
    async fn forget(&self, known: &mut Known, namespace: &str) {
        (known.memory, known.was_open) = (None, true);
        let policies = &self.cluster.policies;
        let forgotten = async {
            let kept = policies.kept(namespace).await?;
            policies.keep(namespace, kept, None).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "could not discard what was stored about the admission \
                 policies; retrying");
        }
    }

    /// Publishes changes only.
    fn publish(&self, now: BoundarySeen) {
        let before = self.seen.send_replace(now.clone());
        if before == now {
            return;
        }
        self.metrics
            .standing
            .boundary_in_force(now.broken.is_none());
        match &now.broken {
            Some(why) if before.broken.as_ref() != Some(why) => {
                tracing::warn!(%why, "the admission policies are not known to be in force; nothing \
                     new is approved or issued");
            }
            None if before.broken.is_some() => {
                tracing::info!("the admission policies are in force")
            }
            _ => {}
        }
        let subscribers = self
            .subscribers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().for_each(|notice| notice());
    }
}

/// The wait before the next look, after so many failed ones since the last news.
fn wait(tries: u32) -> Duration {
    match tries {
        0 => AT_LEAST_EVERY,
        _ => (FIRST_RETRY * (1 << (tries - 1).min(10))).min(LAST_RETRY),
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_force_is_looked_at_again_ever_more_slowly() {
        let waits: Vec<_> = (0..=9).map(|failures| wait(failures).as_millis()).collect();
        let retries = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000];
        assert_eq!(waits[0], 600_000);
        assert_eq!(waits[1..], retries);
        assert_eq!(wait(u32::MAX), LAST_RETRY);
    }
}
