//! See `collectors::kit::fuzz::calls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::kit::fuzz::calls(bytes));
