//! How much is measured.

use std::time::Duration;

/// Counts and times.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Whether this is less than the documented figures use.
    pub quick: bool,
    /// Loans one at a time, and again many at a time.
    pub loans: usize,
    /// How many loans run at the same time.
    pub at_a_time: usize,
    /// Integrations.
    pub integrations: usize,
    /// Active loans while memory and silence are measured.
    pub active: usize,
    /// Renewals.
    pub renewals: usize,
    /// Rotations of one token.
    pub rotations: usize,
    /// Loans that end in each way.
    pub ended: usize,
    /// How long no request may arrive.
    pub quiet: Duration,
}

impl Scale {
    /// The scale of the documented figures.
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

/// The load of a run with `--load`.
#[derive(Clone, Copy, Debug)]
pub struct LoadScale {
    /// Whether this is less than the documented figures use.
    pub quick: bool,
    /// Integrations. One would not suffice for the burst, because each service account may share
    /// 1,000 times an hour.
    pub integrations: usize,
    /// Simultaneous requests, each from a different person; these loans later end at the same time.
    pub burst: usize,
    /// Requests that wait for approval.
    pub waiting: usize,
    /// The people who make them.
    pub people: usize,
    /// How many of the first and of the last of them are compared.
    pub compared: usize,
    /// Records of loans that have ended.
    pub history: usize,
    /// Loans in each round with or without notifiers.
    pub told: usize,
    /// Records of loans that have ended, about which questions are asked.
    pub ledger: usize,
    /// How often the leader is stopped while it lends.
    pub stops: usize,
    /// Loans in progress when the API server stops responding, and for how long it does not
    /// respond.
    pub away_loans: usize,
    pub away: Duration,
    /// Loans that run at the same time.
    pub running: usize,
    /// How many of these are revoked one by one.
    pub revoked: usize,
    /// Loans with further links, to see whether memory grows with each, and the number of rounds.
    pub growth_loans: usize,
    pub growth_rounds: u32,
}

impl LoadScale {
    /// The scale of the documented figures.
    pub const REAL: Self = Self {
        quick: false,
        integrations: 2,
        burst: 1000,
        waiting: 10_000,
        people: 1000,
        compared: 500,
        history: 100_000,
        told: 50,
        ledger: 10_000,
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
        told: 10,
        ledger: 300,
        stops: 5,
        away_loans: 10,
        away: Duration::from_secs(15),
        running: 300,
        revoked: 10,
        growth_loans: 30,
        growth_rounds: 2,
    };
}
