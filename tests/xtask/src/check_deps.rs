//! `cargo xtask check-deps`: dependencies point one way, and what must not touch the world does not.
//!
//! The crates' rules are the table [`CRATES`]; the sources' rules are [`SOURCES`] and the one about unsafe code. The
//! resolved tree is asked, for every target, so that neither a feature nor another platform slips something in.
//! Clippy's `disallowed_methods` sees through renamed imports where the text search here does not; this one cannot be
//! allowed away in the source.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::process;

pub const COMMAND: crate::Command = crate::Command {
    name: "check-deps",
    takes: "",
    about: "Proves the layering: protocol and codec know no sibling, the relay links no codec, the\n\
            protocol touches no socket, clock or thread, unsafe code stays in one module.",
    run,
};

/// What a crate may depend on.
struct Crate {
    name: &'static str,
    /// The crates of this workspace that it may use, also in its tests and through others.
    may_use: &'static [&'static str],
    /// Starts of names that must not be in what it links. What only its tests use is not linked.
    never_links: &'static [&'static str],
    why: &'static str,
}

const CODECS: &[&str] =
    &["visavis-codec", "openh264", "opus", "audiopus", "ffmpeg", "libvpx", "vpx", "x264", "rav1e", "dav1d"];

const ANYTHING_LIVE: &[&str] = &["tokio", "quinn", "mio", "socket2", "async-std", "async-io", "smol", "polling"];

const CRATES: &[Crate] = &[
    Crate {
        name: "visavis-proto",
        may_use: &[],
        never_links: ANYTHING_LIVE,
        why: "the protocol is sans-IO, which is what lets a call be tested in virtual time",
    },
    Crate {
        name: "visavis-codec",
        may_use: &[],
        never_links: ANYTHING_LIVE,
        why: "pictures and sound know nothing of a network",
    },
    Crate {
        name: "visavis-relay",
        may_use: &["visavis-proto"],
        never_links: CODECS,
        why: "the relay is media-blind: it cannot look at what it cannot decode",
    },
    Crate {
        name: "visavis",
        may_use: &["visavis-proto", "visavis-codec"],
        never_links: &[],
        why: "a client does not carry a relay",
    },
    Crate {
        name: "visavis-tests",
        may_use: &["visavis-proto", "visavis-codec", "visavis-relay", "visavis"],
        never_links: &[],
        why: "tests may use every crate that ships",
    },
    Crate {
        name: "v4l2-pretend",
        may_use: &[],
        never_links: ANYTHING_LIVE,
        why: "it is loaded into programs in the place of a driver, and knows nothing of them",
    },
    Crate {
        name: "vulkan-pretend",
        may_use: &[],
        never_links: ANYTHING_LIVE,
        why: "it is loaded into programs between them and a driver, and knows nothing of either",
    },
    Crate {
        name: "visavis-bench",
        may_use: &["visavis-proto", "visavis-codec", "visavis-relay", "visavis", "visavis-tests"],
        never_links: &[],
        why: "the bench may use everything",
    },
    Crate {
        name: "xtask",
        may_use: &[],
        // Every name starts with the empty one.
        never_links: &[""],
        why: "it must be there a second after cargo is",
    },
];

/// Words that must not be in a folder's code.
struct Source {
    folder: &'static str,
    words: &'static [&'static str],
    instead: &'static str,
}

const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", ".elapsed()", "thread::sleep"];

const SOURCES: &[Source] = &[
    Source { folder: "proto/src", words: CLOCKS, instead: "take the time as an argument" },
    Source {
        folder: "proto/src",
        words: &["thread::spawn", "thread::Builder", "UdpSocket", "TcpStream", "TcpListener", "async fn"],
        instead: "leave sockets, threads and waiting to the drivers in client and server",
    },
    Source { folder: "server/src/core", words: CLOCKS, instead: "take the time as an argument" },
    Source {
        folder: "server/src/core",
        words: &["UdpSocket", "TcpStream", "TcpListener", "async fn"],
        instead: "leave sockets and waiting to server/src/net",
    },
];

