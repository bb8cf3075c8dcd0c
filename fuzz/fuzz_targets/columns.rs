//! See `ttcore_fuzz::columns`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::columns::run(data));
