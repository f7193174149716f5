//! The program on a terminal, where it asks for what is missing.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::pty::{OpenptyResult, Winsize, openpty};

use super::program::PROGRAM;
use crate::world::{TEAM, World};

/// How wide the terminal is.
pub const WIDTH: u16 = 72;

/// Runs the program on a terminal of its own, and answers each question when it is asked. Returns the exit code and what was
/// to be seen.
pub async fn typed(
    world: &World,
    who: &str,
    line: &[&str],
    answers: &'static [(&'static str, &'static str)],
) -> (i32, String) {
    let mut command = Command::new(PROGRAM);
    command
        .arg("--kubeconfig")
        .arg(world.cluster.kubeconfig(who))
        .args(["-n", TEAM])
        .args(line)
        .env_remove("KUBECONFIG")
        .env_remove("KEYLOAN_INTEGRATION")
        .env("TERM", "xterm");
    let talk = tokio::task::spawn_blocking(move || talk(command, answers));
    let talked = tokio::time::timeout(Duration::from_secs(90), talk).await;
    talked.expect("it hangs").expect("no panic")
}

fn talk(mut command: Command, answers: &[(&str, &str)]) -> (i32, String) {
    let size = Winsize {
        ws_row: 24,
        ws_col: WIDTH,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let OpenptyResult { master, slave } = openpty(&size, None).expect("a terminal");
    let end = || Stdio::from(slave.try_clone().expect("a terminal"));
    let mut running = command
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .expect("the program");
    // The terminal ends when the program, which holds the last end of it, does.
    drop((command, slave));
    let mut terminal = File::from(master);
    let (mut screen, mut answered, mut answers) = (String::new(), 0, answers.iter());
    let mut next = answers.next();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = terminal.read(&mut buffer) {
        screen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if let Some((question, answer)) = next
            && screen[answered..].contains(question)
        {
            answered = screen.len();
            write!(terminal, "{answer}\r").expect("typed");
            next = answers.next();
        }
    }
    assert!(next.is_none(), "{next:?} was not asked: {screen}");
    let code = running.wait().expect("it ended").code();
    (code.expect("it ended by itself"), screen)
}
