#!/usr/bin/env bash
# Builds the static library, links it with the C linker every Rust toolchain uses, and runs it.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --release --locked --target-dir "$target"
"${CC:-cc}" main.c "$target/release/libttcore_no_std.a" -o "$target/no_std_proof"
"$target/no_std_proof"
echo "no_std: linked without std, trained, cache used"
