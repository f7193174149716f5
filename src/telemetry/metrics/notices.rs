//! Notices: how many were delivered, refused or failed, and how many wait.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::NoticeLabel;
use super::registering::registered;

/// Notices to the receivers of notifiers.
#[derive(Debug)]
pub struct Notices {
    attempts: Family<Attempt, Counter>,
    waiting: Gauge,
    oldest: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    outcome: NoticeLabel,
}

impl Notices {
    pub(super) fn new(r: &mut Registry) -> Self {
        let notices = Self {
            attempts: registered(
                r,
                "notices",
                "Attempts to deliver a notice, by outcome",
                Family::default(),
            ),
            waiting: registered(
                r,
                "notices_waiting",
                "Notices that wait to be delivered, of all notifiers",
                Gauge::default(),
            ),
            oldest: registered(
                r,
                "notices_oldest_waiting_timestamp_seconds",
                "Time of the oldest step whose notice waits, as a Unix time; 0 if none does",
                Gauge::default(),
            ),
        };
        for outcome in NoticeLabel::ALL {
            let outcome = *outcome;
            drop(notices.attempts.get_or_create(&Attempt { outcome }));
        }
        notices
    }

    /// An attempt ended in this way.
    pub fn sent(&self, outcome: NoticeLabel) {
        self.attempts.get_or_create(&Attempt { outcome }).inc();
    }

    /// So many notices wait, the oldest about a step of this time.
    pub fn waiting(&self, count: u64, oldest: Option<f64>) {
        self.waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.oldest.set(oldest.unwrap_or_default());
    }
}
