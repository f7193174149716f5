//! Faults of 1Password, at random.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use keyloan_simulator::{Control, Fault, FaultKind};

use crate::clock::Clock;

/// How long 1Password is without a fault, in milliseconds.
const PAUSES: std::ops::Range<u64> = 2000..7000;
/// The routes of a link, and all of them.
const ROUTES: [&str; 4] = [
    "POST /api/v4/itemshare",
    "POST /api/v4/itemshare",
    "GET /api/v1/vault/{vault}/item/{item}",
    "*",
];

/// The times, by the operator's clock, at which something was done to the operator or 1Password.
pub type Troubles = Arc<Mutex<Vec<Timestamp>>>;

/// Notes a trouble.
pub fn note(troubles: &Troubles, at: Timestamp) {
    let mut troubles = troubles.lock().unwrap_or_else(PoisonError::into_inner);
    troubles.push(at);
}

/// Orders fault after fault.
pub async fn happen(
    control: Control,
    mut chance: fastrand::Rng,
    clock: Clock,
    troubles: Troubles,
) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(chance.u64(PAUSES))).await;
        let late = Duration::from_millis(chance.u64(0..900));
        let kind = match chance.u8(0..11) {
            0 => FaultKind::status(500),
            1 => FaultKind::status(503),
            2 => FaultKind::rate_limited(Some(20)),
            3 => FaultKind::delay(late),
            4 => FaultKind::delay_after_effect(late),
            5 => FaultKind::Hang,
            6 => FaultKind::HangAfterEffect,
            7 => FaultKind::ResetBeforeEffect,
            8 => FaultKind::ResetAfterEffect,
            9 => FaultKind::Garbage,
            _ => FaultKind::ExpiredSession,
        };
        let route = ROUTES[chance.usize(0..ROUTES.len())];
        control.fault(Fault::once(route, kind)).await?;
        note(&troubles, clock.now());
    }
}
