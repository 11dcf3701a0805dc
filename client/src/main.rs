//! The `visavis` program: see `visavis --help`.

fn main() -> std::process::ExitCode {
    visavis::cli::main()
}
