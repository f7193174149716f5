//! The cost of the host of 1Password's core, measured through the port itself: no Kubernetes, one
//! account, one call at a time.
//!
//! The time of a call has three parts. Two are measured: the time that the service took, as it
//! reports it, and the processor time of the thread that runs the core and its host. The rest is
//! the way to the service and back, and waiting for a processor.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use keyloan::onepassword::core::{CompiledCore, CoreAccounts, CoreOptions, artifact};
use keyloan::onepassword::{
    Accounts, AllowedOrigins, Answer, Item, ItemId, OnePassword, Origin, Recipients,
    ServiceAccountToken, ShareLifetime, SharePolicy, ShareTerms, VaultId,
};
use keyloan_simulator::Control;

use crate::latency::{Latencies, milliseconds};
use crate::own_thread::processor_time;
use crate::report::{Figure, Section, Unit};
use crate::service::Requests;
use crate::stopwatch::{self, Progress};

/// The number of measurements of each call.
const CALLS: usize = 50;
/// The number of clients that are built and signed in.
const SIGN_INS: usize = 10;
/// An invalid id: the core reports this without a request to 1Password.
const NO_ID: &str = "not an id";

/// The measurements of one kind of call.
#[derive(Default)]
struct Measured {
    total: Vec<Duration>,
    service: Vec<Duration>,
    processor: Vec<Duration>,
    requests: u64,
}

/// Measures the port, with a token of the service that `control` controls.
pub fn measure(
    compiled: &Path,
    token: String,
    control: Control,
    progress: &Progress,
) -> Result<Section> {
    progress.say("the core's host, through the port itself");
    let core = artifact::load(compiled)?;
    // A thread and a runtime of its own, so that the thread's processor time is that of the calls.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(Host::new(&core, &token, control)?.measure())
    });
    thread
        .join()
        .map_err(|_| anyhow!("measuring the core's host panicked"))?
}

struct Host {
    accounts: CoreAccounts,
    token: String,
    allowed: AllowedOrigins,
    control: Control,
}

impl Host {
    fn new(core: &CompiledCore, token: &str, control: Control) -> Result<Self> {
        let allowed = AllowedOrigins::with([Origin::parse(control.origin())?]);
        let accounts = CoreAccounts::new(
            core,
            CoreOptions::default(),
            Arc::new(stopwatch::wall_clock),
        )?;
        Ok(Self {
            accounts,
            token: token.to_owned(),
            allowed,
            control,
        })
    }

    async fn measure(self) -> Result<Section> {
        let terms = ShareTerms {
            recipients: Recipients::new(["alice@example.com"])?,
            lifetime: ShareLifetime::OneHour,
            view_once: false,
        };
        let (mut signing_in, mut warm_list, mut nothing) =
            <(Measured, Measured, Measured)>::default();
        let (mut get, mut policy, mut share) = <(Measured, Measured, Measured)>::default();
        for _ in 0..SIGN_INS {
            let account = self.connect()?;
            self.call(&mut signing_in, account.vaults()).await?;
            self.call(&mut warm_list, account.vaults()).await?;
        }

        let account = self.connect()?;
        let (vault, item) = self.find(account.as_ref()).await?;
        let warm_up: (Item, SharePolicy) = (
            account.item(&vault, &item).await.result?,
            account.share_policy(&vault, &item).await.result?,
        );
        account.share(&warm_up.0, &warm_up.1, &terms).await.result?;
        for _ in 0..CALLS {
            self.refused(&mut nothing, account.as_ref(), &vault).await?;
            let fetched = self.call(&mut get, account.item(&vault, &item)).await?;
            let allowed = self
                .call(&mut policy, account.share_policy(&vault, &item))
                .await?;
            account.share(&fetched, &allowed, &terms).await.result?;
            // The core has already checked the recipients, so this is one request.
            self.call(&mut share, account.share(&fetched, &allowed, &terms))
                .await?;
        }

        let how = format!(
            "One account, one call at a time, {CALLS} of each ({SIGN_INS} sign-ins), medians. The \
             host's overhead is that of calls that the core refuses without a request, including \
             its own parsing. For the other calls: total = the service's own time + processor time \
             of the core and its host + the rest (the way to the service and back, waiting for a \
             processor)."
        );
        let mut section = Section::new("1Password's core and its host", how);
        let ms = Unit::Milliseconds;
        let sign_in = signing_in
            .median_total()
            .saturating_sub(warm_list.median_total());
        section.add(
            Figure::new(
                "sign-in: the first call of a fresh client, minus the same call later",
                milliseconds(sign_in),
                ms,
            )
            .made_of(signing_in.parts()),
        );
        section.add(
            Figure::new(
                "host overhead of a call: one without a request",
                milliseconds(nothing.median_total()),
                ms,
            )
            .made_of(nothing.parts()),
        );
        for (what, measured) in [
            ("get an item", get),
            ("read the share policy", policy),
            ("create a share", share),
            ("list the vaults", warm_list),
        ] {
            section.add(
                Figure::new(what, milliseconds(measured.median_total()), ms)
                    .made_of(measured.parts()),
            );
        }
        Ok(section)
    }

