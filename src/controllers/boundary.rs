//! Is the boundary in force? Looks at the admission policies as they are stored, and has the API server refuse the operator.
//!
//! It looks when the operator starts, when a policy changes, when somebody asks for it, and now and then. Whoever asks while a
//! look is under way shares the next one.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use crate::cluster::Cluster;
use crate::cluster::probe::{Own, ask_under_a_false_name, who_am_i};
use crate::manifests::{
    self, EMAIL_VARIABLES, IDENTITY_POLICIES, LINKS_VARIABLE, ManifestError, USERNAME_VARIABLES,
    link_entry,
};
use crate::plan::boundary::{
    BoundarySeen, History, OwnEntry, PoliciesSeen, PolicyKind, Shipped, Verdict, verdict,
};
use crate::runtime::{Clock, Tasks};
use crate::telemetry::Metrics;

/// The policies may cease to act without a word, such as when the API server gets other flags.
const AT_LEAST_EVERY: Duration = Duration::from_secs(600);
/// What was not as it should be is looked at again after so long, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// It is looked at again after so long at the latest.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Who asks waits no longer for an answer: two looks, each of them slow.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// After so many looks without an answer nobody waits for the first one any longer.
const PATIENCE: u32 = 5;
/// The policies are waited for so long before the first look, which says then what is not known of them: loans have to end all the same.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// Where dry runs are made if nothing else is known.
const ANY_NAMESPACE: &str = "default";

type Answer = Result<(), String>;

/// What is known of the boundary.
pub struct Boundary {
    cluster: Arc<Cluster>,
    clock: Clock,
    metrics: Arc<Metrics>,
    shipped: Shipped,
    namespace: Option<String>,
    links_namespace: String,
    seen: watch::Sender<BoundarySeen>,
    subscribers: RwLock<Vec<Box<dyn Fn() + Send + Sync>>>,
    asked: Mutex<Vec<oneshot::Sender<Answer>>>,
    wanted: Notify,
    looked: watch::Sender<bool>,
}

/// What one look leaves for the next one.
#[derive(Default)]
struct Known {
    own: Option<Own>,
    /// What the last dry run has shown that showed something.
    acts: Option<Answer>,
    history: History,
    /// The policies were seen not to guard anything.
    was_broken: bool,
    /// How many looks in a row have to be repeated soon.
    failures: u32,
}

