#!/usr/bin/env bash
# A disk that is full or read-only, a folder of someone else, and data that goes away while it is used. After each fault:
#
# * the command fails, naming file and reason;
# * what was there before is as it was, and nothing half-written takes the room that is left;
# * the same command works when the fault is gone, and training ends with the same model file.
#
# usage: disk.sh      needs root and leave to mount, and says so and skips where it has not; DLRM names the binary
set -euo pipefail
source "$(dirname "$0")/common.sh"
# In a mount namespace of its own: what is mounted goes with it.
if [ "${1-}" != --inside ]; then
    unshare -m true 2>/dev/null || { echo "skipped: mounting is not allowed here"; exit 0; }
    exec unshare -m "$0" --inside
fi
prepare_work
begin=$SECONDS disk=$work/disk
mkdir "$disk"
mount -t tmpfs -o size=1m,mode=755 none "$disk" 2>/dev/null || { echo "skipped: mounting is not allowed here"; exit 0; }
trap 'umount "$disk"; rm -rf "$work"' EXIT

# An empty disk of this size.
fresh() {
    umount "$disk"
    mount -t tmpfs -o "size=$1,mode=755" none "$disk"
}
grow() { mount -o "remount,size=$1" "$disk"; }

# That a command fails with exit code 1 and says these words; the words come first, up to --.
fails() {
    local words=() code=0
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    "$@" >"$work/said" 2>"$work/error" || code=$?
    [ $code = 1 ] || fail "exit code $code, not 1, of: $*: $(cat "$work/error")"
    for word in "${words[@]}"; do
        grep -qF -- "$word" "$work/error" || fail "no \"$word\" in: $(tail -1 "$work/error")"
    done
}
works() { "$@" >"$work/said" 2>"$work/error" || fail "$*: $(cat "$work/error")"; }
# That a folder has these names and no others.
holds() {
    local folder=$1
    shift
    [ "$(ls -A "$folder" | sort | xargs)" = "$*" ] || fail "$folder holds $(ls -A "$folder" | xargs), not $*"
}
passed() { echo "passed: $*"; }