    fn connect(&self) -> Result<Arc<dyn OnePassword>> {
        let token = ServiceAccountToken::parse(self.token.as_bytes(), &self.allowed)?;
        Ok(self.accounts.connect(token))
    }

    async fn find(&self, account: &dyn OnePassword) -> Result<(VaultId, ItemId)> {
        let vaults = account.vaults().await.result?;
        let vault = vaults
            .first()
            .context("the account has no vault")?
            .id
            .clone();
        let items = account.items(&vault).await.result?;
        let item = items.first().context("the vault has no item")?.id.clone();
        Ok((vault, item))
    }

    /// Measures one call.
    async fn call<T>(
        &self,
        measured: &mut Measured,
        call: impl Future<Output = Answer<T>>,
    ) -> Result<T> {
        Ok(self.observe(measured, call).await?.result?)
    }

    /// Measures a call that the core itself refuses.
    async fn refused(
        &self,
        measured: &mut Measured,
        account: &dyn OnePassword,
        vault: &VaultId,
    ) -> Result<()> {
        let answer = self
            .observe(measured, account.item(vault, &ItemId(NO_ID.into())))
            .await?;
        match answer.result {
            Err(_) if answer.exchanges.is_empty() => Ok(()),
            _ => Err(anyhow!(
                "the core asked 1Password for an item whose id is {NO_ID:?}"
            )),
        }
    }

    async fn observe<T>(
        &self,
        measured: &mut Measured,
        call: impl Future<Output = Answer<T>>,
    ) -> Result<Answer<T>> {
        self.control.reset_requests().await?;
        let processor = processor_time()?;
        let began = stopwatch::now();
        let answer = call.await;
        let total = began.elapsed();
        let processor = processor_time()?.saturating_sub(processor);
        let log = self.control.requests().await?;
        let service = log.entries.iter().filter_map(|entry| entry.micros).sum();
        measured.total.push(total);
        measured.processor.push(processor);
        measured.service.push(Duration::from_micros(service));
        measured.requests = Requests::of(&log).all();
        Ok(answer)
    }
}

impl Measured {
    fn median_total(&self) -> Duration {
        self.total.iter().copied().collect::<Latencies>().median()
    }

    /// The parts of the time, on one line.
    fn parts(&self) -> String {
        let median = |parts: &[Duration]| {
            milliseconds(parts.iter().copied().collect::<Latencies>().median())
        };
        let rests: Vec<Duration> = (0..self.total.len())
            .map(|call| {
                self.total[call]
                    .saturating_sub(self.service[call])
                    .saturating_sub(self.processor[call])
            })
            .collect();
        format!(
            "{:.2} ms = service {:.2}, core and host {:.2}, rest {:.2}; requests: {}",
            median(&self.total),
            median(&self.service),
            median(&self.processor),
            median(&rests),
            self.requests
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_total() {
        let ms = Duration::from_millis;
        let measured = Measured {
            total: vec![ms(10)],
            service: vec![ms(3)],
            processor: vec![ms(6)],
            requests: 1,
        };
        assert_eq!(
            measured.parts(),
            "10.00 ms = service 3.00, core and host 6.00, rest 1.00; requests: 1"
        );
    }
}
