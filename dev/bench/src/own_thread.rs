//! A thread with a runtime of its own: its processor time is that of the tasks on it.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread ends when this is dropped.
pub struct OwnThread {
    runtime: Handle,
    account: PathBuf,
    _ends: oneshot::Sender<()>,
}

impl OwnThread {
    /// Starts the thread.
    pub fn start() -> Result<Self> {
        let (ready, begun) = mpsc::channel();
        let (ends, until) = oneshot::channel::<()>();
        thread::spawn(move || {
            let begun = Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start a runtime")
                .and_then(|runtime| Ok((runtime, account()?)));
            match begun {
                Ok((runtime, account)) => {
                    ready.send(Ok((runtime.handle().clone(), account))).ok();
                    // It ends on a message, and also when the other end is closed.
                    runtime.block_on(until).ok();
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
        let (runtime, account) = begun.recv().context("the thread has not started")??;
        Ok(Self {
            runtime,
            account,
            _ends: ends,
        })
    }

    /// Runs a future on the thread.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.runtime.spawn(work).await.context("it panicked")?
    }

    /// The processor time of the thread.
    pub fn processor_time(&self) -> Result<Duration> {
        let text = fs::read_to_string(&self.account)
            .with_context(|| format!("cannot read {}", self.account.display()))?;
        had_a_processor(&text)
    }
}

/// The processor time of the current thread.
pub fn processor_time() -> Result<Duration> {
    // The kernel updates its accounting when the thread releases the processor.
    thread::sleep(Duration::from_micros(1));
    let account = account()?;
    let text = fs::read_to_string(&account)
        .with_context(|| format!("cannot read {}", account.display()))?;
    had_a_processor(&text)
}

/// The file in which the kernel reports the processor time of the current thread
/// (proc_pid_schedstat).
fn account() -> Result<PathBuf> {
    let thread = fs::read_link("/proc/thread-self")
        .context("cannot read /proc: processor time can only be measured on Linux")?;
    Ok(PathBuf::from("/proc").join(thread).join("schedstat"))
}

fn had_a_processor(account: &str) -> Result<Duration> {
    let nanoseconds = account.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work_until(enough: impl Fn() -> bool) {
        while !enough() {
            std::hint::black_box((0..1000).sum::<u64>());
        }
    }

    #[test]
    fn a_thread_that_works_uses_processor_time() {
        let before = processor_time().unwrap();
        work_until(|| processor_time().unwrap() > before);
    }

    #[tokio::test]
    async fn what_runs_on_the_thread_is_counted_from_outside() {
        let thread = OwnThread::start().unwrap();
        let before = thread.processor_time().unwrap();
        let worked = async {
            work_until(|| processor_time().is_ok_and(|now| now > Duration::from_millis(2)));
            Ok(7)
        };
        assert_eq!(thread.run(worked).await.unwrap(), 7);
        assert!(thread.processor_time().unwrap() > before);
    }
}