full="No space left on device"
works "$dlrm" synth -o "$work/a.tsv" --lines 6000 --seed 1
works "$dlrm" synth -o "$work/b.tsv" --lines 30000 --seed 2
works "$dlrm" prepare "$work/a.tsv" -o "$work/data"
works "$dlrm" prepare "$work/b.tsv" -o "$work/other"
kept=(--checkpoint-every 40)
works "${train[@]}" "${kept[@]}" --checkpoint-dir "$work/whole" --checkpoint-keep 100
size=$(stat -c %s "$work/whole/final.safetensors") vocabulary=$(stat -c %s "$work/whole/vocabulary.bin")
prepared=$(du -cb "$work/data"/* | tail -1 | cut -f1)

# --- a full disk -----------------------------------------------------------------------------------------------------

fresh 64k
fails "$disk/lines.tsv" "$full" -- "$dlrm" synth -o "$disk/lines.tsv" --lines 6000 --seed 1
holds "$disk"
grow 8m
works "$dlrm" synth -o "$disk/lines.tsv" --lines 6000 --seed 1
same "$disk/lines.tsv" "$work/a.tsv"
passed "synth on a full disk"

fresh 64k
fails "$disk/data/rows.bin.tmp" "$full" -- "$dlrm" prepare "$work/a.tsv" -o "$disk/data"
holds "$disk/data"
# Room for the first and half of it again; the second is larger.
fresh $((prepared * 3 / 2))
works "$dlrm" prepare "$work/a.tsv" -o "$disk/data"
fails "$disk/data/rows.bin.tmp" "$full" -- "$dlrm" prepare "$work/b.tsv" -o "$disk/data" --force
holds "$disk/data" header.bin rows.bin vocabulary.bin
for file in header.bin rows.bin vocabulary.bin; do same "$disk/data/$file" "$work/data/$file"; done
grow 32m
works "$dlrm" prepare "$work/b.tsv" -o "$disk/data" --force
for file in header.bin rows.bin vocabulary.bin; do same "$disk/data/$file" "$work/other/$file"; done
passed "prepare on a full disk, over nothing and over older data"

# Room for one checkpoint and a half.
fresh $((vocabulary + size * 3 / 2))
fails "$disk/run/checkpoint-000000000080.safetensors" "$full" -- "${train[@]}" "${kept[@]}" --checkpoint-dir "$disk/run"
holds "$disk/run" .lock checkpoint-000000000040.safetensors vocabulary.bin
same "$disk/run/checkpoint-000000000040.safetensors" "$work/whole/checkpoint-000000000040.safetensors"
grow $((size * 6))
works "${train[@]}" "${kept[@]}" --checkpoint-dir "$disk/run" --resume
same "$disk/run/final.safetensors" "$work/whole/final.safetensors"
passed "a checkpoint on a full disk"

# Two are kept, and the model would be the third.
fresh $((vocabulary + size * 5 / 2))
fails "$disk/run/final.safetensors" "$full" -- "${train[@]}" --checkpoint-every 80 --checkpoint-dir "$disk/run"
holds "$disk/run" .lock checkpoint-000000000080.safetensors checkpoint-000000000160.safetensors vocabulary.bin
rm "$disk/run/checkpoint-000000000080.safetensors"
works "${train[@]}" --checkpoint-dir "$disk/run" --resume
same "$disk/run/final.safetensors" "$work/whole/final.safetensors"
passed "the model at the end on a full disk"

fresh 64k
head -c 60k /dev/zero >"$disk/ballast"
fails "$disk/run.jsonl" "$full" -- "${train[@]}" "${kept[@]}" --checkpoint-dir "$work/run" --log "$disk/run.jsonl" --log-every 1
rm "$disk/ballast"
works "${train[@]}" "${kept[@]}" --checkpoint-dir "$work/run" --log "$disk/run.jsonl" --resume
same "$work/run/final.safetensors" "$work/whole/final.safetensors"
cut=$(grep -cv '^{.*}$' "$disk/run.jsonl" || true)
((cut <= 1)) && tail -1 "$disk/run.jsonl" | grep -q '"kind":"end"' || fail "$cut lines of the log are cut off"
rm -r "$work/run"
passed "a log on a full disk: $cut line of it was cut off"

# --- read-only -------------------------------------------------------------------------------------------------------

fresh 32m
works "$dlrm" prepare "$work/a.tsv" -o "$disk/data"
works "${train[@]}" "${kept[@]}" --checkpoint-dir "$disk/run" --max-iterations 100
mount -o remount,ro "$disk"
readonly="Read-only file system"
fails "$disk/lines.tsv" "$readonly" -- "$dlrm" synth -o "$disk/lines.tsv" --lines 10
fails "$disk/new" "$readonly" -- "$dlrm" prepare "$work/a.tsv" -o "$disk/new"
fails "$disk/data" "$readonly" -- "$dlrm" prepare "$work/b.tsv" -o "$disk/data" --force
fails "$disk/run" "$readonly" -- "${train[@]}" --checkpoint-dir "$disk/run" --resume
fails "$disk/new" "$readonly" -- "${train[@]}" --checkpoint-dir "$disk/new"
fails "$disk/run.jsonl" "$readonly" -- "${train[@]}" --log "$disk/run.jsonl"
# What only reads goes on.
works "$dlrm" prepare --verify "$disk/data"
works "$dlrm" eval --checkpoint "$disk/run/final.safetensors" --data "$disk/data"
mount -o remount,rw "$disk"
works "${train[@]}" "${kept[@]}" --checkpoint-dir "$disk/run" --resume
same "$disk/run/final.safetensors" "$work/whole/final.safetensors"
passed "a read-only disk"

# Root may write anywhere, so as nobody.
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
denied="Permission denied"
fails "$disk/lines.tsv" "$denied" -- "${nobody[@]}" "$dlrm" synth -o "$disk/lines.tsv" --lines 10
fails "$disk/data" "$denied" -- "${nobody[@]}" "$dlrm" prepare "$work/a.tsv" -o "$disk/data" --force
fails "$disk/run" "$denied" -- "${nobody[@]}" "${train[@]}" --checkpoint-dir "$disk/run" --resume
fails "$disk/run.jsonl" "$denied" -- "${nobody[@]}" "${train[@]}" --log "$disk/run.jsonl"
chmod 600 "$work/a.tsv"
fails "$work/a.tsv" "$denied" -- "${nobody[@]}" "$dlrm" train --data "$work/a.tsv"
for file in header.bin rows.bin vocabulary.bin; do same "$disk/data/$file" "$work/data/$file"; done
passed "a folder of someone else"

# --- data that goes away ---------------------------------------------------------------------------------------------

# Cut off within a line, and compressed and cut off.
head -c 100000 "$work/a.tsv" >"$work/cut.tsv"
fails "$work/cut.tsv:" "tab-separated fields" -- "$dlrm" prepare "$work/cut.tsv" -o "$work/cut"
gzip -c "$work/a.tsv" >"$work/a.tsv.gz"
head -c 100000 "$work/a.tsv.gz" >"$work/cut.tsv.gz"
fails "$work/cut.tsv.gz: " -- "$dlrm" prepare "$work/cut.tsv.gz" -o "$work/cut"
holds "$work/cut"
# Removed while it is read: who has it open goes on.
mkfifo "$work/lines"
(cat "$work/a.tsv" && rm "$work/lines") >"$work/lines" &
works "$dlrm" prepare "$work/lines" -o "$work/removed"
wait
for file in header.bin rows.bin vocabulary.bin; do same "$work/removed/$file" "$work/data/$file"; done
passed "files of lines that are cut off or removed"

# Waits until a run has written a checkpoint, and gives its process.
started() {
    rm -rf "$work/run"
    "${train[@]}" --epochs 3 --checkpoint-every 20 --checkpoint-keep 100 --checkpoint-dir "$work/run" >"$work/said" 2>&1 &
    pid=$!
    until compgen -G "$work/run/checkpoint-*" >/dev/null; do
        kill -0 $pid 2>/dev/null || fail "$(cat "$work/said")"
        sleep 0.01
    done
}
works "${train[@]}" --epochs 3 --checkpoint-every 20 --checkpoint-keep 100 --checkpoint-dir "$work/three"
cp -r "$work/data" "$work/copy"
started
rm "$work/data"/*
wait $pid || fail "$(cat "$work/said")"
same "$work/run/final.safetensors" "$work/three/final.safetensors"
cp "$work/copy"/* "$work/data"
passed "prepared data that is removed while it is mapped: the run goes on, to the same model"

started
truncate -s 4096 "$work/data/rows.bin"
code=0
wait $pid || code=$?
[ $code = 135 ] || fail "exit code $code, not that of SIGBUS: $(cat "$work/said")"
fails "$work/data/rows.bin: 4096 bytes instead of" -- "${train[@]}" --epochs 3 --checkpoint-dir "$work/run" --resume
for file in "$work/run"/*.safetensors; do same "$file" "$work/three/$(basename "$file")"; done
cp "$work/copy"/* "$work/data"
works "${train[@]}" --epochs 3 --checkpoint-dir "$work/run" --resume
same "$work/run/final.safetensors" "$work/three/final.safetensors"
passed "prepared data that is cut off while it is mapped: SIGBUS ends the run, its checkpoints are whole"

echo "passed: all of $0 in $((SECONDS - begin)) s"
