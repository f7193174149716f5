//! Counters of requests, loans and links, as far as this process handled them. Each event is counted
//! once, when the write that makes it so has succeeded.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::{CauseLabel, DecisionLabel, LinkLabel, RequestLabel};
use super::registering::registered;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// People decide within minutes or days.
const UNTIL_A_DECISION: [f64; 11] = [
    10.0,
    30.0,
    MINUTE,
    5.0 * MINUTE,
    15.0 * MINUTE,
    HOUR,
    4.0 * HOUR,
    12.0 * HOUR,
    DAY,
    3.0 * DAY,
    7.0 * DAY,
];

/// Without an approval, a link takes seconds; the operator's own part is in the first buckets.
const UNTIL_A_LINK: [f64; 12] = [
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    MINUTE,
    5.0 * MINUTE,
    15.0 * MINUTE,
    HOUR,
    4.0 * HOUR,
    DAY,
    7.0 * DAY,
];

/// An end is due at a time, so its lag is the operator's alone.
const PAST_AN_END: [f64; 11] = [
    0.1,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    MINUTE,
    5.0 * MINUTE,
    15.0 * MINUTE,
    HOUR,
];

/// Counters of requests, loans and links.
#[derive(Debug)]
pub struct Lending {
    requests: Family<Outcome, Counter>,
    links: Family<LinkEnd, Counter>,
    link_failures: Family<Cause, Counter>,
    decision_seconds: Family<Decision, Histogram>,
    link_seconds: Family<Approval, Histogram>,
    end_lag_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: RequestLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LinkEnd {
    outcome: LinkLabel,
    reason: CauseLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    reason: CauseLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    decision: DecisionLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Approval {
    approval: &'static str,
}

impl Lending {
    pub(super) fn new(r: &mut Registry) -> Self {
        let until_a_decision: fn() -> Histogram = || Histogram::new(UNTIL_A_DECISION);
        let until_a_link: fn() -> Histogram = || Histogram::new(UNTIL_A_LINK);
        let lending = Self {
            requests: registered(r, "requests", "Requests, by outcome", Family::default()),
            links: registered(
                r,
                "links",
                "Links whose issue has begun, by outcome and cause",
                Family::default(),
            ),
            link_failures: registered(
                r,
                "link_failures",
                "Failed attempts to issue a link, by cause",
                Family::default(),
            ),
            decision_seconds: registered(
                r,
                "request_decision_seconds",
                "Time from a request to the last decision that it needed",
                Family::new_with_constructor(until_a_decision),
            ),
            link_seconds: registered(
                r,
                "request_link_seconds",
                "Time from a request until its first link can be read",
                Family::new_with_constructor(until_a_link),
            ),
            end_lag_seconds: registered(
                r,
                "end_lag_seconds",
                "Time from the planned end of a loan to its actual end",
                Histogram::new(PAST_AN_END),
            ),
        };
        lending.start_at_zero();
        lending
    }

    /// A counter that first appears with the value 1 never rises for Prometheus.
    fn start_at_zero(&self) {
        for outcome in RequestLabel::ALL {
            let outcome = *outcome;
            drop(self.requests.get_or_create(&Outcome { outcome }));
        }
        let with = |outcome| move |reason| LinkEnd { outcome, reason };
        let issued = with(LinkLabel::Issued)(CauseLabel::None);
        let refused = CauseLabel::OF_REFUSALS.map(with(LinkLabel::Refused));
        let lost = CauseLabel::OF_LOSSES.map(with(LinkLabel::Lost));
        for end in [issued].into_iter().chain(refused).chain(lost) {
            drop(self.links.get_or_create(&end));
        }
        for reason in CauseLabel::of_failures() {
            drop(self.link_failures.get_or_create(&Cause { reason }));
        }
        for decision in DecisionLabel::ALL {
            let decision = *decision;
            drop(self.decision_seconds.get_or_create(&Decision { decision }));
        }
        for approval in ["required", "none"] {
            drop(self.link_seconds.get_or_create(&Approval { approval }));
        }
    }
}

impl Lending {
    /// Counts a request that has got its outcome.
    pub fn request(&self, outcome: RequestLabel) {
        let requests = &self.requests;
        requests.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a link that was issued, refused or lost.
    pub fn link(&self, outcome: LinkLabel, reason: CauseLabel) {
        let links = &self.links;
        links.get_or_create(&LinkEnd { outcome, reason }).inc();
    }

    /// Counts a failed attempt to issue a link.
    pub fn link_failure(&self, reason: CauseLabel) {
        let failures = &self.link_failures;
        failures.get_or_create(&Cause { reason }).inc();
    }

    /// Records the seconds from a request to the last decision that it needed.
    pub fn request_decided(&self, decision: DecisionLabel, seconds: f64) {
        let decided = &self.decision_seconds;
        decided
            .get_or_create(&Decision { decision })
            .observe(seconds);
    }

    /// Records the seconds from a request until its first link can be read.
    pub fn request_lent(&self, needed_approval: bool, seconds: f64) {
        let approval = match needed_approval {
            true => "required",
            false => "none",
        };
        let lent = &self.link_seconds;
        lent.get_or_create(&Approval { approval }).observe(seconds);
    }

    /// Records the seconds from the planned end of a loan to its actual end.
    pub fn ended_late_by(&self, seconds: f64) {
        self.end_lag_seconds.observe(seconds);
    }
}
