//! The leader ends, by a planned stop and by a crash: the time until the standby replica leads, and
//! lends.

use anyhow::Result;

use super::{Load, in_seconds};
use crate::loans;
use crate::report::Section;
use crate::stopwatch;

/// Aims, both upper limits in seconds.
const STOPPED: f64 = 2.0;
const KILLED: f64 = 13.0;

#[derive(Clone, Copy)]
enum End {
    Stopped,
    Killed,
}

impl Load {
    /// Ends the leader in both ways; alice makes a request at the same moment.
    pub(super) async fn change_the_lead(&mut self) -> Result<Section> {
        let mut section = Section::new(
            "Lead",
            "The leader is stopped (SIGTERM) or killed (SIGKILL), and alice asks at that moment; \
             until the standby replica holds the lease, and until a watch shows her link Secret, \
             which that replica makes. It has to sign in to 1Password first.",
        );
        for (end, signal, aim) in [
            (End::Stopped, "SIGTERM", STOPPED),
            (End::Killed, "SIGKILL", KILLED),
        ] {
            self.restart().await?;
            self.progress.say(&format!("the leader gets {signal}"));
            let mut replicas = self.take_replicas()?;
            let old = replicas.hand_over()?;
            let began = stopwatch::now();
            match end {
                End::Stopped => old.terminate()?,
                End::Killed => old.kill()?,
            }
            let before_asking = began.elapsed();
            let number = self.next_number();
            let integration = self.integration(number);
            let lend = loans::lend(&self.ground.stage, number, integration);
            let ended = async { old.until_ended().await.map(|()| began.elapsed()) };
            let leads = replicas.until_it_leads(&self.ground);
            let leads = async { leads.await.map(|()| began.elapsed()) };
            let (loan, ended, leads) = tokio::try_join!(lend, ended, leads)?;
            replicas.until_complete(&self.ground).await?;
            self.replicas = Some(replicas);
            section.add(
                in_seconds(
                    format!("from {signal} until the other replica leads"),
                    leads,
                )
                .at_most(aim)
                .made_of(format!(
                    "the old leader had ended after {:.2} s",
                    ended.as_secs_f64()
                )),
            );
            section.add(in_seconds(
                format!("from {signal} to the first link of the other replica"),
                before_asking + loan.to_link,
            ));
        }
        Ok(section)
    }
}
