#!/usr/bin/env bash
# The C programs of this package in all the ways they must build and run: as C99 and as C++17 with all warnings as errors,
# and under the sanitizers for addresses and undefined behaviour. With a nightly compiler, `check.sh rust-sanitizer` runs
# them with the library under the sanitizer, too.
set -euo pipefail
cd "$(dirname "$0")/../.."
c=${CC:-cc} cxx=${CXX:-c++}
tests() { cargo test --quiet --locked -p ttcore-capi "$@"; }

if [ "${1:-}" = rust-sanitizer ]; then
    host=$(rustc -vV | sed -n 's/^host: //p')
    export RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/address
    TTCORE_CC="$c -std=c99 -fsanitize=address" cargo +nightly test --locked --target "$host" -p ttcore-capi --test c
    exit
fi

sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
tests --lib --test header
TTCORE_CC="$c -std=c99" tests --test c
TTCORE_CC="$cxx -x c++ -std=c++17" tests --test c
TTCORE_CC="$c -std=c99 $sanitizers" tests --test c
TTCORE_CC="$cxx -x c++ -std=c++17 $sanitizers" tests --test c
