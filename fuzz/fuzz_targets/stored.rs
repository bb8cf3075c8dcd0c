//! See `ttcore_fuzz::stored`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::stored::run(data));
