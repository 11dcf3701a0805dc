//! Body and invariants: `visavis_fuzz::wav`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::wav(data));
