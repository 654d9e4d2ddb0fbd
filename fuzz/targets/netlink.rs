//! See `collectors::kit::fuzz::netlink`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::kit::fuzz::netlink(bytes));
