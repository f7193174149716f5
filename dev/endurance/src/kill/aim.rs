//! Aims at the moments that matter: while 1Password makes a link, and right after that.

use std::time::{Duration, Instant};

use anyhow::Result;
use keyloan_simulator::{Control, Fault, FaultKind};

/// The route that makes a share.
const SHARE: &str = "POST /api/v4/itemshare";
/// How many shares are made late before the next aim.
const SLOWED: usize = 3;
/// The longest time to wait for a share. A leader that has just started signs in first; if it were
/// killed before, nobody would ever lend anything.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often to look for one.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// Waits for the next moment: in two of three cases shortly after 1Password was asked for a share,
/// whose answer is late; otherwise any moment.
pub async fn take(control: &Control, chance: &mut fastrand::Rng) -> Result<()> {
    control.clear_faults().await?;
    control.reset_requests().await?;
    for _ in 0..SLOWED {
        let by = Duration::from_millis(chance.u64(0..900));
        let kind = match chance.bool() {
            true => FaultKind::delay_after_effect(by),
            false => FaultKind::delay(by),
        };
        control.fault(Fault::once(SHARE, kind)).await?;
    }
    if chance.u8(0..3) == 0 {
        tokio::time::sleep(Duration::from_millis(chance.u64(0..2000))).await;
        return Ok(());
    }
    let began = Instant::now();
    while control.requests().await?.count(SHARE) == 0 && began.elapsed() < PATIENCE {
        tokio::time::sleep(LOOKS_EVERY).await;
    }
    tokio::time::sleep(Duration::from_millis(chance.u64(0..1000))).await;
    Ok(())
}
