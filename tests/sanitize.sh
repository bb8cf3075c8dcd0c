#!/usr/bin/env bash
# Runs tests under a tool that watches memory or threads:
#
#     tests/sanitize.sh address     AddressSanitizer with leak detection: the whole suite
#     tests/sanitize.sh emulator    the same for the CUDA kernels, compiled for the host, and all around them
#     tests/sanitize.sh thread      ThreadSanitizer, the standard library included: whatever runs on several threads
#     tests/sanitize.sh miri        Miri, the definition of Rust: parts of ttcore, the CPU backend without vector instructions, the C ABI
#     tests/sanitize.sh valgrind    memcheck: kernels up to AVX2, which is what it knows
#
# Further arguments replace the choice of tests, as for `cargo test`. PROPTEST_CASES says how many cases a property has. All
# but the last need the nightly toolchain, `thread` and `miri` with `rustup component add rust-src miri --toolchain nightly`.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${1:-}
shift || true
host=$(rustc -vV | sed -n 's/^host: //p')
# Code that is instrumented in different ways stays apart.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/$tool

case $tool in
address)
    export RUSTFLAGS=-Zsanitizer=address RUSTDOCFLAGS=-Zsanitizer=address
    [ $# -gt 0 ] || set -- --workspace
    cargo +nightly test --locked --target "$host" "$@"
    ;;
emulator)
    export RUSTFLAGS=-Zsanitizer=address CXXFLAGS="-fsanitize=address -fno-omit-frame-pointer -g"
    [ $# -gt 0 ] || set -- --tests
    cargo +nightly test --locked --target "$host" -p ttcore-cuda --features emulator "$@"
    ;;
thread)
    export RUSTFLAGS=-Zsanitizer=thread
    # Signals come late under this tool: it cannot run the tests of interrupted training.
    [ $# -gt 0 ] || set -- -p ttcore-cpu -p dlrm -p ttcore-tests --lib --bins --test train --test checkpoint \
        --test bench_train --test cpu_bits --test dlrm_bits --test equivalence
    cargo +nightly test --locked --target "$host" -Zbuild-std "$@"
    ;;
miri)
    # The queues of rayon's threads outlive the program, and their lists are made of integers: crossbeam's.
    export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-disable-isolation"
    export PROPTEST_CASES=${PROPTEST_CASES:-1}
    miri() { cargo +nightly miri test --locked "$@"; }
    if [ $# -gt 0 ]; then
        miri "$@"
    else
        # What needs no inline assembly, which libm has and Miri does not know; without a test that counts to 10,000.
        miri -p ttcore --lib -- bags:: cache:: --skip the_counter_is_bounded
        miri -p ttcore-cpu --lib -- --skip simd::
        miri -p ttcore-capi --lib --test allocation
        miri -p ttcore-tests --test equivalence -- f32::reference::portable_3 f32::portable_has_the_same_bits
    fi
    ;;
valgrind)
    variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$host")_RUNNER
    export "$variable=valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
        --show-leak-kinds=definite"
    export PROPTEST_CASES=${PROPTEST_CASES:-4}
    if [ $# -gt 0 ]; then
        cargo test --locked "$@"
    else
        cargo test --locked -p ttcore-cpu --lib
        # With threads, and the layers of a model. Counts of allocations depend on how threads are scheduled here.
        cargo test --locked -p ttcore-tests --test equivalence --test dlrm_bits -- avx2_2 odd_sizes
    fi
    ;;
*)
    sed -n '2,/^set/s/^# \?//p' "$0" >&2
    exit 2
    ;;
esac
