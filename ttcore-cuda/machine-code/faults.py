"""Faults put into a copy of the kernels and of their budget, each of which must be noticed."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import check
import compiler
from compiler import Failure

ARCHITECTURE = compiler.ARCHITECTURES[-1]

# What a line of layers.cu becomes, and the start of what is then said.
KERNELS = [
    # An atomic of its own for both types.
    ("apply(args.sink, args.sink.dense_rate, i, args.grads[i]);",
     "atomicAdd(args.sink.params + i, args.grads[i]);",
     ["update_f32 has atomics on floats", "update_f64 has atomics on floats"]),
    # In shared memory there is none for f64: a loop of compare-and-swap.
    ("sums[lane] = sum;",
     "sums[lane] = 0; atomicAdd(sums + lane, sum);",
     ["tally_f32 has atomics on floats", "tally_f64 has atomics on floats"]),
    # An array whose place is not known, in local memory.
    ("args.bias_grad[column] = sum;",
     "F kept[64]; for (u32 i = 0; i < 64; ++i) kept[i] = args.partial[i] * sum;"
     " args.bias_grad[column] = kept[args.rows % 64] + kept[args.width % 64];",
     ["bias_grad_f32: stack 256, budget 0", "bias_grad_f64: stack 5"]),
    # Shared memory that no launch asks for.
    ("F p = (F)1 / ((F)1 + exp(-args.logits[i]));",
     "__shared__ F kept[64]; kept[threadIdx.x % 64] = args.logits[i]; F p = (F)1 / ((F)1 + exp(-kept[i % 64]));",
     ["loss_f32: shared 256, budget 0", "loss_f64: shared 512, budget 0"]),
]


def copy_of(crate, folder):
    """What the check reads of the crate."""
    for name in ("kernels", "src", "emulator"):
        shutil.copytree(crate / name, folder / name)
    return folder


def replace_in(path, line, fault):
    text = path.read_text()
    if text.count(line) != 1:
        raise Failure(f"a fault cannot be put in: {path.name} has {text.count(line)} times {line}")
    path.write_text(text.replace(line, fault))


def problems(built, budget, entries):
    return [*check.always(built, entries), *check.compare(built, budget)[0]]


def faults_of_kernels(crate, budget):
    """What is said of a copy with all faults, and what must be."""
    wanted = []
    for line, fault, said in KERNELS:
        replace_in(crate / "kernels/layers.cu", line, fault)
        wanted += said
    # A kernel that the crate calls by another name.
    replace_in(crate / "src/device.rs", '"bias_partial"', '"bias_parted"')
    wanted += ["the crate starts bias_parted_f32", "bias_partial_f64 was compiled, and the crate"]
    built = compiler.build_all(crate, crate, [ARCHITECTURE])
    return built, problems(built, budget, compiler.entries(crate)), wanted


def faults_of_budgets(built, budget, entries):
    """The same of budgets that do not fit to what was built."""
    kernel = built[ARCHITECTURE]["pointers_f32"]
    limits = budget[ARCHITECTURE]
    lower = replace(kernel, registers=kernel.registers - 1)
    said = f"pointers_f32: registers {kernel.registers}, budget {lower.registers}"
    without = {name: limit for name, limit in limits.items() if name != "pool_f64"}
    for changed, wanted in [
        ({**limits, "pointers_f32": lower}, said),
        (without, "pool_f64 has no budget"),
        ({**limits, "gone_f32": kernel}, "gone_f32 has a budget, and was not compiled"),
    ]:
        yield problems(built, {ARCHITECTURE: changed}, entries), wanted


def missing(folder):
    """The same of a tool and of a file that are not there."""
    for what, wanted in [
        (lambda: compiler.tool("none/libnvrtc.so.*"), "there is no none/libnvrtc.so.*"),
        (lambda: compiler.sources(folder), "src/nvrtc.rs joins"),
    ]:
        try:
            what()
            yield [], wanted
        except Failure as failure:
            yield [str(failure)], wanted


def self_test(crate):
    """The faults that were not noticed."""
    budget = {ARCHITECTURE: check.read_budget(crate / "kernels/budget.csv")[ARCHITECTURE]}
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of(crate, Path(folder))
        built, said, wanted = faults_of_kernels(copy, budget)
        results = [(said, sentence) for sentence in wanted]
        results += faults_of_budgets(built, budget, compiler.entries(copy))
        (copy / "kernels/slices.cu").unlink()
        results += missing(copy)
    missed = []
    for said, wanted in results:
        noticed = [sentence for sentence in said if wanted in sentence]
        if noticed:
            print("noticed:", noticed[0])
        else:
            missed.append(f"a fault was not noticed: {wanted}, in {said}")
    return missed
