//! Lines of the wire: whatever comes, it is read or refused, and never grows.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lonet::__fuzz::handshake(data));
