#!/usr/bin/env bash
# Lints and tests this crate with its features on, on a machine that need not have a GPU or CUDA: with Rust and a C and
# C++ compiler. Programs are linked against a stub of the driver; they start with the machine's own driver where it has
# one, else with the stub, which says that there is no device.
#
# `bash ttcore-cuda/host-check.sh` runs everything; `bash ttcore-cuda/host-check.sh COMMAND ..` runs a command with the
# paths set, for example `cargo test -p ttcore-cuda --features device-tests` on a machine with a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

# cust's build script answers differently where it finds CUDA: its results stay apart from other builds.
export CARGO_TARGET_DIR=$PWD/target/cuda
# Debugging information of 400,000 lines of bindings takes longer than the tests.
export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-0}

# One folder to link with and another to start with: Cargo puts the first on the path of programs, and in there must be
# nothing that a program would load instead of the machine's driver.
stub=$CARGO_TARGET_DIR/stub
mkdir -p "$stub/lib64" "$stub/run"
"${CC:-cc}" -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$stub/run/libcuda.so.1" ttcore-cuda/stub/cuda.c
cp "$stub/run/libcuda.so.1" "$stub/lib64/libcuda.so"
export CUDA_LIBRARY_PATH=$stub${CUDA_LIBRARY_PATH:+:$CUDA_LIBRARY_PATH}
libraries=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true)
if ! grep -q 'libcuda\.so\.1 ' <<<"$libraries"; then
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$stub/run
fi

if [ $# -gt 0 ]; then
    exec "$@"
fi

# Optimising bindings that nothing calls often takes minutes.
cargo() { command cargo --config profile.dev.package.cudarc.opt-level=0 "$@"; }
cargo clippy --locked -p ttcore-cuda --features cuda,emulator --all-targets -- -D warnings
cargo clippy --locked -p dlrm --features cuda,emulator --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked -p ttcore-cuda --no-deps --features cuda
cargo test --locked -p ttcore-cuda --features cuda,emulator
cargo test --locked -p dlrm --features cuda,emulator --test gpu

# Who does not ask for the feature has no trace of CUDA.
if cargo tree --locked -p dlrm -e normal,build --prefix none | grep -E '^(cust|cudarc|cc) '; then
    echo "dlrm without its feature cuda depends on CUDA or on a C++ compiler" >&2
    exit 1
fi
