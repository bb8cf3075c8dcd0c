//! See `ttcore_fuzz::shapes`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::shapes::run(data));
