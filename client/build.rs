//! Tells the program which commit it was built from, for its reports.

use std::{path::Path, process::Command};

fn main() {
    let said = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    let commit = said.ok().filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    println!("cargo::rustc-env=VISAVIS_GIT={}", if commit.is_empty() { "unknown" } else { &commit });
    println!("cargo::rerun-if-changed=build.rs");
    // A commit rewrites this file; outside a checkout there is nothing to watch.
    if Path::new("../.git/logs/HEAD").exists() {
        println!("cargo::rerun-if-changed=../.git/logs/HEAD");
    }
}
