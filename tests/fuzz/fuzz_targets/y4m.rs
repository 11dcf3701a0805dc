//! Body and invariants: `visavis_fuzz::y4m`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::y4m(data));
