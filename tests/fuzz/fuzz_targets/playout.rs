//! Body and invariants: `visavis_fuzz::playout`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::playout(data));
