//! The amount of everything that is measured.

use std::time::Duration;

/// Numbers of objects, and durations.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Whether these amounts are smaller than those of the documented figures.
    pub quick: bool,
    /// The number of loans one at a time, and of those many at a time.
    pub loans: usize,
    /// The number of loans that are made at the same time.
    pub at_a_time: usize,
    /// The number of integrations.
    pub integrations: usize,
    /// The number of active loans while memory is measured and the service's log is watched.
    pub active: usize,
    /// The number of renewals.
    pub renewals: usize,
    /// The number of rotations of one token.
    pub rotations: usize,
    /// The number of loans that end in each of the ways.
    pub ended: usize,
    /// How long the operator must send no request.
    pub quiet: Duration,
}

impl Scale {
    /// The amounts of the documented figures.
    pub const REAL: Self = Self {
        quick: false,
        loans: 500,
        at_a_time: 16,
        integrations: 20,
        active: 1000,
        renewals: 50,
        rotations: 10,
        ended: 50,
        quiet: Duration::from_secs(5 * 60),
    };

    /// For work on the benchmark itself, or a first impression.
    pub const QUICK: Self = Self {
        quick: true,
        loans: 40,
        at_a_time: 8,
        integrations: 4,
        active: 80,
        renewals: 5,
        rotations: 2,
        ended: 5,
        quiet: Duration::from_secs(20),
    };
}

/// The amounts of a run with `--load`.
#[derive(Clone, Copy, Debug)]
pub struct LoadScale {
    /// Whether these amounts are smaller than those of the documented figures.
    pub quick: bool,
    /// The number of integrations. One service account may share 1,000 times an hour, so one would
    /// not suffice for the burst.
    pub integrations: usize,
    /// The number of requests at once, each from another person; later, of loans that end at once.
    pub burst: usize,
    /// The number of requests that wait for approval.
    pub waiting: usize,
    /// The number of people who finally make them.
    pub people: usize,
    /// The number of requests at the beginning and at the end that are compared.
    pub compared: usize,
    /// The number of records of ended loans.
    pub history: usize,
    /// The number of times that the leader is stopped while it lends.
    pub stops: usize,
    /// The number of loans in progress when the API server stops answering, and how long it does
    /// not answer.
    pub away_loans: usize,
    pub away: Duration,
    /// The number of loans that run at the same time.
    pub running: usize,
    /// The number of these that are revoked one by one.
    pub revoked: usize,
    /// The number of loans that get further links, which shows whether memory grows with each link,
    /// and the number of rounds.
    pub growth_loans: usize,
    pub growth_rounds: u32,
}

impl LoadScale {
    /// The amounts of the documented figures.
    pub const REAL: Self = Self {
        quick: false,
        integrations: 2,
        burst: 1000,
        waiting: 10_000,
        people: 1000,
        compared: 500,
        history: 100_000,
        stops: 200,
        away_loans: 50,
        away: Duration::from_secs(60),
        running: 10_000,
        revoked: 100,
        growth_loans: 300,
        growth_rounds: 10,
    };

    /// For work on the benchmark itself, or a first impression.
    pub const QUICK: Self = Self {
        quick: true,
        integrations: 2,
        burst: 100,
        waiting: 500,
        people: 50,
        compared: 100,
        history: 500,
        stops: 5,
        away_loans: 10,
        away: Duration::from_secs(15),
        running: 300,
        revoked: 10,
        growth_loans: 30,
        growth_rounds: 2,
    };
}
