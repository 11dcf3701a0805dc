//! Body and invariants: `visavis_fuzz::relay_calls`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::relay_calls(data));
