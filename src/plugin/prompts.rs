//! Questions to a person. Where there is no terminal nobody is asked, and nothing hangs.

use std::io::IsTerminal as _;

use dialoguer::{Confirm, Input};

use super::failure::Failure;

/// Whether somebody is there to answer.
pub fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// What somebody types, which is not empty; where nobody is there, a failure that says what to pass.
pub fn ask(question: &str, otherwise: &str) -> Result<String, Failure> {
    if !somebody_is_there() {
        return Err(nobody(otherwise));
    }
    let answer: String = Input::new()
        .with_prompt(question)
        .interact_text()
        .map_err(interrupted)?;
    Ok(answer.trim().to_owned())
}

/// What somebody types, or nothing.
pub fn ask_if_anybody(question: &str) -> Result<Option<String>, Failure> {
    if !somebody_is_there() {
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

/// Yes or no; no, unless somebody says yes.
pub fn confirm(question: &str, otherwise: &str) -> Result<bool, Failure> {
    if !somebody_is_there() {
        return Err(nobody(otherwise));
    }
    Confirm::new()
        .with_prompt(question)
        .default(false)
        // One key too many must not decide.
        .wait_for_newline(true)
        .interact()
        .map_err(interrupted)
}

fn nobody(otherwise: &str) -> Failure {
    Failure::usage(format!(
        "something is missing, and there is no terminal to ask: {otherwise}"
    ))
}

fn interrupted(error: dialoguer::Error) -> Failure {
    Failure::new(format!("nothing was done: {error}"))
}
