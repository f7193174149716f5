//! Lists that go on: what people read when something changes.

use std::time::Duration;

use kube::ResourceExt as _;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::program::{run, start};
use crate::world::{Ask, TEAM, World, needs_approval};

pub async fn a_watch_tells_what_changes(world: &World) {
    let mut watch = Watch::start(world, "alice", "--everyone").await;
    let asked = world.ask("mallory", Ask::item("db password")).await;
    let name = asked.name_any();
    let told = watch
        .line(|line| line.contains(&name) && line.contains("Active"))
        .await;
    assert!(told.contains("mallory@example.com"), "{told}");
    watch.end().await;
}

pub async fn who_decides_sees_what_comes_and_what_waits_no_more(world: &World) {
    let either = needs_approval(
        "AnyOf",
        &[
            ("security", "security", 1),
            ("platform", "platform-owners", 1),
        ],
    );
    world.flow("either", either).await;
    let mut watch = Watch::start(world, "bob", "--for-me").await;
    for (name, decided, words) in [
        (
            "others-decide",
            (
                "carol",
                ["deny", "others-decide", "--reason=use the replica"],
            ),
            "It is over: ",
        ),
        ("i-decide", ("bob", ["approve", "i-decide", "--yes"]), ""),
    ] {
        let named = format!("--name={name}");
        let line = ["request", "Infra/db password", "--integration=keyloan/prod"];
        let line = [&line[..], &[&named, "--flow=either", "--no-wait"]].concat();
        run(world, "alice", &line).await.done();
        let row = watch.line(|line| line.contains(name)).await;
        assert!(row.contains("alice@example.com"), "{row}");
        assert!(row.contains("Pending"), "{row}");
        let (who, line) = decided;
        run(world, who, &line).await.done();
        let told = watch
            .line(|line| line.contains(name) && line.contains("no longer"))
            .await;
        let says = format!("{name} no longer waits for your decision. {words}");
        assert!(told.starts_with(&says), "{told}");
    }
    watch.end().await;
}

/// A list that somebody watches.
struct Watch {
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    async fn start(world: &World, who: &str, whose: &str) -> Self {
        let line = ["list", "--watch", whose, "-n", TEAM];
        let mut program = start(world, who, &line);
        let lines = BufReader::new(program.stdout.take().expect("piped")).lines();
        let mut watch = Self { program, lines };
        let heading = watch.line(|_| true).await;
        assert!(heading.starts_with("NAME "), "{heading}");
        watch
    }

    /// The next line of this kind.
    async fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let told = async {
            loop {
                let line = self.lines.next_line().await;
                let line = line.expect("read").expect("it goes on");
                if wanted(&line) {
                    return line;
                }
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(60), told).await;
        told.expect("a line for each change")
    }

    async fn end(mut self) {
        self.program.kill().await.expect("it ran until now");
    }
}
