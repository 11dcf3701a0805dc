//! Body and invariants: `visavis_fuzz::clock_sync`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::clock_sync(data));
