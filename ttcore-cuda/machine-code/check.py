"""Compares the kernels' machine code with its budget. See machine-code.sh."""

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import compiler
from compiler import Failure, Kernel

CRATE = Path(__file__).resolve().parent.parent
NUMBERS = ("registers", "stack", "spill_stores", "spill_loads", "shared", "atomics")
HEADER = ("architecture", "kernel", *NUMBERS)


def read_budget(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    if not rows or tuple(rows[0]) != HEADER:
        raise Failure(f"{path} does not begin with {','.join(HEADER)}")
    budget = {}
    for row in rows[1:]:
        budget.setdefault(row[0], {})[row[1]] = Kernel(*map(int, row[2:]))
    return budget


def write_budget(path, built):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        for architecture, kernels in built.items():
            for name, kernel in sorted(kernels.items()):
                rows.writerow([architecture, name, *(getattr(kernel, number) for number in NUMBERS)])


def always(built, entries):
    """What is wrong whatever the budget."""
    for architecture, kernels in built.items():
        for name in sorted(entries - set(kernels)):
            yield f"{architecture}: the crate starts {name}, and it was not compiled"
        for name in sorted(set(kernels) - entries):
            yield f"{architecture}: {name} was compiled, and the crate does not start it"
        for name, kernel in sorted(kernels.items()):
            if kernel.floats:
                opcodes = ", ".join(kernel.floats)
                yield f"{architecture}: {name} has atomics on floats, whose order is not that of the batch: {opcodes}"


def compare(built, budget):
    """What is above the budget; what is below."""
    above, below = [], []
    for architecture in sorted(set(built) ^ set(budget)):
        above.append(f"{architecture}: {'compiled, and not in' if architecture in built else 'in'} the budget")
    for architecture in sorted(set(built) & set(budget)):
        kernels, limits = built[architecture], budget[architecture]
        for name in sorted(set(kernels) - set(limits)):
            above.append(f"{architecture}: {name} has no budget")
        for name in sorted(set(limits) - set(kernels)):
            above.append(f"{architecture}: {name} has a budget, and was not compiled")
        for name in sorted(set(kernels) & set(limits)):
            for number in NUMBERS:
                is_, limit = getattr(kernels[name], number), getattr(limits[name], number)
                sentence = f"{architecture}: {name}: {number} {is_}, budget {limit}"
                (above if is_ > limit else below if is_ < limit else []).append(sentence)
    return above, below


def main():
    parser = argparse.ArgumentParser(description="The kernels' machine code against its budget.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--update", action="store_true", help="write the budget")
    choice.add_argument("--self-test", action="store_true", help="put faults into a copy, and check that each is noticed")
    choice.add_argument("--library", action="store_true", help="print the folder of the compiler's library")
    args = parser.parse_args()
    if args.library:
        print(compiler.tool("cuda_nvrtc/lib/libnvrtc.so.*").parent)
        return []
    if args.self_test:
        from faults import self_test

        return self_test(CRATE)
    path = CRATE / "kernels/budget.csv"
    with tempfile.TemporaryDirectory() as folder:
        built = compiler.build_all(CRATE, Path(folder))
    wrong = list(always(built, compiler.entries(CRATE)))
    if args.update:
        write_budget(path, built)
        return wrong
    above, below = compare(built, read_budget(path))
    for sentence in below:
        print(f"below the budget (--update lowers it): {sentence}")
    print(f"{sum(map(len, built.values()))} kernels of {', '.join(built)} were compared with their budget")
    return wrong + above


if __name__ == "__main__":
    try:
        problems = main()
    except (Failure, OSError) as failure:
        problems = [failure]
    for problem in problems:
        print(f"machine-code: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)
