//! See `collectors::kit::fuzz::options`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::kit::fuzz::options(bytes));
