#!/usr/bin/env bash
# Builds the fuzz targets and runs each for a while: `fuzz/run.sh [SECONDS] [TARGET ..]`, all of them for 60 s unless told
# otherwise. Prints a table at the end, and fails if anything was found; FUZZ_TOOLCHAIN names another compiler than
# nightly. Inputs that reach something new are kept in target/corpus, what was found in target/findings.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(shapes bags criteo prepared vocabulary columns parquet stored tables checkpoint settings cpu cache)
toolchain=${FUZZ_TOOLCHAIN:-nightly}
triple=$(rustc "+$toolchain" -vV | sed -n 's/^host: //p')

# What libFuzzer is guided by, and the address sanitizer: what `cargo fuzz` builds with, which need not be installed.
coverage=(-Cpasses=sancov-module -Zsanitizer=address -Ccodegen-units=1)
for argument in level=4 inline-8bit-counters pc-table trace-compares stack-depth; do
    coverage+=("-Cllvm-args=-sanitizer-coverage-$argument")
done
RUSTFLAGS="${coverage[*]}" cargo "+$toolchain" build --release --locked --target "$triple" \
    "${targets[@]/#/--bin=}"

# Bytes of an input at most: as many as it takes to say something.
declare -A longest=([shapes]=512 [bags]=512 [criteo]=8192 [prepared]=8192 [vocabulary]=8192 [columns]=4096 [parquet]=4096 [stored]=1024 [tables]=1024 [checkpoint]=24576 [settings]=2048 [cpu]=1024
    [cache]=1024)
rows=()
failed=0
for target in "${targets[@]}"; do
    log=target/logs/$target.log
    mkdir -p target/logs "target/corpus/$target" "target/findings/$target" "corpus/$target" "regressions/$target"
    # No input may take half a gigabyte at once, or half a minute. What a thread holds until its end looks like a leak.
    options=(-max_total_time="$seconds" -max_len="${longest[$target]}" -timeout=30 -rss_limit_mb=2048
        -malloc_limit_mb=512 -detect_leaks=0 -print_final_stats=1 -artifact_prefix="target/findings/$target/")
    [ ! -e "dictionaries/$target" ] || options+=(-dict="dictionaries/$target")
    # A folder of its own for temporary files, which go with it.
    scratch=$(mktemp -d)
    echo "== $target, ${seconds} s: $log" >&2
    found=0
    TMPDIR=$scratch "target/$triple/release/$target" "${options[@]}" \
        "target/corpus/$target" "corpus/$target" "regressions/$target" >"$log" 2>&1 || found=1
    rm -rf "$scratch"
    if [ "$found" -ne 0 ]; then
        failed=1
        tail -n 40 "$log" >&2
    fi
    # The last lines of progress and of the statistics.
    progress=$(grep -E '^#[0-9]+.* cov: ' "$log" | tail -n 1 || true)
    number() { sed -nE "s/.* $1: ([0-9]+).*/\1/p" <<<"$progress"; }
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rows+=("$target ${executions:-?} $seconds $(number cov) $(number ft) $found")
done
printf '%-11s %12s %8s %8s %9s %9s\n' target executions seconds edges features findings
for row in "${rows[@]}"; do
    read -r -a cells <<<"$row"
    printf '%-11s %12s %8s %8s %9s %9s\n' "${cells[@]}"
done
exit "$failed"