/// Source folders without unsafe code, but for the module that talks to the C++ codec and the one that holds memory shared
/// with a helper process. (This program is not among them: the compiler forbids it here, and the words below would find
/// themselves.)
const SAFE: &[&str] =
    &["proto/src", "codec/src", "server/src", "client/src", "bench/src", "tests/src", "tests/tests"];
const UNSAFE: &[&str] = &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"];
const UNSAFE_HOMES: &[&str] = &["codec/src/h264/ffi", "client/src/worker/memory.rs", "client/src/worker/ring.rs"];

fn run(args: &[OsString]) -> Result<ExitCode, String> {
    process::no_arguments("check-deps", args)?;
    let mut faults = Vec::new();
    for name in members()? {
        match CRATES.iter().find(|rules| rules.name == name) {
            Some(rules) => check_crate(rules, &mut faults)?,
            None => {
                faults.push(format!("{name}: there is no rule for this crate. Add one to CRATES in {}.", file!()))
            }
        }
    }
    let root = process::workspace_root();
    check_sources(&root, &mut faults)?;
    if faults.is_empty() {
        process::say("check-deps: dependencies point one way, clocks and unsafe code are where they belong");
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        eprintln!("  {fault}");
    }
    Err(format!("check-deps: {} of the project's rules broken, listed above.", faults.len()))
}

/// The names of the workspace's crates.
fn members() -> Result<BTreeSet<String>, String> {
    tree(&["--workspace", "--depth", "0"])
}

fn check_crate(rules: &Crate, faults: &mut Vec<String>) -> Result<(), String> {
    let used = tree(&["--package", rules.name, "--edges", "normal,build,dev"])?;
    let linked = tree(&["--package", rules.name, "--edges", "normal,build"])?;
    faults.extend(broken(rules, &used, &linked));
    Ok(())
}

/// The names in what `cargo tree` prints for these arguments.
fn tree(args: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut cargo = process::cargo();
    cargo.args(["tree", "--locked", "--prefix", "none", "--format", "{p}", "--target", "all"]).args(args);
    process::output(&mut cargo).map(|text| names(&text))
}

/// The first word of every line that has one: `quinn v0.11.9 (*)` is `quinn`.
fn names(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What is wrong with a crate that uses and links these.
fn broken(rules: &Crate, used: &BTreeSet<String>, linked: &BTreeSet<String>) -> Vec<String> {
    let Crate { name, may_use, never_links, why } = rules;
    let is_sibling = |other: &&String| CRATES.iter().any(|rules| rules.name == **other);
    let siblings = used
        .iter()
        .filter(|other| other != name)
        .filter(is_sibling)
        .filter(|other| !may_use.contains(&other.as_str()))
        .map(|other| format!("{name} uses {other}, but {why}."));
    let strangers = linked
        .iter()
        .filter(|other| other != name)
        .filter(|other| never_links.iter().any(|start| other.starts_with(start)))
        .map(|other| format!("{name} links {other}, but {why}. `cargo tree -p {name} -i {other}` says by whom."));
    siblings.chain(strangers).collect()
}

fn check_sources(root: &Path, faults: &mut Vec<String>) -> Result<(), String> {
    for rule in SOURCES {
        for file in rust_files(&root.join(rule.folder))? {
            for (line, word) in find_words(&read(&file)?, rule.words) {
                let Source { folder, instead, .. } = rule;
                faults.push(format!("{}:{line}: `{word}` has no place in {folder}: {instead}.", shown(root, &file)));
            }
        }
    }
    for folder in SAFE {
        for file in rust_files(&root.join(folder))? {
            let file_name = shown(root, &file);
            if UNSAFE_HOMES.iter().any(|home| file_name.starts_with(home)) {
                continue;
            }
            for (line, word) in find_words(&read(&file)?, UNSAFE) {
                faults
                    .push(format!("{file_name}:{line}: `{word}`: unsafe code stays in {}.", UNSAFE_HOMES.join(", ")));
            }
        }
    }
    let proto = "proto/src/lib.rs";
    if !read(&root.join(proto))?.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
        faults.push(format!("{proto}: `#![forbid(unsafe_code)]` is gone; it reads bytes from the network."));
    }
    Ok(())
}

