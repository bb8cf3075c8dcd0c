//! See `ttcore_fuzz::cache`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::cache::run(data));
