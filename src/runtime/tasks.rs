//! Supervision: if a task ends unexpectedly or panics, the whole operator ends with a clear error.

use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// How long a shutdown waits for tasks to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// How long a shutdown waits for work that must not be interrupted, by default.
const FINISHES_WITHIN: Duration = Duration::from_secs(60);

/// Why the operator cannot continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// A task that should never end has ended.
    #[error("the task \"{0}\" ended unexpectedly: this is a bug in Keyloan, please report it")]
    Ended(String),
    /// A task failed.
    #[error("the task \"{name}\" failed: {error}")]
    Failed {
        /// The task's name.
        name: String,
        /// The error.
        error: String,
    },
    /// A task panicked; the log has the location.
    #[error("the task \"{0}\" panicked: this is a bug in Keyloan, please report it with the log")]
    Panicked(String),
}

/// Starts supervised tasks; clones belong to the same supervisor.
#[derive(Clone, Debug)]
pub struct Tasks {
    failures: mpsc::UnboundedSender<TaskError>,
    stop: watch::Receiver<Stage>,
    /// Each running task holds a sender: the supervisor's receiver ends with the last one.
    running: mpsc::WeakSender<()>,
    /// The same for work that must not be interrupted.
    finishing: mpsc::WeakSender<()>,
}

/// The progress of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Runs,
    /// No new work begins that must not be interrupted.
    Finishes,
    Stops,
}

/// Stops the tasks that its [`Tasks`] started.
#[derive(Debug)]
pub struct Supervisor {
    tasks: Tasks,
    failures: mpsc::UnboundedReceiver<TaskError>,
    stop: watch::Sender<Stage>,
    running: mpsc::Sender<()>,
    at_rest: mpsc::Receiver<()>,
    finishing: mpsc::Sender<()>,
    finished: mpsc::Receiver<()>,
    finishes_within: Duration,
    finishes_after_failure_within: Duration,
}

impl Supervisor {
    /// Starts without tasks.
    pub fn new() -> Self {
        let (failures, failed) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(Stage::Runs);
        let (running, at_rest) = mpsc::channel(1);
        let (finishing, finished) = mpsc::channel(1);
        let tasks = Tasks {
            failures,
            stop: stopped,
            running: running.downgrade(),
            finishing: finishing.downgrade(),
        };
        Self {
            tasks,
            failures: failed,
            stop,
            running,
            at_rest,
            finishing,
            finished,
            finishes_within: FINISHES_WITHIN,
            finishes_after_failure_within: FINISHES_WITHIN,
        }
    }

    /// Sets how long a shutdown waits for work that must not be interrupted.
    pub fn finishing_within(mut self, time: Duration) -> Self {
        self.finishes_within = time;
        self
    }

    /// Sets how long a shutdown after a failure waits: nobody has asked the operator to hurry then.
    pub fn finishing_after_failure_within(mut self, time: Duration) -> Self {
        self.finishes_after_failure_within = time;
        self
    }

    /// The handle for starting tasks.
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Runs the tasks until `shutdown` completes or one of them fails. Then waits for work that
    /// must not be interrupted, stops all other tasks and waits until they have stopped.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), TaskError> {
        let Self {
            tasks,
            mut failures,
            stop,
            running,
            mut at_rest,
            finishing,
            mut finished,
            finishes_within,
            finishes_after_failure_within,
        } = self;
        drop(tasks);
        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            failure = failures.recv() => match failure {
                Some(failure) => Err(failure),
                // No task remains that could fail, and nobody can start another one.
                None => Ok(()),
            },
        };
        stop.send_replace(Stage::Finishes);
        drop(finishing);
        let within = match outcome {
            Ok(()) => finishes_within,
            Err(_) => finishes_after_failure_within,
        };
        if !ended(&mut finished, within).await {
            tracing::warn!("some work did not finish in time; abandoning it");
        }
        stop.send_replace(Stage::Stops);
        drop(running);
        if !ended(&mut at_rest, SHUTDOWN_GRACE).await {
            tracing::warn!("some tasks did not stop in time; abandoning them");
        }
        outcome
    }
}

