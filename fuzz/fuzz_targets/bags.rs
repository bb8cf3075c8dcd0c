//! See `ttcore_fuzz::bags`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::bags::run(data));