impl Boundary {
    /// Nothing is known yet. `namespace` is the operator's own; it is needed only where the operator runs as no ServiceAccount. In
    /// `links_namespace` it keeps links, which the policies have to know.
    pub fn new(
        cluster: Arc<Cluster>,
        namespace: Option<String>,
        links_namespace: String,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, ManifestError> {
        let being_checked = BoundarySeen {
            broken: Some("whether the admission policies are in force is being checked".into()),
            changed_at: None,
        };
        Ok(Arc::new(Self {
            cluster,
            clock,
            metrics,
            shipped: shipped()?,
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
        let shipped = self.shipped.clone();
        let ours = move |kind, name: &str| shipped.names(kind, name);
        self.cluster.follow_policies(ours, tasks);
        tasks.keep("boundary", self.clone().run());
    }

    /// How it stands, as of the last look.
    pub fn seen(&self) -> BoundarySeen {
        self.seen.borrow().clone()
    }

    /// Looks, and says whether the boundary is in force, or why it is not, or not known to be. The look begins after this call.
    pub async fn check(&self) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        lock(&self.asked).push(answer);
        self.wanted.notify_one();
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("the operator stops".to_owned()),
            Err(_) => Err(format!(
                "whether the admission policies are in force was not found out within {} s, and is tried again",
                ANSWER_WITHIN.as_secs()
            )),
        }
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
        let mut policies = self.cluster.policies.seen();
        let mut jumps = self.clock.jumps();
        let mut known = Known::default();
        let read = policies.wait_for(PoliciesSeen::is_read);
        // The sender lives as long as the cluster.
        tokio::time::timeout(READ_WITHIN, read).await.ok();
        loop {
            // Who asks from here on waits for the next look.
            let asked = std::mem::take(&mut *lock(&self.asked));
            policies.mark_unchanged();
            let answer = self.look(&mut known).await;
            for waiting in asked {
                // Who has gone away needs no answer.
                waiting.send(answer.clone()).ok();
            }
            if known.acts.is_some() || known.failures >= PATIENCE {
                self.looked.send_replace(true);
            }
            tokio::select! {
                () = self.wanted.notified() => {}
                Ok(()) = policies.changed() => {}
                Ok(()) = jumps.changed() => {}
                () = tokio::time::sleep(wait(known.failures)) => {}
            }
        }
    }

    async fn look(&self, known: &mut Known) -> Answer {
        let shown = self.probe_and_read(known).await;
        let policies = self.cluster.policies.seen().borrow().clone();
        let flaw = known.own.as_ref().and_then(|own| {
            let own = self.own_entries(&own.identity.username);
            self.shipped.flaw(&policies, &own)
        });
        known.failures = match shown {
            Verdict::Guarded => 0,
            _ => known.failures.saturating_add(1),
        };
        match &shown {
            Verdict::Guarded => known.acts = Some(Ok(())),
            Verdict::Open(why) | Verdict::Obstructed(why) => known.acts = Some(Err(why.clone())),
            Verdict::Unknown(_) => {}
        }
        // What hinders the dry run forges no name: nothing that was made meanwhile is doubted for it.
        let seen_broken =
            (flaw.is_some() && policies.is_known()) || matches!(shown, Verdict::Open(_));
        let broken = flaw.or_else(|| match (&known.acts, &shown) {
            (Some(acts), _) => acts.clone().err(),
            (None, Verdict::Unknown(why)) => Some(why.clone()),
            (None, _) => None,
        });
        let restored = known.was_broken && broken.is_none();
        if known.history.take(&policies) || restored {
            // Nothing tells since when the policies are as they are now: not before they were last seen otherwise.
            let now = who_am_i(&self.cluster.verbs)
                .await
                .ok()
                .and_then(|own| own.at);
            known
                .history
                .changed(now.unwrap_or_else(|| self.clock.now()));
        }
        known.was_broken = seen_broken || (known.was_broken && broken.is_some());
        self.publish(BoundarySeen {
            broken: broken.clone(),
            changed_at: known.history.changed_at(),
        });
        match (broken, shown) {
            (Some(broken), _) => Err(broken),
            (None, Verdict::Unknown(why)) => Err(why),
            (None, _) => Ok(()),
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

    /// What guards identities is read anew after the dry run: the watch may lag behind what it has shown.
    async fn probe_and_read(&self, known: &mut Known) -> Verdict {
        let shown = self.probe(known).await;
        let kinds = [PolicyKind::Validating, PolicyKind::ValidatingBinding];
        let keys = kinds.map(|kind| IDENTITY_POLICIES.map(|name| (kind, name.to_owned())));
        match self.cluster.policies.refresh(keys.as_flattened()).await {
            Err(error) if shown == Verdict::Guarded => Verdict::Unknown(format!(
                "the admission policies could not be read, and are read again ({error})"
            )),
            _ => shown,
        }
    }

    async fn probe(&self, known: &mut Known) -> Verdict {
        let verbs = &self.cluster.verbs;
        if known.own.is_none() {
            match who_am_i(verbs).await {
                Ok(own) => known.own = Some(own),
                Err(error) => {
                    self.metrics.boundary_check("unknown");
                    return Verdict::Unknown(format!(
                        "who the operator is to the API server could not be found out, and is tried again ({error})"
                    ));
                }
            }
        }
        let Some(own) = &known.own else {
            return Verdict::Unknown("who the operator is to the API server is not known".into());
        };
        let namespace = own.namespace().or(self.namespace.as_deref());
        let namespace = namespace.unwrap_or(ANY_NAMESPACE);
        let answer =
            ask_under_a_false_name(verbs, namespace, &own.identity, self.clock.now()).await;
        let shown = verdict(&answer);
        self.metrics.boundary_check(match shown {
            Verdict::Guarded => "guarded",
            Verdict::Open(_) => "open",
            Verdict::Obstructed(_) | Verdict::Unknown(_) => "unknown",
        });
        shown
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
                tracing::warn!(%why, "the admission policies are not in force: nothing new is approved or issued");
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

/// What this release ships. There is no earlier one whose policies would do.
fn shipped() -> Result<Shipped, ManifestError> {
    let boundary = manifests::Boundary::default();
    let validating = manifests::validating_policies(&boundary)?;
    let all = validating
        .into_iter()
        .chain(manifests::mutating_policies(&boundary));
    let objects: Vec<_> = all.flat_map(|(_, objects)| objects).collect();
    Ok(Shipped::new(
        &objects,
        &[],
        &USERNAME_VARIABLES,
        &EMAIL_VARIABLES,
    ))
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
        let retries = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000];
        assert_eq!(waits[0], 600_000);
        assert_eq!(waits[1..], retries);
        assert_eq!(wait(u32::MAX), LAST_RETRY);
    }
}
