# What the scripts of this folder share; sourced.

# Ends the script, saying what does not hold and keeping what was found.
fail() {
    echo "FAILED: $*" >&2
    echo "what was found is in $work" >&2
    trap - EXIT
    exit 1
}

# The binary and a folder to work in, which goes when all is well.
prepare_work() {
    dlrm=${DLRM:-${CARGO_TARGET_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../target}/release/dlrm}
    [ -x "$dlrm" ] || { echo "no binary $dlrm: cargo build --release -p dlrm, or set DLRM" >&2; exit 2; }
    work=$(mktemp -d)
    # Also for a user without rights.
    chmod 755 "$work"
    cp "$dlrm" "$work/dlrm"
    dlrm=$work/dlrm
    trap 'rm -rf "$work"' EXIT
    # Trains on a prepared folder: a small model that has everything, a cache, state of the update rule, evaluations in
    # between.
    train=("$dlrm" train --data "$work/data" --bottom 13-16-4 --top 8-1 --tt-tables 3 --tt-rank 2 --batch-size 32
        --cache-fraction 0.01 --cache-warmup 0.05 --cache-refresh 20 --optimizer adagrad --lr 0.01 --eval-every 100 --json)
}

# That two files are the same, byte for byte.
same() { cmp -s "$1" "$2" || fail "$1 is not $2"; }

now() { date +%s%N; }
