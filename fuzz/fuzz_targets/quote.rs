//! Go's `%q`, both ways.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lonet::__fuzz::quote(data));
