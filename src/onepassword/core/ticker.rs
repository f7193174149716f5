//! The clock that interrupts the core: it ticks while a call runs, and sleeps otherwise.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

/// How long the core computes before other tasks get their turn, and the unit in which its CPU time
/// is counted.
pub(super) const SLICE: Duration = Duration::from_millis(10);

/// A thread that advances the engine's epoch. It is a thread and not a task: a computing core keeps
/// a runtime's only worker busy, and then no task could interrupt it.
pub(super) struct Ticker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    stopped: bool,
}

/// The ticker ticks as long as one of these exists.
pub(super) struct Running(Arc<Shared>);

impl Ticker {
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        thread::Builder::new()
            .name("core-ticker".to_owned())
            .spawn(move || of_thread.tick(&engine))?;
        Ok(Self { shared })
    }

    /// Ticks until the returned value is dropped.
    pub(super) fn run(&self) -> Running {
        self.shared.lock().running += 1;
        self.shared.changed.notify_one();
        Running(self.shared.clone())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, engine: &Engine) {
        loop {
            let idle = |state: &mut State| state.running == 0 && !state.stopped;
            let state = self
                .changed
                .wait_while(self.lock(), idle)
                .unwrap_or_else(PoisonError::into_inner);
            if state.stopped {
                return;
            }
            drop(state);
            thread::sleep(SLICE);
            engine.increment_epoch();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}
