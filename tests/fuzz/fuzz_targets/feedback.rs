//! Body and invariants: `visavis_fuzz::feedback`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::feedback(data));