/// Waits until nobody holds a sender any longer; returns whether that happened in time.
async fn ended(senders: &mut mpsc::Receiver<()>, within: Duration) -> bool {
    tokio::time::timeout(within, senders.recv()).await.is_ok()
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// Starts a task that should run until the operator stops. Returning is a failure.
    pub fn keep<E: Display>(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let name = name.into();
        let ended = name.clone();
        self.spawn(name, async move {
            Some(match task.await {
                Ok(()) => TaskError::Ended(ended),
                Err(error) => TaskError::Failed {
                    name: ended,
                    error: error.to_string(),
                },
            })
        });
    }

    /// Starts a task that ends by itself and may be aborted. Only a panic is a failure.
    pub fn run(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        self.spawn(name.into(), async move {
            task.await;
            None
        })
    }

    /// Runs work that must not be interrupted: it continues when its caller is dropped, and a
    /// shutdown waits for it for a while. Returns `None` if the operator was stopping and the work
    /// did not begin, did not finish in time, or panicked.
    pub async fn finish<T: Send + 'static>(
        &self,
        name: impl Into<String>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let runs = *self.stop.borrow() == Stage::Runs;
        let finishing = self.finishing.upgrade().filter(|_| runs)?;
        let (failures, name, mut stop) = (self.failures.clone(), name.into(), self.stop.clone());
        let work = async move {
            let outcome = tokio::select! {
                outcome = AssertUnwindSafe(work).catch_unwind() => outcome.map(Some),
                _ = stop.wait_for(|stage| *stage == Stage::Stops) => Ok(None),
            };
            drop(finishing);
            outcome.unwrap_or_else(|_| {
                failures.send(TaskError::Panicked(name)).ok();
                None
            })
        };
        tokio::spawn(work).await.ok().flatten()
    }

    /// Waits until the operator begins to stop.
    pub async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // The supervisor holds the sender until the end.
        stop.wait_for(|stage| *stage > Stage::Runs).await.ok();
    }

    fn spawn(
        &self,
        name: String,
        task: impl Future<Output = Option<TaskError>> + Send + 'static,
    ) -> AbortHandle {
        let Self {
            failures,
            mut stop,
            running,
            ..
        } = self.clone();
        // If there is no sender left, the operator is shutting down, and no new task begins.
        let running = running.upgrade();
        if running.is_none() {
            return tokio::spawn(async {}).abort_handle();
        }
        let supervised = async move {
            let outcome = tokio::select! {
                outcome = AssertUnwindSafe(task).catch_unwind() => outcome,
                _ = stop.wait_for(|stage| *stage == Stage::Stops) => Ok(None),
            };
            let failure = outcome.unwrap_or(Some(TaskError::Panicked(name)));
            if let Some(failure) = failure {
                // The receiver is gone once the operator is shutting down.
                failures.send(failure).ok();
            }
            drop(running);
        };
        tokio::spawn(supervised).abort_handle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::future::pending;

    #[tokio::test]
    async fn a_task_that_returns_ends_the_operator() {
        let supervisor = Supervisor::new();
        supervisor
            .tasks()
            .keep("idle", pending::<Result<(), Infallible>>());
        supervisor
            .tasks()
            .keep("watch", async { Ok::<(), Infallible>(()) });
        assert_eq!(
            supervisor.run(pending()).await,
            Err(TaskError::Ended("watch".into()))
        );
    }

    #[tokio::test]
    async fn a_panic_ends_the_operator() {
        let supervisor = Supervisor::new();
        supervisor.tasks().run("job", async { panic!("planted") });
        assert_eq!(
            supervisor.run(pending()).await,
            Err(TaskError::Panicked("job".into()))
        );
    }

    #[tokio::test]
    async fn a_job_may_end_and_be_aborted() {
        let supervisor = Supervisor::new();
        supervisor
            .tasks()
            .keep("idle", pending::<Result<(), Infallible>>());
        supervisor.tasks().run("short", async {});
        supervisor.tasks().run("long", pending()).abort();
        tokio::task::yield_now().await;
        assert_eq!(supervisor.run(async {}).await, Ok(()));
    }

    #[tokio::test]
    async fn what_is_not_to_be_left_half_done_is_finished_before_the_others_stop() {
        let supervisor = Supervisor::new();
        let (tasks, (go_on, wait)) = (supervisor.tasks(), tokio::sync::oneshot::channel::<()>());
        let (watched, mut watch) = mpsc::channel::<()>(1);
        tasks.run("watch", async move {
            let _watched = watched;
            pending::<()>().await;
        });
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let work = async move {
            begun.send(()).expect("somebody listens");
            wait.await.is_ok()
        };
        let passes = tasks.clone();
        let pass = tokio::spawn(async move { passes.finish("link", work).await });
        has_begun.await.expect("it has begun");
        // The caller is gone.
        pass.abort();
        let stopping = tokio::spawn(supervisor.run(async {}));
        tasks.stopping().await;
        assert_eq!(tasks.finish("another", async {}).await, None, "too late");
        assert!(watch.try_recv().is_err() && !stopping.is_finished());
        go_on.send(()).expect("it still waits");
        assert_eq!(stopping.await.expect("no panic"), Ok(()));
        assert_eq!(watch.recv().await, None, "the others have stopped");
    }

    #[tokio::test]
    async fn work_that_does_not_end_is_abandoned() {
        let supervisor = Supervisor::new().finishing_within(Duration::from_millis(1));
        let tasks = supervisor.tasks();
        tokio::spawn(async move { tasks.finish("link", pending::<()>()).await });
        tokio::task::yield_now().await;
        assert_eq!(supervisor.run(async {}).await, Ok(()));
    }

    #[tokio::test]
    async fn after_a_failure_it_has_a_time_of_its_own() {
        let (planned, failed) = (Duration::from_millis(1), Duration::from_secs(60));
        let supervisor = Supervisor::new().finishing_within(planned);
        let supervisor = supervisor.finishing_after_failure_within(failed);
        let (tasks, (go_on, wait)) = (supervisor.tasks(), tokio::sync::oneshot::channel::<()>());
        let link = tasks.clone();
        let link = tokio::spawn(async move { link.finish("link", wait).await });
        tokio::task::yield_now().await;
        tasks.keep("lease", async { Err::<(), _>("lost") });
        let ending = tokio::spawn(supervisor.run(pending()));
        tasks.stopping().await;
        // Longer than a planned stop would wait.
        tokio::time::sleep(planned * 20).await;
        go_on.send(()).expect("it still waits");
        assert_eq!(link.await.expect("no panic"), Some(Ok(())));
        assert!(ending.await.expect("no panic").is_err());
    }

    #[tokio::test]
    async fn a_panic_in_it_ends_the_operator() {
        let supervisor = Supervisor::new();
        let tasks = supervisor.tasks();
        tokio::spawn(async move { tasks.finish("link", async { panic!("planted") }).await });
        let panicked = Err(TaskError::Panicked("link".into()));
        assert_eq!(supervisor.run(pending()).await, panicked);
    }

    #[tokio::test]
    async fn stopping_drops_what_still_runs() {
        let supervisor = Supervisor::new();
        let (sender, mut receiver) = mpsc::channel::<()>(1);
        supervisor.tasks().run("job", async move {
            let _sender = sender;
            pending::<()>().await;
        });
        assert_eq!(supervisor.run(async {}).await, Ok(()));
        assert_eq!(receiver.recv().await, None, "the job's state is gone");
    }
}
