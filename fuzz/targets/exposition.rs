//! See `collectors::kit::fuzz::exposition`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::kit::fuzz::exposition(bytes));
