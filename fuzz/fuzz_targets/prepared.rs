//! See `ttcore_fuzz::prepared`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::prepared::run(data));
