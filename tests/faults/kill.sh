#!/usr/bin/env bash
# Kills `dlrm prepare` and `dlrm train` at random moments, and looks after each kill at what is on the disk:
#
# * whatever has its own name is whole: a prepared folder is the old or the new one, a checkpoint is byte for byte that of
#   a run that was never killed;
# * the same command works again on what was left, without cleaning, and nothing piles up;
# * a run that was killed and went on, however often, ends with the same model file.
#
# usage: kill.sh [--kills N] [--seed S]      half of the kills for each command; DLRM names the binary
set -euo pipefail
source "$(dirname "$0")/common.sh"

kills=200 seed=1
while [ $# -gt 0 ]; do
    case $1 in
        --kills) kills=$2 ;;
        --seed) seed=$2 ;;
        *) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
RANDOM=$seed
prepare_work
begin=$SECONDS

# Runs a command and kills it after at most so many milliseconds, half of the time in the last fifth of them. Whether it was
# killed: if not, it came to its end.
killed() {
    local most=$1 after pid code=0
    shift
    after=$((RANDOM * 32768 + RANDOM))
    if ((RANDOM % 2)); then after=$((after % most)); else after=$((most * 4 / 5 + after % (most / 5 + 1))); fi
    "$@" >"$work/said" 2>&1 &
    pid=$!
    sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || code=$?
    [ $code = 137 ] && return 0
    [ $code = 0 ] || { cat "$work/said" >&2; fail "exit code $code of: $*"; }
    return 1
}

# Milliseconds of a command.
takes() {
    local start
    start=$(now)
    "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "$*"; }
    echo $((($(now) - start) / 1000000 + 1))
}

# --- prepare ---------------------------------------------------------------------------------------------------------

for name in a b; do
    "$dlrm" synth -o "$work/$name.tsv" --lines 60000 --seed "$seed$([ $name = a ] && echo 1 || echo 2)" >/dev/null 2>&1
    "$dlrm" prepare "$work/$name.tsv" -o "$work/whole-$name" >/dev/null 2>&1
done
half=$((kills / 2)) count=0 ends=0 olds=0 news=0 nones=0 left=0
old=a new=b
cp -r "$work/whole-a" "$work/prepared"
most=$(takes "$dlrm" prepare "$work/b.tsv" -o "$work/other" --force)
while ((count < half)); do
    if killed "$most" "$dlrm" prepare "$work/$new.tsv" -o "$work/prepared" --force; then
        count=$((count + 1))
        if "$dlrm" prepare --verify "$work/prepared" >"$work/said" 2>&1; then
            if cmp -s "$work/prepared/header.bin" "$work/whole-$old/header.bin"; then
                olds=$((olds + 1))
                for file in rows.bin vocabulary.bin; do same "$work/prepared/$file" "$work/whole-$old/$file"; done
            else
                news=$((news + 1))
                same "$work/prepared/header.bin" "$work/whole-$new/header.bin"
                for file in rows.bin vocabulary.bin; do same "$work/prepared/$file" "$work/whole-$new/$file"; done
            fi
        else
            # Between the old header and the new one: it does not open, and says why.
            grep -q "no header.bin" "$work/said" || fail "$(cat "$work/said")"
            nones=$((nones + 1))
        fi
        ls -A "$work/prepared" | grep -q tmp && left=$((left + 1))
        others=$(ls -A "$work/prepared" | grep -vxE '(rows|vocabulary|header)\.bin(\.tmp)?' || true)
        [ -z "$others" ] || fail "left behind: $others"
        # Every fourth time to the end.
        ((count % 4 == 0)) || continue
        "$dlrm" prepare "$work/$new.tsv" -o "$work/prepared" --force >"$work/said" 2>&1 || fail "$(cat "$work/said")"
    else
        # The machine was fast.
        most=$((most * 9 / 10 + 1))
    fi
    ends=$((ends + 1))
    for file in header.bin rows.bin vocabulary.bin; do same "$work/prepared/$file" "$work/whole-$new/$file"; done
    [ "$(ls -A "$work/prepared" | wc -l)" = 3 ] || fail "left behind: $(ls -A "$work/prepared")"
    read -r old new <<<"$new $old"
done
echo "prepare: $count kills: the old data $olds times, the new $news, none yet $nones; unfinished files after $left," \
    "gone after each of $ends completions; all as prepared without a kill"

# --- train -----------------------------------------------------------------------------------------------------------

cp -r "$work/whole-a" "$work/data"
every=40
run=$(takes "${train[@]}" --checkpoint-dir "$work/whole" --checkpoint-every $every --checkpoint-keep 1000000)
checkpoints=$(ls "$work/whole" | grep -c checkpoint-)
count=0 ends=0 left=0 compared=0 most=$((run / 3 + 20))
while ((count < kills - half)); do
    if killed $most "${train[@]}" --checkpoint-dir "$work/killed" --checkpoint-every $every --resume --log "$work/log"; then
        count=$((count + 1))
        # Nothing yet, if it was killed before it began.
        [ -d "$work/killed" ] || continue
        grep -q skipping "$work/said" && fail "a torn checkpoint: $(cat "$work/said")"
        found=0
        for file in "$work/killed"/*.safetensors; do
            [ -e "$file" ] || continue
            same "$file" "$work/whole/$(basename "$file")"
            compared=$((compared + 1)) found=$((found + 1))
        done
        # The two that are kept, the newest, and the model.
        ((found <= 4)) || fail "$found checkpoints"
        [ -e "$work/killed/.writing.tmp" ] && left=$((left + 1))
        others=$(ls -A "$work/killed" | grep -vxE '.*\.safetensors|vocabulary\.bin|\.lock|\.(writing|vocabulary)\.tmp' || true)
        [ -z "$others" ] || fail "left behind: $others"
    else
        ends=$((ends + 1))
        same "$work/killed/final.safetensors" "$work/whole/final.safetensors"
        [ ! -e "$work/killed/.writing.tmp" ] || fail ".writing.tmp is left behind"
        rm -r "$work/killed"
    fi
done
"${train[@]}" --checkpoint-dir "$work/killed" --checkpoint-every $every --resume >"$work/said" 2>&1 || fail "$(cat "$work/said")"
same "$work/killed/final.safetensors" "$work/whole/final.safetensors"
[ ! -e "$work/killed/.writing.tmp" ] || fail ".writing.tmp is left behind"
echo "train: $count kills of runs of $checkpoints checkpoints: $compared checkpoints compared with those of a run that was never" \
    "killed, 0 differ; unfinished files after $left, gone after each of $((ends + 1)) completions, with the same model"
echo "passed: $kills kills, seed $seed, in $((SECONDS - begin)) s"
