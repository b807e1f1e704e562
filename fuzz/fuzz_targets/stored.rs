//! libFuzzer's way into the harness `stored`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::stored::run(data));
