//! libFuzzer's way into the harness `cjt188`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::cjt188::run(data));
