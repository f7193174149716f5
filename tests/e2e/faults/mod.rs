//! Every fault of 1Password at every request, and whatever else can happen to a loan: what the status says, how it recovers, and how
//! many links nobody has. The tables in docs/reliability.md are made of it.

mod discovering;
mod loans;
mod places;
mod sharing;
mod table;

use keyloan_simulator::FaultKind;

/// Every answer of 1Password that is none, with its name in the table.
fn faults() -> Vec<(&'static str, FaultKind)> {
    let delay = std::time::Duration::from_millis(500);
    vec![
        ("400", FaultKind::status(400)),
        ("401", FaultKind::status(401)),
        ("403", FaultKind::status(403)),
        ("404", FaultKind::status(404)),
        ("409", FaultKind::status(409)),
        ("429, `Retry-After`", FaultKind::rate_limited(Some(120))),
        ("429", FaultKind::rate_limited(None)),
        ("500", FaultKind::status(500)),
        ("503", FaultKind::status(503)),
        ("502, done", FaultKind::StatusAfterEffect { status: 502 }),
        ("late", FaultKind::delay(delay)),
        ("no response", FaultKind::Hang),
        ("no response, done", FaultKind::HangAfterEffect),
        ("reset", FaultKind::ResetBeforeEffect),
        ("reset, done", FaultKind::ResetAfterEffect),
        ("no JSON, done", FaultKind::Garbage),
        ("too long, done", FaultKind::Oversized { bytes: 4 << 20 }),
        ("redirect", FaultKind::Redirect { location: None }),
        ("session ended", FaultKind::ExpiredSession),
    ]
}
