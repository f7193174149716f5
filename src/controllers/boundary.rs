//! Is the boundary in force? Looks at the kinds and the admission policies as they are stored, has the API server refuse the operator,
//! and keeps what it saw.
//!
//! It looks when the operator starts, when a policy changes, when somebody asks for it, and now and then. All who ask while a look is under
//! way share the next one.

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

/// The policies may cease to act without a word, such as when the API server gets other flags.
const AT_LEAST_EVERY: Duration = Duration::from_secs(600);
/// Looks that are asked for begin so long after one another at least: one look costs a dozen calls, and serves all who wait for it.
const NO_SOONER_THAN: Duration = Duration::from_millis(200);
/// What was not as it should be is looked at again after so long, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// It is looked at again after so long at the latest.
const LAST_RETRY: Duration = Duration::from_secs(15);
/// After so many looks without an answer nobody waits for the first one any longer, and what was known before holds no longer.
const FAILURES_TOLERATED: u32 = 5;
/// The API server tells when an object was made to the second: what is made once a change was told is to be younger than that change.
const A_SECOND: Duration = Duration::from_secs(1);
/// Where dry runs are made if nothing else is known.
const ANY_NAMESPACE: &str = "default";

/// Whether the boundary is in force, or why it is not.
pub type Answer = Result<(), String>;

/// What somebody does once it is known how the boundary stands.
type Then = Box<dyn FnOnce(Answer) + Send>;

/// What is known of the boundary.
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
    /// By their names.
    asked: Mutex<HashMap<String, Then>>,
    wanted: Notify,
    looked: watch::Sender<bool>,
}

/// What one look leaves for the next one.
#[derive(Default)]
struct Known {
    own: Option<OwnIdentity>,
    policies: PoliciesSeen,
    /// What the cluster keeps, once it has been read or written.
    memory: Option<Memory>,
    changed_at: Option<Timestamp>,
    /// The policies were seen not to act, though they are stored.
    was_open: bool,
    /// A look has shown how it stands.
    has_shown: bool,
    /// How many looks in a row have to be repeated soon.
    failures: u32,
}

/// Why a look has not shown that the boundary is in force.
enum Doubt {
    /// It is not.
    Broken(String),
    /// It has shown nothing.
    Unknown(String),
}

impl Doubt {
    /// Something could not be read or written. A missing right is a flaw, and an interruption shows nothing.
    fn of(what: &str, error: &ApiError) -> Self {
        let why = format!("{what}: {error}");
        match error.kind.may_pass() || error.kind == ApiErrorKind::Conflict {
            true => Self::Unknown(why),
            false => Self::Broken(why),
        }
    }
}

