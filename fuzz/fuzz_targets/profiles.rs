//! libFuzzer's way into the harness `profiles`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::profiles::run(data));
