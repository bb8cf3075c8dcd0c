//! See `ttcore_fuzz::criteo`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::criteo::run(data));
