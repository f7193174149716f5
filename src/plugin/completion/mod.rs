//! `kubectl keyloan completion`: the scripts with which shells, and kubectl itself, complete the
//! command's arguments.

mod candidates;

use std::ffi::OsString;

use clap::{Command, ValueEnum};
use clap_complete::Shell;

use super::failure::{Exit, Failure};
use super::output::put;

/// The hidden command with which kubectl asks for completions: the one that kubectl's own libraries
/// give to plugins.
const ASKED: &str = "__complete";

/// The program `kubectl_complete-keyloan`, which kubectl runs to complete `kubectl keyloan`.
const FOR_KUBECTL: &str = r#"#!/bin/sh
# Completes `kubectl keyloan`. kubectl runs this script with the words typed so far.
# Save it as kubectl_complete-keyloan in a folder of your PATH and make it executable.
exec kubectl-keyloan __complete "$@""#;

/// Print the completion script for a shell.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell, or kubectl.
    #[arg(value_name = "SHELL")]
    completer: Completer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Completer {
    /// bash, for `kubectl-keyloan`.
    Bash,
    /// Elvish, for `kubectl-keyloan`.
    Elvish,
    /// fish, for `kubectl-keyloan`.
    Fish,
    /// PowerShell, for `kubectl-keyloan`.
    #[value(name = "powershell")]
    PowerShell,
    /// zsh, for `kubectl-keyloan`.
    Zsh,
    /// kubectl, for `kubectl keyloan` in every shell that completes kubectl. Save the script as
    /// kubectl_complete-keyloan.
    Kubectl,
}

/// Prints the completion script of this program.
pub fn run(arguments: &Arguments, program: Command) -> Result<Exit, Failure> {
    let shell = match arguments.completer {
        Completer::Bash => Shell::Bash,
        Completer::Elvish => Shell::Elvish,
        Completer::Fish => Shell::Fish,
        Completer::PowerShell => Shell::PowerShell,
        Completer::Zsh => Shell::Zsh,
        Completer::Kubectl => {
            put(FOR_KUBECTL)?;
            return Ok(Exit::Done);
        }
    };
    let mut script = Vec::new();
    // A shell completes a program by its file name, which has a hyphen.
    let mut program = program.bin_name("kubectl-keyloan");
    clap_complete::generate(shell, &mut program, "kubectl-keyloan", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| Failure::new(format!("cannot write the script: {error}")))?;
    // clap_complete 4.6 gives a program with a hyphen two names in its bash script, which then
    // finds no subcommand.
    let script = script.replace("kubectl__subcmd__keyloan", "kubectl__keyloan");
    put(script.trim_end())?;
    Ok(Exit::Done)
}

/// Answers kubectl's request for completions. `None` if this run is not one.
pub fn answered(
    mut line: impl Iterator<Item = OsString>,
    program: impl FnOnce() -> Command,
) -> Option<Result<Exit, Failure>> {
    if line.nth(1)? != ASKED {
        return None;
    }
    let words: Vec<_> = line
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let printed = put(candidates::complete(program(), &words));
    Some(printed.map(|()| Exit::Done))
}
