//! See `ttcore_fuzz::checkpoint`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::checkpoint::run(data));
