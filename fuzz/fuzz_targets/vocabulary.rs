//! See `ttcore_fuzz::vocabulary`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::vocabulary::run(data));
