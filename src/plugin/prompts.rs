//! Questions on the terminal. Without a terminal, nothing is asked and nothing hangs.

use std::io::IsTerminal as _;

use dialoguer::{Confirm, Input};

use super::failure::Failure;

/// Whether there is a terminal to ask on.
fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a text that is not empty. Without a terminal, fails and says what to pass instead.
pub fn ask(question: &str, otherwise: &str) -> Result<String, Failure> {
    if !on_terminal() {
        return Err(no_terminal(otherwise));
    }
    let answer: String = Input::new()
        .with_prompt(question)
        .interact_text()
        .map_err(interrupted)?;
    Ok(answer.trim().to_owned())
}

/// Asks for a text that may be empty. Without a terminal, returns `None`.
pub fn ask_optional(question: &str) -> Result<Option<String>, Failure> {
    if !on_terminal() {
        return Ok(None);
    }
    let answer: String = Input::new()
        .with_prompt(question)
        .allow_empty(true)
        .interact_text()
        .map_err(interrupted)?;
    let answer = answer.trim();
    Ok((!answer.is_empty()).then(|| answer.to_owned()))
}

/// Asks a yes-or-no question; the default is no.
pub fn confirm(question: &str, otherwise: &str) -> Result<bool, Failure> {
    if !on_terminal() {
        return Err(no_terminal(otherwise));
    }
    Confirm::new()
        .with_prompt(question)
        .default(false)
        // A single key press must not decide.
        .wait_for_newline(true)
        .interact()
        .map_err(interrupted)
}

fn no_terminal(otherwise: &str) -> Failure {
    Failure::usage(format!(
        "input is missing, and there is no terminal to ask on: {otherwise}"
    ))
}

fn interrupted(error: dialoguer::Error) -> Failure {
    Failure::new(format!("nothing was done: {error}"))
}
