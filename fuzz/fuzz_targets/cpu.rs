//! See `ttcore_fuzz::cpu`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::cpu::run(data));
