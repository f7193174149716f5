//! What an operator that ran before has left: it has looked at the admission policies, and what is asked from now on is younger than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use keyloan::cluster::{Cluster, connect};
use keyloan::controllers::boundary::Boundary;
use keyloan::manifests::Releases;
use keyloan::operator::Settings;
use keyloan::runtime::Supervisor;
use keyloan::telemetry::Metrics;

/// Looks as an operator with these settings does, until it is known how the policies stand; says when they last changed.
pub async fn look(settings: &Settings) -> Result<Timestamp, String> {
    let metrics = Arc::new(Metrics::new());
    let client = connect(&settings.kube).await.expect("a client");
    let install = settings.install.clone();
    let links_namespace = install.links_namespace.clone();
    let cluster = Arc::new(Cluster::new(
        client,
        install,
        settings.clock.clone(),
        metrics.clone(),
    ));
    let policies = settings.policies.clone();
    let policies = policies.unwrap_or_else(|| Releases::known().expect("the policies"));
    let clock = settings.clock.clone();
    let boundary = Boundary::new(cluster, None, links_namespace, &policies, clock, metrics);
    let boundary = boundary.expect("a boundary");
    let supervisor = Supervisor::new();
    boundary.start(&supervisor.tasks());
    let outcome = loop {
        match check(&boundary).await {
            Ok(()) => break Ok(boundary.seen().changed_at.expect("a time")),
            // The API server describes kinds a moment after it serves them, one after the other.
            Err(why) if why.contains("not installed") => {}
            Err(why) => break Err(why),
        }
    };
    supervisor.run(async {}).await.expect("no failure");
    outcome
}

/// Has it looked at, and waits for the answer.
pub async fn check(boundary: &Boundary) -> Result<(), String> {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let name = ASKED.fetch_add(1, Ordering::Relaxed).to_string();
    let (answer, answered) = tokio::sync::oneshot::channel();
    boundary.check(&name, move |how| drop(answer.send(how)));
    answered.await.expect("it is looked at until it is known")
}