impl Boundary {
    /// Nothing is known yet. `namespace` is the operator's own; it is needed only where the operator runs as no ServiceAccount. In
    /// `links_namespace` it keeps links, which the policies have to know.
    pub fn new(
        cluster: Arc<Cluster>,
        namespace: Option<String>,
        links_namespace: String,
        releases: &Releases,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, ManifestError> {
        let being_checked = BoundarySeen {
            broken: Some("whether the admission policies are in force is being checked".into()),
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

    /// Starts to watch the policies and to look. Subscribe before.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let ours: Vec<PolicyKey> = self.shipped.keys().cloned().collect();
        self.cluster
            .follow_policies(move |key| ours.contains(key), tasks);
        tasks.keep("boundary", self.clone().run());
    }

    /// How it stands, as of the last look.
    pub fn seen(&self) -> BoundarySeen {
        self.seen.borrow().clone()
    }

    /// Looks, and has `then` called once it is known whether the boundary is in force: by a look that begins after this call. Of those
    /// who ask by the same name, the last one is answered.
    pub fn check(&self, name: &str, then: impl FnOnce(Answer) + Send + 'static) {
        lock(&self.asked).insert(name.to_owned(), Box::new(then));
        self.wanted.notify_one();
    }

    /// Has `notice` called, from now on, whenever [`seen`](Self::seen) changes.
    pub fn subscribe(&self, notice: impl Fn() + Send + Sync + 'static) {
        let mut subscribers = self
            .subscribers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.push(Box::new(notice));
    }

    /// Waits until a look has shown something, or several have not.
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
        loop {
            let began = self.clock.stopwatch();
            // Who asks from here on waits for the next look.
            let asked = std::mem::take(&mut *lock(&self.asked));
            changes.mark_unchanged();
            match self.look(&mut known, thoroughly).await {
                Some(answer) => asked.into_values().for_each(|then| then(answer.clone())),
                // It is looked at again soon.
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
            thoroughly = tokio::select! {
                biased;
                Ok(()) = changes.changed() => true,
                Ok(()) = jumps.changed() => true,
                () = self.wanted_after(began + NO_SOONER_THAN) => known.failures > 0,
                () = tokio::time::sleep(wait(known.failures)) => true,
            };
        }
    }

    async fn wanted_after(&self, soonest: Instant) {
        self.wanted.notified().await;
        tokio::time::sleep_until(soonest.into()).await;
    }

    /// How it stands; `None` if that is not known, and may be soon.
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
            // What was known holds for a while: an API server may just be starting.
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

    /// When the policies last changed, if they are in force. Everything is looked at `thoroughly`, or just what guards identities:
    /// of other changes a watch tells.
    async fn examine(&self, known: &mut Known, thoroughly: bool) -> Result<Timestamp, Doubt> {
        if thoroughly {
            self.kinds_fit().await?;
        }
        let own = match known.own.take() {
            Some(own) => own,
            None => who_am_i(&self.cluster.verbs).await.map_err(|error| {
                Doubt::of("who the operator is to the API server is not known", &error)
            })?,
        };
        let own = known.own.insert(own).clone();
        let namespace = own.namespace().or(self.namespace.as_deref());
        let namespace = namespace.unwrap_or(ANY_NAMESPACE);
        let shown = self.probe(&own, namespace).await;
        // After the dry run, so that what is read is not older than what it has shown.
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

    /// What the policies have to know of this operator.
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
                    "the namespace {} as the one in which {username} keeps links",
                    self.links_namespace
                ),
            },
        ]
    }

    async fn kinds_fit(&self) -> Result<(), Doubt> {
        let schemas = || self.cluster.verbs.schemas(GROUP, VERSION);
        let served = with_retries(schemas)
            .await
            .map_err(|error| Doubt::of("which kinds the API server has is not known", &error))?;
        let served = served.as_ref().map(fields_served).unwrap_or_default();
        misfit(&self.kinds, &served).map_or(Ok(()), |why| Err(Doubt::Broken(why)))
    }

    async fn probe(&self, own: &OwnIdentity, namespace: &str) -> Verdict {
        let verbs = &self.cluster.verbs;
        let now = self.clock.now();
        let shown = verdict(&probe_false_identity(verbs, namespace, &own.identity, now).await);
        self.metrics.boundary_check(match shown {
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

    /// Keeps what was seen of policies that are in force; says when they last changed.
    async fn remember(&self, known: &mut Known, namespace: &str) -> Result<Timestamp, Doubt> {
        if let Some(memory) = &known.memory
            && self.shipped.is_as_kept(memory, &known.policies)
        {
            return Ok(memory.changed_at);
        }
        let cannot_keep =
            |error: ApiError| Doubt::of("what was seen of them cannot be kept", &error);
        let policies = &self.cluster.policies;
        let kept = policies.kept(namespace).await.map_err(cannot_keep)?;
        let now = who_am_i(&self.cluster.verbs).await;
        let now = now.map_err(|error| Doubt::of("the API server's time is not known", &error))?;
        let now = now.at.unwrap_or_else(|| self.clock.now());
        let before = kept.memory.clone().filter(|_| !known.was_open);
        let memory = self.shipped.remember(before.as_ref(), &known.policies, now);
        if before.is_none_or(|before| before.changed_at != memory.changed_at) {
            let changed_at = memory.changed_at;
            if kept.is_first() {
                tracing::info!(%changed_at, "the admission policies are seen for the first time: only requests and approvals that are made from now on count");
            } else {
                tracing::warn!(%changed_at, "the admission policies have changed: requests and approvals that are not younger count for nothing");
            }
            tokio::time::sleep(A_SECOND).await;
        }
        let stored = policies.keep(namespace, kept, Some(&memory)).await;
        stored.map_err(cannot_keep)?;
        known.was_open = false;
        Ok(known.memory.insert(memory).changed_at)
    }

    /// The policies are stored and do not act: what was seen of them before vouches for nothing that is made meanwhile.
    async fn forget(&self, known: &mut Known, namespace: &str) {
        (known.memory, known.was_open) = (None, true);
        let policies = &self.cluster.policies;
        let forgotten = async {
            let kept = policies.kept(namespace).await?;
            policies.keep(namespace, kept, None).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "what was seen of the admission policies is not forgotten yet");
        }
    }

    /// Tells only what is news.
    fn publish(&self, now: BoundarySeen) {
        let before = self.seen.send_replace(now.clone());
        if before == now {
            return;
        }
        self.metrics.boundary_in_force(now.broken.is_none());
        match &now.broken {
            Some(why) if before.broken.as_ref() != Some(why) => {
                tracing::warn!(%why, "the admission policies are not known to be in force: nothing new is approved or issued");
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

fn wait(failures: u32) -> Duration {
    match failures {
        0 => AT_LEAST_EVERY,
        _ => (FIRST_RETRY * (1 << (failures - 1).min(10))).min(LAST_RETRY),
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
