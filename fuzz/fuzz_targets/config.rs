//! libFuzzer's way into the harness `config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::config::run(data));
