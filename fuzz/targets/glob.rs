//! See `collectors::kit::fuzz::glob`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::kit::fuzz::glob(bytes));
