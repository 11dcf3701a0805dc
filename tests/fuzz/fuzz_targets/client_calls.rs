//! Body and invariants: `visavis_fuzz::client_calls`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::client_calls(data));
