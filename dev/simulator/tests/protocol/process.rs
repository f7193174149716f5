//! The simulator as a separate process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use keyloan_simulator::Control;

use crate::core::Core;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/account.example.yaml");

fn simulator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyloan-simulator"));
    command.args(arguments);
    command
}

fn fails(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = simulator(arguments).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn it_prints_its_origin_and_writes_the_tokens() {
    let tokens = tempfile::tempdir().unwrap();
    let directory = tokens.path().to_str().unwrap();
    let mut command = simulator(&["--account", EXAMPLE, "--tokens-dir", directory]);
    let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let origin = line.trim_end().strip_prefix("ORIGIN=").unwrap();
    assert!(origin.starts_with("http://127.0.0.1:"));

    let path = tokens.path().join("lender.token");
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        token,
        Control::new(origin).unwrap().token("lender").await.unwrap()
    );
    Core::sign_in(&token).await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn it_says_what_is_wrong() {
    assert!(fails(&["--account", "nowhere.yaml"]).contains("nowhere.yaml"));
    let elsewhere = fails(&["--account", EXAMPLE, "--listen", "0.0.0.0:0"]);
    assert!(
        elsewhere.contains("0.0.0.0:0 is not on the loopback"),
        "{elsewhere}"
    );
    assert!(fails(&[]).contains("--account"));
    let dead = fails(&["open", "http://127.0.0.1:1/s#AAAA", "alice@example.com"]);
    assert!(dead.contains("the simulator does not answer"), "{dead}");
}
