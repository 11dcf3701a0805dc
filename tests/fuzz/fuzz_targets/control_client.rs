//! Body and invariants: `visavis_fuzz::control_client`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::control_client(data));
