//! See `collectors::kit::fuzz::parse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::kit::fuzz::parse(bytes));
