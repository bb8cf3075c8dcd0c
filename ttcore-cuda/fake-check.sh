#!/usr/bin/env bash
# Runs what needs a GPU on one that the host plays: the driver layer, copies, streams, launches and cuBLAS's calls, with the
# machine code of the real NVRTC. It needs Rust, a C++ compiler and Python, which fetches NVRTC once.
#
# `bash ttcore-cuda/fake-check.sh` runs everything; `bash ttcore-cuda/fake-check.sh COMMAND ..` runs a command with the fake
# GPU in its path.
set -euo pipefail
cd "$(dirname "$0")/.."

fake=$PWD/target/fake
mkdir -p "$fake"
nvrtc=$(bash ttcore-cuda/machine-code.sh --library)

flags=(-std=c++17 -O2 -ffp-contract=off -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden)
"${CXX:-c++}" "${flags[@]}" -Wl,-soname,libcuda.so.1 -o "$fake/libcuda.so.1" ttcore-cuda/fake/driver.cpp
"${CXX:-c++}" "${flags[@]}" -o "$fake/libcublas.so" ttcore-cuda/fake/blas.cpp -L"$fake" -l:libcuda.so.1

export LD_LIBRARY_PATH=$fake:$nvrtc${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if [ $# -gt 0 ]; then
    exec "$@"
fi

cargo test --locked -p ttcore-cuda --features fake-tests --test fake
# From here on a complaint of the fake ends the program.
export TTCORE_FAKE_STRICT=1 TTCORE_NVRTC=required
cargo test --locked -p ttcore-cuda --features device-tests --test device --test nvrtc --test driver
cargo test --locked -p dlrm --features device-tests --test gpu
