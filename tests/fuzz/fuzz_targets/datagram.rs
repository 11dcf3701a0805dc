//! Body and invariants: `visavis_fuzz::datagram`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| visavis_fuzz::datagram(data));