/// Line numbers (from 1) and words, for every word that stands in the code of a source text, comments aside.
fn find_words<'w>(source: &str, words: &[&'w str]) -> Vec<(usize, &'w str)> {
    let mut found = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        found.extend(words.iter().filter(|word| code.contains(**word)).map(|word| (index + 1, *word)));
    }
    found
}

/// Every Rust file in a folder and its subfolders, in order; none if there is no such folder.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("Cannot read {}: {error}.", path.display())
}

fn shown(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY_TREE: &str = "visavis-relay v0.1.0 (/home/me/visavis/server)\n\
        quinn v0.11.9\n\
        serde_derive v1.0.2 (proc-macro) (*)\n\
        \n\
        visavis-proto v0.1.0 (/home/me/visavis/proto)\n";

    fn rules(name: &str) -> &'static Crate {
        CRATES.iter().find(|rules| rules.name == name).expect("every crate asked for here is in the table")
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_are_read_from_a_tree() {
        assert_eq!(names(RELAY_TREE), set(&["visavis-relay", "quinn", "serde_derive", "visavis-proto"]));
    }

    #[test]
    fn the_relay_may_use_the_protocol() {
        let tree = names(RELAY_TREE);
        assert!(broken(rules("visavis-relay"), &tree, &tree).is_empty());
    }

    #[test]
    fn a_codec_in_the_relay_is_found_by_whatever_way_it_came() {
        let relay = rules("visavis-relay");
        for codec in ["openh264-sys2", "opus", "opusic-sys"] {
            let linked = set(&["visavis-relay", "visavis-proto", codec]);
            let faults = broken(relay, &linked, &linked);
            assert!(matches!(&faults[..], [fault] if fault.contains(codec) && fault.contains("media-blind")));
        }
    }

    #[test]
    fn a_sibling_that_only_tests_use_still_points_the_wrong_way() {
        let faults = broken(rules("visavis-proto"), &set(&["visavis-proto", "visavis"]), &set(&["visavis-proto"]));
        assert!(matches!(&faults[..], [fault] if fault.starts_with("visavis-proto uses visavis,")));
    }

    #[test]
    fn the_protocol_links_no_runtime_but_its_tests_may() {
        let with_tokio = set(&["visavis-proto", "tokio"]);
        assert_eq!(broken(rules("visavis-proto"), &with_tokio, &with_tokio).len(), 1);
        assert!(broken(rules("visavis-proto"), &with_tokio, &set(&["visavis-proto"])).is_empty());
    }

    #[test]
    fn this_program_links_nothing() {
        assert!(broken(rules("xtask"), &set(&["xtask"]), &set(&["xtask"])).is_empty());
        let with_libc = set(&["xtask", "libc"]);
        assert_eq!(broken(rules("xtask"), &with_libc, &with_libc).len(), 1);
    }

    #[test]
    fn a_clock_is_found_in_code_and_may_be_spoken_of_in_a_comment() {
        let source = "// never Instant::now here\nlet now = std::time::Instant::now(); // why\nlet later = now;\n";
        assert_eq!(find_words(source, CLOCKS), [(2, "Instant::now")]);
    }

    #[test]
    fn every_crate_that_may_be_used_has_rules_of_its_own() {
        for other in CRATES.iter().flat_map(|rules| rules.may_use) {
            assert!(CRATES.iter().any(|rules| rules.name == *other), "{other}");
        }
    }
}
