//! A rotated token: the time until it is used.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::findings::Findings;
use super::setting::Setting;
use crate::latency::{Latencies, milliseconds};
use crate::report::{Figure, Unit};
use crate::stopwatch;

/// Aim, an upper limit in milliseconds.
const REACTION: f64 = 1000.0;
/// The first request of a sign-in.
const SIGN_IN: &str = "POST /api/v3/auth/start";
/// How long to wait for a sign-in.
const USED_WITHIN: Duration = Duration::from_secs(60);

impl Setting {
    /// Rotates the token of the first integration several times, and measures the time until the
    /// first request with each new one.
    pub async fn rotate(&mut self, found: &mut Findings) -> Result<()> {
        let count = self.progress.count("rotated tokens", self.scale.rotations);
        let mut reactions = Vec::new();
        for _ in 0..self.scale.rotations {
            let token = self.ground.service.rotate_token(1).await?;
            self.ground.service.forget_requests().await?;
            let began = stopwatch::now();
            self.ground.stage.put_token(1, &token).await?;
            while self.ground.service.control.requests().await?.count(SIGN_IN) == 0 {
                let waited = began.elapsed();
                ensure!(waited < USED_WITHIN, "a rotated token is not used");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            reactions.push(began.elapsed());
            // The resulting discovery has to end before the next rotation.
            self.settle().await?;
            count.one();
        }
        let reactions = Latencies::from_iter(reactions);
        let median = milliseconds(reactions.median());
        found.latency.add(
            Figure::new(
                "a rotated token, from writing its Secret to signing in with it: the slowest",
                milliseconds(reactions.percentile(100)),
                Unit::Milliseconds,
            )
            .at_most(REACTION)
            .made_of(format!(
                "of {}; median {median:.1} ms",
                self.scale.rotations
            )),
        );
        Ok(())
    }
}
