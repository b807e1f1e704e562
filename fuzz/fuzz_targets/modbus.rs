//! libFuzzer's way into the harness `modbus`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::modbus::run(data));
