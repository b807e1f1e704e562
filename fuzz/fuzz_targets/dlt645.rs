//! libFuzzer's way into the harness `dlt645`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::dlt645::run(data));
