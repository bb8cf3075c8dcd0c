//! See `ttcore_fuzz::parquet`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ttcore_fuzz::parquet::run(data));
