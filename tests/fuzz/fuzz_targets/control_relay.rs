//! Body and invariants: `visavis_fuzz::control_relay`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::control_relay(data));
