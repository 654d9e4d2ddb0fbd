//! See `collectors::kit::fuzz::bus`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::kit::fuzz::bus(bytes));
