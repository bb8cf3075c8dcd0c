#!/usr/bin/env bash
# The C programs of this package in all the ways they must build and run: as C99 and as C++17 with all warnings as errors,
# and under the sanitizers for addresses and undefined behaviour. (`tests/sanitize.sh address -p ttcore-capi --test c` runs
# them with the library under the sanitizer, too.)
set -euo pipefail
cd "$(dirname "$0")/../.."
c="${CC:-cc} -std=c99" cxx="${CXX:-c++} -x c++ -std=c++17"
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
cargo test --quiet --locked -p ttcore-capi --lib --test header
for compiler in "$c" "$cxx" "$c $sanitizers" "$cxx $sanitizers"; do
    echo "$compiler"
    TTCORE_CC=$compiler cargo test --quiet --locked -p ttcore-capi --test c
done
