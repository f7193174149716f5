//! A control plane leaves nothing behind when its owner is killed or panics.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keyloan_cluster::{ControlPlane, Options};

/// Set in the process that plays the owner; its value says how that process ends.
const ROLE: &str = "KEYLOAN_TEST_OWNER";

/// Not a test of its own: the other tests start this as a process.
#[tokio::test]
async fn owner() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    writeln!(std::io::stdout(), "\nfolder={}", cluster.dir().display()).unwrap();
    match role.as_str() {
        "panic" => panic!("as a test that fails"),
        _ => tokio::time::sleep(Duration::from_secs(600)).await,
    }
}

fn start_owner(role: &str) -> (Child, PathBuf) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::owner", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let folder = lines.find_map(|line| Some(line.unwrap().strip_prefix("folder=")?.into()));
    (owner, folder.expect("the owner starts a control plane"))
}

/// The processes whose command lines name the folder.
fn processes_in(folder: &Path) -> Vec<String> {
    // Machines without /proc have the program ps.
    let all: Vec<String> = match fs::read_dir("/proc") {
        Ok(processes) => processes
            .filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok())
            .map(|words| String::from_utf8_lossy(&words).replace('\0', " "))
            .collect(),
        Err(_) => {
            let all = Command::new("ps").args(["-A", "-o", "args"]).output();
            let all = String::from_utf8(all.unwrap().stdout).unwrap();
            all.lines().map(str::to_owned).collect()
        }
    };
    let is_in = |line: &String| line.contains(folder.to_str().unwrap());
    all.into_iter().filter(is_in).collect()
}

fn assert_nothing_is_left_of(folder: &Path) {
    let started = Instant::now();
    while folder.exists() || !processes_in(folder).is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "still there: {:?}, folder: {}",
            processes_in(folder),
            folder.exists()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_killed_owner_leaves_no_process_and_no_folder() {
    let (mut owner, folder) = start_owner("killed");
    for program in ["etcd", "kube-apiserver", "kube-controller-manager"] {
        let running = processes_in(&folder);
        assert!(
            running.iter().any(|line| line.contains(program)),
            "{program}: {running:?}"
        );
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_nothing_is_left_of(&folder);
}

#[test]
fn a_panic_leaves_no_process_and_no_folder() {
    let (mut owner, folder) = start_owner("panic");
    assert!(!owner.wait().unwrap().success());
    assert_nothing_is_left_of(&folder);
}
