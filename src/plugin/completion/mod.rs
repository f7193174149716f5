//! `kubectl keyloan completion`: the scripts by which shells, and kubectl itself, complete the command's arguments.

mod candidates;

use std::ffi::OsString;

use clap::{Command, ValueEnum};
use clap_complete::Shell;

use super::failure::{Exit, Failure};
use super::output::put;

/// By this word, which is in no help, kubectl's completion asks: as it asks plugins that are made with its own libraries.
const ASKED: &str = "__complete";

/// What kubectl runs to complete `kubectl keyloan`: a program of the name `kubectl_complete-keyloan`.
const FOR_KUBECTL: &str = r#"#!/bin/sh
# Completes `kubectl keyloan`: kubectl runs it with the words typed so far.
# Save it as kubectl_complete-keyloan in a folder of your PATH, executable.
exec kubectl-keyloan __complete "$@""#;

/// Print the script that completes this command in a shell.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Who completes.
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
    /// kubectl, for `kubectl keyloan`, in each shell that completes kubectl: to be saved as kubectl_complete-keyloan.
    Kubectl,
}

/// Prints the script that completes this program.
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
    // Shells complete words that are programs: with a hyphen.
    let mut program = program.bin_name("kubectl-keyloan");
    clap_complete::generate(shell, &mut program, "kubectl-keyloan", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| Failure::new(format!("cannot write the script: {error}")))?;
    // For bash, clap_complete 4.6 calls a program with a hyphen by two names, and then finds none of its commands.
    let script = script.replace("kubectl__subcmd__keyloan", "kubectl__keyloan");
    put(script.trim_end())?;
    Ok(Exit::Done)
}

/// Answers kubectl's completion, if this run is for that.
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
