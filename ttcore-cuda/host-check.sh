#!/usr/bin/env bash
# Lints and tests this crate with its features on, on a machine that need not have a GPU or CUDA: with Rust and a C++
# compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo clippy --locked -p ttcore-cuda --features cuda,emulator --all-targets -- -D warnings
cargo clippy --locked -p dlrm --features cuda,emulator --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked -p ttcore-cuda --no-deps --features cuda
cargo test --locked -p ttcore-cuda --features cuda,emulator
cargo test --locked -p dlrm --features cuda,emulator --test gpu

# A program that has the feature starts on machines without a driver: it is looked for at run time.
cargo build --locked -p dlrm --features cuda
if readelf -d target/debug/dlrm | grep -F 'libcuda'; then
    echo "dlrm links to the driver" >&2
    exit 1
fi

# Who does not ask for the feature has no trace of CUDA.
if cargo tree --locked -p dlrm -e normal,build --prefix none | grep -E '^(cust|cudarc|libloading|cc) '; then
    echo "dlrm without its feature cuda depends on CUDA or on a C++ compiler" >&2
    exit 1
fi
