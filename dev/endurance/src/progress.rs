//! The progress of a run: a line now and then, with the loans and links that a watch has shown.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use keyloan::api::{AccessRecord, LinkOutcome};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::task::JoinHandle;

/// How often a line is printed.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Counts of one loan.
#[derive(Clone, Copy, Default)]
struct Counts {
    links: usize,
    lost: usize,
}

/// What is seen and said.
pub struct Progress {
    began: Instant,
    said: Instant,
    loans: Arc<Mutex<HashMap<String, Counts>>>,
    watch: JoinHandle<()>,
}

impl Progress {
    /// Watches all records from now on.
    pub fn start(admin: &Client) -> Self {
        let loans = Arc::new(Mutex::new(HashMap::new()));
        let (records, seen) = (Api::<AccessRecord>::all(admin.clone()), loans.clone());
        let watch = tokio::spawn(async move {
            let mut events = watcher(records, watcher::Config::default()).boxed();
            // After an error, the watch begins again by itself.
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::Apply(record) | watcher::Event::InitApply(record)) = event
                {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.insert(record.name_any(), counts(&record));
                }
            }
        });
        Self {
            began: Instant::now(),
            said: Instant::now(),
            loans,
            watch,
        }
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Says one line.
    pub fn say(&self, line: &str) {
        let seconds = self.elapsed().as_secs();
        // If standard error is closed, nobody is waiting.
        let _ = writeln!(io::stderr(), "{seconds:5} s  {line}");
    }

    /// Says how far the run is, unless that was said a moment ago.
    pub fn tell(&mut self, kills: usize, terminations: usize) {
        if self.said.elapsed() < SAID_EVERY {
            return;
        }
        self.said = Instant::now();
        let (mut links, mut lost) = (0, 0);
        let loans = self
            .loans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for counts in loans.values() {
            links += counts.links;
            lost += counts.lost;
        }
        let loans = loans.len();
        self.say(&format!(
            "{kills} kills, {terminations} terminations, {loans} records, {links} links, {lost} lost"
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn counts(record: &AccessRecord) -> Counts {
    let count = |outcome| {
        let links = record.spec.links.iter();
        links.filter(|link| link.outcome == Some(outcome)).count()
    };
    Counts {
        links: count(LinkOutcome::Issued),
        lost: count(LinkOutcome::Lost),
    }
}
