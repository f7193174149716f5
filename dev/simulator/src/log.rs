//! The request log: the requests by route template, and their responses. It holds no ids, headers
//! or bodies.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The log keeps only the newest entries; the counts are always complete.
const KEPT: usize = 10_000;

/// The log since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestLog {
    /// All requests to the service, without those to the control API and those of recipients.
    pub total: u64,
    /// The same, by route template, such as `POST /api/v4/itemshare`.
    pub by_route: BTreeMap<String, u64>,
    /// The newest ten thousand, in order of arrival.
    pub entries: VecDeque<RequestEntry>,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestEntry {
    /// Increases from 0.
    pub number: u64,
    /// By the simulator's clock.
    pub at: Timestamp,
    /// Method and path template.
    pub route: String,
    /// Absent while there is no response: the request is in progress or hangs, or the connection
    /// was reset.
    pub status: Option<u16>,
    /// The time that producing the response took, in microseconds.
    pub micros: Option<u64>,
    /// The authenticated caller.
    pub service_account: Option<String>,
    /// The injected fault.
    pub fault: Option<String>,
    /// The reason of a refusal.
    pub refusal: Option<String>,
}

impl RequestLog {
    /// The number of requests to a route.
    pub fn count(&self, route: &str) -> u64 {
        self.by_route.get(route).copied().unwrap_or_default()
    }
}

/// The log while requests are added to it.
#[derive(Default)]
pub struct Log {
    shown: RequestLog,
    next: u64,
}

impl Log {
    /// Adds a request as it arrives; returns its number.
    pub fn arrived(&mut self, route: &str, fault: Option<String>, at: Timestamp) -> u64 {
        let number = self.next;
        self.next += 1;
        self.shown.total += 1;
        *self.shown.by_route.entry(route.to_owned()).or_default() += 1;
        let route = route.to_owned();
        let entry = RequestEntry {
            number,
            at,
            route,
            fault,
            ..RequestEntry::default()
        };
        self.shown.entries.push_back(entry);
        if self.shown.entries.len() > KEPT {
            self.shown.entries.pop_front();
        }
        number
    }

    /// Completes an entry, if it still exists.
    pub fn answered(&mut self, number: u64, complete: impl FnOnce(&mut RequestEntry)) {
        let found = self
            .shown
            .entries
            .binary_search_by_key(&number, |entry| entry.number);
        if let Ok(place) = found {
            complete(&mut self.shown.entries[place]);
        }
    }

    /// The whole log.
    pub fn shown(&self) -> &RequestLog {
        &self.shown
    }

    /// Empties the log.
    pub fn reset(&mut self) {
        self.shown = RequestLog::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_does_not_touch_the_log_after_a_reset() {
        let mut log = Log::default();
        let before = log.arrived("GET /a", None, Timestamp::UNIX_EPOCH);
        log.reset();
        let after = log.arrived("GET /b", None, Timestamp::UNIX_EPOCH);
        log.answered(before, |entry| entry.status = Some(500));
        log.answered(after, |entry| entry.status = Some(200));
        let shown = log.shown();
        assert_eq!(
            (shown.total, shown.count("GET /a"), shown.count("GET /b")),
            (1, 0, 1)
        );
        assert_eq!(shown.entries[0].status, Some(200));
    }

    #[test]
    fn counts_outlive_the_entries() {
        let mut log = Log::default();
        (0..KEPT + 5).for_each(|_| {
            log.arrived("GET /a", None, Timestamp::UNIX_EPOCH);
        });
        assert_eq!(
            (log.shown().total, log.shown().entries.len()),
            (10_005, KEPT)
        );
    }
}
