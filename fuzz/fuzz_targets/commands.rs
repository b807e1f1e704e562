//! libFuzzer's way into the harness `commands`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::commands::run(data));
