#!/usr/bin/env bash
# The kernels' machine code against its budget, kernels/budget.csv: registers, spills, stack, shared memory and atomics of
# every kernel, on a machine that has neither a GPU nor CUDA. It needs Python 3, whose packages have the compiler.
#
#   bash ttcore-cuda/machine-code.sh              checks; fails where a number is above the budget
#   bash ttcore-cuda/machine-code.sh --update     writes the budget
#   bash ttcore-cuda/machine-code.sh --self-test  puts faults in, in a copy, and checks that each is noticed
#   bash ttcore-cuda/machine-code.sh --library    prints the folder of the compiler's library, NVRTC, for LD_LIBRARY_PATH
set -euo pipefail
cd "$(dirname "$0")/.."

# Another compiler gives other numbers: --update after a change of these.
packages=("nvidia-cuda-nvrtc-cu12==12.9.*" "nvidia-cuda-nvdisasm==13.5.*")
tools=${CARGO_TARGET_DIR:-target}/machine-code

# A folder that is complete says with which packages.
if [ "$(cat "$tools/packages" 2>/dev/null)" != "${packages[*]}" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools" || { echo "machine-code.sh needs python3 with its module venv" >&2; exit 1; }
    "$tools/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2 ||
        { echo "machine-code.sh could not install the compiler: ${packages[*]}" >&2; exit 1; }
    echo "${packages[*]}" >"$tools/packages"
fi
exec "$tools/bin/python" -B ttcore-cuda/machine-code/check.py "$@"
