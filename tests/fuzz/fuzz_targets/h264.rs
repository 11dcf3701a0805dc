//! Body and invariants: `visavis_fuzz::h264`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::h264(data));
