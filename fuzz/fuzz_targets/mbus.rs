//! libFuzzer's way into the harness `mbus`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::mbus::run(data));
