//! Body and invariants: `visavis_fuzz::link`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::link(data));
