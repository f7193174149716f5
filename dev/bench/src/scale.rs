//! How much is measured.

use std::time::Duration;

/// Numbers of things, and times.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Whether this is less than what the documented figures are measured at.
    pub quick: bool,
    /// Loans one at a time, and again many at a time.
    pub loans: usize,
    /// How many is many.
    pub at_a_time: usize,
    /// Integrations.
    pub integrations: usize,
    /// Loans that are active when memory is measured and silence is awaited.
    pub active: usize,
    /// Renewals.
    pub renewals: usize,
    /// Rotations of one token.
    pub rotations: usize,
    /// Loans that are ended in each of the ways.
    pub ended: usize,
    /// How long not a single request may come.
    pub quiet: Duration,
}

impl Scale {
    /// What the figures in the documentation are measured at.
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

/// How much load there is in a run with `--load`.
#[derive(Clone, Copy, Debug)]
pub struct LoadScale {
    /// Whether this is less than what the documented figures are measured at.
    pub quick: bool,
    /// Integrations. Each one's service account may share 1,000 times an hour, so that one would not do for the burst.
    pub integrations: usize,
    /// Requests that come at once, each of another person; the loans that end at once later.
    pub burst: usize,
    /// Requests that wait for approval.
    pub waiting: usize,
    /// The people who make them in the end.
    pub people: usize,
    /// So many of the first and of the last of them are compared.
    pub compared: usize,
    /// Records of loans that have ended.
    pub history: usize,
    /// Times that the leader is told to stop while it lends.
    pub stops: usize,
    /// Loans that are being issued when the API server stops to answer, and for how long it does.
    pub away_loans: usize,
    pub away: Duration,
    /// Loans that run at the same time.
    pub running: usize,
    /// Of these, so many are revoked one by one.
    pub revoked: usize,
    /// Loans that get further links, to see whether memory grows with each, and how many times all of them get one.
    pub growth_loans: usize,
    pub growth_rounds: u32,
}

impl LoadScale {
    /// What the figures in the documentation are measured at.
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
