//! Completion as shells do it: by the script for bash, and by what kubectl itself runs.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use super::program::PROGRAM;

/// What bash does when somebody types `kubectl-keyloan` and these words, and then the tabulator.
const TYPED: &str = r#"
source <(kubectl-keyloan completion bash)
COMP_WORDS=(kubectl-keyloan "$@")
COMP_CWORD=$#
"$(complete -p kubectl-keyloan | sed 's/.*-F \([^ ]*\) .*/\1/')" kubectl-keyloan "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

pub fn bash_completes_the_program() {
    for (typed, offered) in [
        (&["re"][..], &["request", "revoke", "report"][..]),
        (&["list", "--for"], &["--for-me"]),
        (&["export", "flow", "--format", "h"], &["helm"]),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", TYPED, "bash"]).args(typed);
        let folder = Path::new(PROGRAM).parent().expect("a folder");
        assert_eq!(lines(with_path(&mut bash, folder)), offered, "{typed:?}");
    }
}

/// A script of which half is missing would be read by the next shell.
pub fn an_answer_that_is_not_written_is_a_failure() {
    for line in [&["completion", "bash"][..], &["__complete", "re"]] {
        // A disk that is always full.
        let full = File::options().write(true).open("/dev/full");
        let run = Command::new(PROGRAM)
            .args(line)
            .stdout(full.expect("Linux"))
            .output()
            .expect("the program");
        let told = String::from_utf8(run.stderr).expect("text");
        assert_eq!(run.status.code(), Some(1), "{line:?}: {told}");
        assert!(
            told.contains("cannot write to standard output: No space left"),
            "{line:?}: {told}"
        );
    }
}

pub fn kubectl_completes_its_plugin(kubectl: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let script = Command::new(PROGRAM)
        .args(["completion", "kubectl"])
        .output();
    let script = script.expect("the program");
    assert!(script.status.success(), "{script:?}");
    let file = folder.path().join("kubectl_complete-keyloan");
    std::fs::write(&file, script.stdout).expect("written");
    std::fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("set");
    std::os::unix::fs::symlink(PROGRAM, folder.path().join("kubectl-keyloan")).expect("linked");
    for (typed, offered) in [
        (
            &["keyloan", "re"][..],
            &["request", "revoke", "report", ":4"][..],
        ),
        (
            &["keyloan", "list", "-n", "team-a", "--for"],
            &["--for-me", ":4"],
        ),
        (
            &["keyloan", "export", ""],
            &["integration", "flow", "notifier", ":4"],
        ),
        (&["keyloan", "list", "--kubeconfig", ""], &[":0"]),
    ] {
        let mut asking = Command::new(kubectl);
        // By this command, in which kubectl is all alike, each of its shell scripts asks.
        asking.arg("__complete").args(typed);
        let answer = lines(with_path(&mut asking, folder.path()));
        let words = answer
            .iter()
            .map(|line| line.split('\t').next().expect("one"));
        assert_eq!(words.collect::<Vec<_>>(), offered, "{typed:?}");
    }
}

fn with_path(command: &mut Command, folder: &Path) -> Output {
    let path = format!("{}:/usr/bin:/bin", folder.display());
    command.env("PATH", path).output().expect("it runs")
}

fn lines(output: Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}
