//! `cargo xtask demo` as a person runs it: it ends well only if every step did.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use keyloan_cluster::signal;

/// A demo that runs, with what it has said.
struct Demo {
    process: Child,
    out: BufReader<ChildStdout>,
    said: String,
}

impl Demo {
    /// With the programs that were built along with this test: a test of the whole workspace builds all of them.
    fn start(arguments: &[&str]) -> Demo {
        let xtask = Path::new(env!("CARGO_BIN_EXE_keyloan-tasks"));
        let mut process = Command::new(xtask)
            .arg("demo")
            .arg("--programs")
            .arg(xtask.parent().unwrap())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        Demo {
            process,
            out,
            said: String::new(),
        }
    }

    /// Reads on until it says this.
    fn until(&mut self, words: &str) {
        while !self.said.contains(words) {
            let read = self.out.read_line(&mut self.said).unwrap();
            assert!(
                read > 0,
                "it ended without saying {words:?}:\n{}",
                self.said
            );
        }
    }

    /// The number of the process that the last line is about.
    fn pid(&self) -> u32 {
        let (_, pid) = self.said.rsplit_once("(process ").unwrap();
        let pid = pid.trim_end().strip_suffix(')').unwrap();
        pid.parse().unwrap()
    }

    /// Reads to its end: whether it ended well, and all that it has said.
    fn end(mut self) -> (bool, String) {
        self.out.read_to_string(&mut self.said).unwrap();
        let status = self.process.wait().unwrap();
        let mut errors = self.process.stderr.take().unwrap();
        errors.read_to_string(&mut self.said).unwrap();
        (status.success(), self.said)
    }
}

#[test]
fn an_item_is_lent_from_nothing_and_no_link_is_shown() {
    let (well, said) = Demo::start(&[]).end();
    assert!(well, "{said}");
    for words in [
        "password   correct-horse-battery-staple",
        "for 1 approval from group \"platform\" (any member of platform-owners), due 20",
        "mallory writes bob's name into it: refused (403)",
        "cannot patch resource \"accessdecisions\"",
        "mallory deletes alice's request: refused by Keyloan's policy (403)",
        "denied request: keyloan-identity: only the requester, or someone with the verb 'revoke' on the grant, can delete a grant",
        "this person is in none of the groups that approve the request",
        "mallory, given the link, cannot open it",
        "alice@example.com borrowed db password; Revoked by bob@example.com",
        "the record of the loan is kept",
        "the link that was handed out may open until 20",
    ] {
        assert!(said.contains(words), "{words:?} is missing:\n{said}");
    }
    assert!(!said.contains("✗") && !said.contains("/s#"), "{said}");
}

#[test]
fn with_1password_gone_in_the_middle_it_fails_and_names_the_step() {
    let mut demo = Demo::start(&[]);
    demo.until("(process ");
    let simulator = demo.pid();
    demo.until("the integration is ready");
    signal(simulator, "KILL").unwrap();
    let (well, said) = demo.end();
    assert!(!well, "{said}");
    let (_, failed) = said.split_once("✗ ").expect("a step that failed");
    let step = failed.lines().next().unwrap().split("  ").next().unwrap();
    assert!(
        said.contains(&format!("the demo failed at the step: {step}")),
        "{said}"
    );
    assert!(
        said.contains("the simulator has ended (signal: 9"),
        "{said}"
    );
    assert!(said.contains("the last words of the operator"), "{said}");
}

#[test]
fn kept_it_runs_until_interrupted_and_leaves_nothing_behind() {
    let mut demo = Demo::start(&["--keep"]);
    demo.until("The operator's log: ");
    let (_, log) = demo.said.rsplit_once("The operator's log: ").unwrap();
    let log = log.trim().to_owned();
    assert!(Path::new(&log).exists(), "{log}");
    signal(demo.process.id(), "INT").unwrap();
    let (well, said) = demo.end();
    assert!(well, "{said}");
    assert!(!Path::new(&log).exists(), "{log}");
}

#[test]
fn interrupted_before_its_end_it_has_not_ended_well() {
    let mut demo = Demo::start(&[]);
    demo.until("a Kubernetes API server runs");
    signal(demo.process.id(), "INT").unwrap();
    let (well, said) = demo.end();
    assert!(!well && said.contains("interrupted"), "{said}");
}
