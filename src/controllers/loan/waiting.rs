//! Requests that wait for a place. When a loan or an older request of the same person ends, the
//! first ones in line for the flow are looked at again. A loan that has ended while a link of it
//! may open keeps its place until then, and each plan knows that time.
//!
//! Only the first few are looked at; otherwise the end of each of one person's thousand requests
//! would cause work for thousands. A request that leaves the line, for a place or for good,
//! triggers the next ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::{ACCEPTED, AccessGrant, AccessGrantStatus};
use crate::cluster::{Rank, rank_of};
use crate::plan::flow::full_for;
use crate::plan::reasons::GrantReason;

use super::key::LoanKey;

/// The number of requests in a line that are looked at when a place may be free: one takes it, and
/// another one may have been faster.
const FIRST: usize = 2;

/// The requests that wait because their requester has reached a flow's limit.
#[derive(Default)]
pub(super) struct WaitingRequests(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    lines: HashMap<Line, BTreeMap<Rank, LoanKey>>,
    /// The lines in which each of them waits.
    waits: HashMap<LoanKey, (Rank, BTreeSet<Line>)>,
}

/// A line of requests: for a place in a flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Line {
    requester: String,
    ledger: String,
    /// The flow's name; `None` if there are more flows than a status shows.
    flow: Option<String>,
}

impl Line {
    /// The line for a place of this person in a flow of this namespace.
    pub(super) fn of(requester: &str, ledger: &str, flow: Option<&str>) -> Self {
        Self {
            requester: requester.to_owned(),
            ledger: ledger.to_owned(),
            flow: flow.map(str::to_owned),
        }
    }
}

impl WaitingRequests {
    /// Takes in the state of a request; returns the requests to look at because it no longer waits
    /// in the same lines.
    pub(super) fn note(
        &self,
        key: &LoanKey,
        grant: &AccessGrant,
        status: Option<&AccessGrantStatus>,
    ) -> BTreeSet<LoanKey> {
        let mut lines = BTreeSet::new();
        if let (Some(status), Some(requester)) = (status, &grant.spec.requester)
            && waits(status)
        {
            let line = |flow| Line::of(&requester.username, &key.ledger, flow);
            match full_for(status) {
                Some(flows) => lines.extend(flows.into_iter().map(|flow| line(Some(flow)))),
                None => drop(lines.insert(line(None))),
            }
        }
        self.lock().put(key, rank_of(grant), lines)
    }

    /// Forgets a request that is gone; returns the requests to look at because of that.
    pub(super) fn forget(&self, key: &LoanKey) -> BTreeSet<LoanKey> {
        self.lock().put(key, Rank::default(), BTreeSet::new())
    }

    /// The number of requests before this rank in this line, at most `most`: they get their places
    /// first. Those that may wait for any flow do not count: they may never want a place in this
    /// one.
    pub(super) fn before(&self, line: &Line, rank: &Rank, most: u32) -> u32 {
        let lines = self.lock();
        let those = lines.lines.get(line).into_iter();
        let before = those.flat_map(|those| those.range(..rank));
        (0..most).zip(before).map(|_| 1).sum()
    }

    /// The first requests in line for a place of this person, in this flow of that namespace or,
    /// without one, in any.
    pub(super) fn first(&self, requester: &str, flow: Option<(&str, &str)>) -> BTreeSet<LoanKey> {
        let lines = self.lock();
        let of_them = |line: &&Line| line.requester == requester;
        match flow {
            Some((ledger, flow)) => {
                let by_flow = Line::of(requester, ledger, Some(flow));
                let by_any = Line::of(requester, ledger, None);
                let both = [by_flow, by_any];
                both.iter().flat_map(|line| lines.first(line)).collect()
            }
            None => {
                let all = lines.lines.keys().filter(of_them);
                all.flat_map(|line| lines.first(line)).collect()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Puts a request in these lines, and no others.
    fn put(&mut self, key: &LoanKey, rank: Rank, lines: BTreeSet<Line>) -> BTreeSet<LoanKey> {
        let before = self.waits.remove(key);
        let (rank_before, lines_before) = before.unwrap_or_default();
        for line in lines_before.difference(&lines) {
            if let Some(those) = self.lines.get_mut(line) {
                those.remove(&rank_before);
                if those.is_empty() {
                    self.lines.remove(line);
                }
            }
        }
        for line in &lines {
            let those = self.lines.entry(line.clone()).or_default();
            those.insert(rank.clone(), key.clone());
        }
        let left = lines_before.difference(&lines);
        let next = left.flat_map(|line| self.first(line)).collect();
        if !lines.is_empty() {
            self.waits.insert(key.clone(), (rank, lines));
        }
        next
    }

    fn first(&self, line: &Line) -> Vec<LoanKey> {
        let those = self.lines.get(line);
        let those = those.into_iter().flat_map(BTreeMap::values);
        those.take(FIRST).cloned().collect()
    }
}

fn waits(status: &AccessGrantStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|c| c.type_ == ACCEPTED && c.reason == GrantReason::LimitReached)
}
