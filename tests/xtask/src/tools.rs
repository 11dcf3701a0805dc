//! The cargo tools that are installed from source, from the registry that the dependencies come from.

use crate::process;

/// A subcommand that cargo does not have by itself.
pub struct Tool {
    /// What is typed after `cargo`; the package is `cargo-` and this.
    name: &'static str,
    /// The version installed where there is none. One that is there already is taken as it is.
    version: &'static str,
    /// Why it is needed, for the person who waits for it.
    why: &'static str,
    /// Further arguments of `cargo install`.
    options: &'static [&'static str],
}

pub const NEXTEST: Tool = Tool {
    name: "nextest",
    version: "0.9.151",
    why: "runs the tests in parallel and ends those that hang",
    // Without its self-updater, which is a third of what would be compiled.
    options: &["--no-default-features", "--features", "default-no-update"],
};

pub const DENY: Tool =
    Tool { name: "deny", version: "0.20.2", why: "checks licences and sources of the dependencies", options: &[] };

/// Both tools ask for whole-program optimisation, which is minutes of waiting for milliseconds of running.
const QUICK_BUILD: [&str; 6] = [
    "--config",
    "profile.release.lto=false",
    "--config",
    "profile.release.codegen-units=16",
    "--config",
    "profile.release.opt-level=1",
];

/// Installs a tool into cargo's own folder unless it is there.
pub fn ensure(tool: &Tool) -> Result<(), String> {
    let mut ask = process::cargo();
    ask.args([tool.name, "--version"]);
    if process::output(&mut ask).is_ok() {
        return Ok(());
    }
    let Tool { name, version, why, options } = tool;
    process::say(&format!("installing cargo-{name} {version} from source: it {why} (once; some minutes)"));
    let mut install = process::cargo();
    install.args(["install", "--locked", &format!("cargo-{name}@{version}")]).args(*options).args(QUICK_BUILD);
    process::run(&mut install, &format!("cargo-{name} could not be installed; cargo's message is above."))
}
