//! Passwords come from a prompt or from standard input, never from an argument, which others on the machine can see.

use std::io::BufRead;

use anyhow::{Context, ensure};
use zeroize::Zeroizing;

use crate::join::MIN_PASSWORD_CHARACTERS;

/// The password of an account that exists.
pub fn known(from_stdin: bool) -> anyhow::Result<Zeroizing<String>> {
    if from_stdin { first_line() } else { ask("Password: ") }
}

/// A new password: long enough, and asked for twice.
pub fn chosen(from_stdin: bool) -> anyhow::Result<Zeroizing<String>> {
    let password = if from_stdin { first_line()? } else { ask("Choose a password: ")? };
    ensure!(
        password.chars().count() >= MIN_PASSWORD_CHARACTERS,
        "the password is too short: take at least {MIN_PASSWORD_CHARACTERS} characters"
    );
    if !from_stdin {
        ensure!(*ask("The same again: ")? == *password, "the two passwords differ: try again");
    }
    Ok(password)
}

fn first_line() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line).context(
        "cannot read the password from standard input: give it as one line of UTF-8 text (visavis ... --password-stdin \
         < FILE)",
    )?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .context("cannot ask for the password: run this in a terminal, or use --password-stdin")
}
