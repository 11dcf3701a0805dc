//! Every seed of every fuzz target, replayed: what a fuzzer once found, or was given to start from, holds for ever.
//!
//! The bodies are those of `tests/fuzz`, included here so that no fuzzer is needed to run them.

use std::{fs, path::Path};

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Hands every seed of `target` to its body, in order of their names, so that a failure is the same each time.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = entries.map(|entry| entry.expect("readable folder").path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} holds no seeds", folder.display());
    for seed in seeds {
        // Shown only if the test fails: the last one is the culprit.
        println!("{}", seed.display());
        body(&fs::read(&seed).expect("readable seed"));
    }
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), targets::$target);
        })*

        /// A folder that no test replays, or a target that cargo-fuzz does not know, would go unnoticed.
        #[test]
        fn every_target_has_a_test_and_seeds() {
            let names = |folder: &str| {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
                let entries = fs::read_dir(folder).expect("folder of the fuzz crate");
                let stem = |path: std::path::PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
                let mut names: Vec<_> = entries.filter_map(|entry| stem(entry.expect("entry").path())).collect();
                names.sort();
                names
            };
            let mut tested = vec![$(stringify!($target).to_owned()),*];
            tested.sort();
            assert_eq!(names("seeds"), tested);
            assert_eq!(names("fuzz_targets"), tested);
        }
    };
}

replayed! {
    client_calls clock_sync control_client control_relay datagram feedback h264 link opus_packet playout reassembler
    relay_calls relay_forward wav y4m
}
