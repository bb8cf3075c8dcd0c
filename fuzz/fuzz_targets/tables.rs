//! See `ttcore_fuzz::tables`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::tables::run(data));
