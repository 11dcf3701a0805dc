//! Body and invariants: `visavis_fuzz::reassembler`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::reassembler(data));
