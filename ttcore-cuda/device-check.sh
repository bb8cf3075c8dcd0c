#!/usr/bin/env bash
# The day there is a GPU: everything that can only be known there, in one go.
#
#   bash ttcore-cuda/device-check.sh build       on any machine with Rust: programs, into target/device-check
#   bash ttcore-cuda/device-check.sh run         there, with target/device-check and this folder: needs no Rust
#
# `run` takes less than ten minutes. It wants the NVIDIA driver, NVRTC and cuBLAS in LD_LIBRARY_PATH, and compute-sanitizer
# in PATH (of the CUDA toolkit); `--no-sanitizer` goes on without it, and the result says so. It writes what it found to
# target/device-check/result.json, with the card's name, and fails if anything did. Times of PyTorch's EmbeddingBag and of
# FBGEMM's table-batched one are in it where a `python3` in PATH has them.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/device-check

# The program that cargo built, of a test or an example by its name.
program() { sed -n "s/.*\"executable\":\"\([^\"]*$1[^\"]*\)\".*/\1/p" "$2" | tail -1; }

build() {
    local messages=$folder/messages.json
    mkdir -p "$folder"
    cargo test --release --locked --no-run --message-format json -p ttcore-cuda --features device-tests \
        --test device --test driver --example device_times >"$messages"
    cargo test --release --locked --no-run --message-format json -p dlrm --features device-tests --test gpu >>"$messages"
    cargo build --release --locked -p dlrm --features cuda
    cp "$(program /device- "$messages")" "$folder/device"
    cp "$(program /driver- "$messages")" "$folder/driver"
    cp "$(program /gpu- "$messages")" "$folder/golden"
    cp "$(program /device_times "$messages")" "$folder/times"
    cp target/release/dlrm "$folder/dlrm"
    cp ttcore-cuda/device-check.py "$folder/embedding_bags.py"
    rm "$messages"
    echo "take $folder and ttcore-cuda/device-check.sh to the GPU, and run: bash ttcore-cuda/device-check.sh run"
}

# Runs a check, and notes whether it passed and how long it took.
checks=()
failed=0
check() {
    local name=$1 start=$SECONDS passed=true
    shift
    echo "== $name" >&2
    if ! "$@" >"$folder/$name.log" 2>&1; then
        passed=false failed=1
        tail -30 "$folder/$name.log" >&2
    fi
    checks+=("{\"check\": \"$name\", \"passed\": $passed, \"seconds\": $((SECONDS - start))}")
}

# A time that is JSON of its own, or null.
measure() {
    echo "== $1" >&2
    local name=$1
    shift
    "$@" 2>"$folder/$name.log" || { tail -5 "$folder/$name.log" >&2; echo null; }
}

sanitize() { check "$1" compute-sanitizer --tool "$1" --error-exitcode 1 "$folder/device" fused_f32::golden; }

run() {
    local sanitizer=true
    if [ "${1:-}" = --no-sanitizer ]; then
        sanitizer=false
    elif ! command -v compute-sanitizer >/dev/null; then
        echo "compute-sanitizer is not in PATH: install the CUDA toolkit, or give --no-sanitizer" >&2
        exit 1
    fi
    # Golden vectors, properties, contract: both methods, both types; whole runs; what was captured and is replayed.
    check driver "$folder/driver"
    check conformance "$folder/device"
    check golden_training "$folder/golden"
    if $sanitizer; then
        sanitize memcheck
        sanitize racecheck
        sanitize initcheck
    fi
    local step=("$folder/dlrm" bench train --backend cuda --json --iterations 50) kaggle=() batch tables
    for batch in 2048 16384; do
        for tables in 7 0; do
            kaggle+=("$(measure "kaggle_${batch}_$tables" "${step[@]}" --batch "$batch" --tt-tables "$tables")")
        done
    done
    local list
    list=$(IFS=,; echo "${checks[*]}")
    cat >"$folder/result.json" <<JSON
{
"checks": [$list],
"compute_sanitizer": $sanitizer,
"published_benchmark": $(measure times "$folder/times"),
"kaggle_steps": [$(IFS=,; echo "${kaggle[*]}")],
"embedding_bags": $(measure embedding_bags python3 "$folder/embedding_bags.py")
}
JSON
    cat "$folder/result.json"
    return $failed
}

case "${1:-}" in
build) build ;;
run) shift && run "$@" ;;
*)
    sed -n '2,12s/^# \?//p' "$0" >&2
    exit 2
    ;;
esac
