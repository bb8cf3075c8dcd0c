#!/usr/bin/env python3
"""What the lookups of `dlrm bench embedding` cost in PyTorch, on the CPU.

    dlrm bench embedding --save-workload lookups.safetensors --json
    python3 pytorch_embedding.py --workload lookups.safetensors --threads 8

Two tables, on the same lookups, sums over bags, plain SGD:

* a tensor train of three cores written in plain PyTorch: slices gathered, two batched products, autograd;
* a dense `nn.EmbeddingBag` with sparse gradients.

Prints one JSON object; times are medians over the batches, in nanoseconds a lookup, in float32. Needs PyTorch, numpy and
safetensors: where they are missing, a virtual environment is made for them in --venv, a temporary folder if not given.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import venv

PACKAGES = ["torch", "numpy", "safetensors"]
# As in the benchmark this is compared with.
WARM_UP = 3
LEARNING_RATE = 0.01
CACHES = 128 << 20


def arguments():
    def factors(text):
        return [int(factor) for factor in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", required=True, help="safetensors file with `indices` and `offsets`")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of PyTorch [all cores]")
    parser.add_argument("--rows", type=int, default=10131227)
    parser.add_argument("--row-factors", type=factors, default=[200, 220, 250])
    parser.add_argument("--col-factors", type=factors, default=[2, 2, 4])
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--venv", help="folder for the packages, kept and used again")
    args = parser.parse_args()
    if len(args.row_factors) != 3 or len(args.col_factors) != 3:
        parser.error("three row factors and three column factors")
    return args


def in_environment(folder):
    """Runs this script again with a Python that has the packages."""
    python = pathlib.Path(folder) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"making an environment in {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    installed = subprocess.run([python, "-c", "import " + ", ".join(PACKAGES)], capture_output=True).returncode == 0
    if not installed:
        print("installing " + ", ".join(PACKAGES), file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
    again = {**os.environ, "PYTORCH_EMBEDDING_CHILD": "1"}
    return subprocess.run([python, __file__, *sys.argv[1:]], env=again).returncode


def measure(args):
    import numpy
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    workload = load_file(args.workload)
    indices, offsets = workload["indices"], workload["offsets"]
    batches, lookups = indices.shape
    bags = len(offsets) - 1
    dim = math.prod(args.col_factors)
    # The same bags in all batches, so that a lookup's bag is known before.
    bag_of_lookup = torch.repeat_interleave(torch.arange(bags), offsets.diff())
    one_each = torch.equal(bag_of_lookup, torch.arange(bags))
    grad_out = (torch.rand(bags, dim) * 2 - 1) / bags

    (_, m2, m3), (n1, n2, n3), rank = args.row_factors, args.col_factors, args.rank
    sizes = [n1 * rank, rank * n2 * rank, rank * n3]
    # Each core's standard deviation, so that rows have that of a new dense table.
    scale = (1 / math.sqrt(3 * args.rows) / rank) ** (1 / 3)
    cores = [torch.nn.Parameter(torch.randn(m, size) * scale) for m, size in zip(args.row_factors, sizes)]

    def tensor_train(rows):
        digits = [rows // (m2 * m3), rows // m3 % m2, rows % m3]
        # Faster than indexing a core, whose backward adds slice by slice.
        g1, g2, g3 = (torch.nn.functional.embedding(digit, core) for digit, core in zip(digits, cores))
        pairs = torch.bmm(g1.view(lookups, n1, rank), g2.view(lookups, rank, n2 * rank))
        values = torch.bmm(pairs.view(lookups, n1 * n2, rank), g3.view(lookups, rank, n3)).view(lookups, dim)
        return values if one_each else torch.zeros(bags, dim).index_add(0, bag_of_lookup, values)

    caches = numpy.zeros(CACHES, dtype=numpy.uint8)

    def median(work):
        caches[:] += 1
        for number in range(WARM_UP):
            work(indices[batches - 1 - number % batches])
        times = []
        for rows in indices:
            start = time.perf_counter_ns()
            work(rows)
            times.append(time.perf_counter_ns() - start)
        return statistics.median(times) / lookups

    def both(table, optimiser):
        def forward(rows):
            with torch.no_grad():
                table(rows)

        def step(rows):
            optimiser.zero_grad(set_to_none=True)
            table(rows).backward(grad_out)
            optimiser.step()

        return median(forward), median(step)

    tt_forward, tt_step = both(tensor_train, torch.optim.SGD(cores, lr=LEARNING_RATE))
    bound = 1 / math.sqrt(args.rows)
    weight = torch.empty(args.rows, dim).uniform_(-bound, bound)
    dense = torch.nn.EmbeddingBag(
        args.rows, dim, mode="sum", sparse=True, include_last_offset=True, _weight=weight
    )
    sgd = torch.optim.SGD(dense.parameters(), lr=LEARNING_RATE)
    dense_forward, dense_step = both(lambda rows: dense(rows, offsets), sgd)
    return {
        "torch_tt_forward_ns_per_lookup": tt_forward,
        "torch_tt_step_ns_per_lookup": tt_step,
        "torch_dense_forward_ns_per_lookup": dense_forward,
        "torch_dense_step_ns_per_lookup": dense_step,
        "torch_version": torch.__version__,
        "threads": torch.get_num_threads(),
        "rows": args.rows,
        "rank": rank,
        "bags": bags,
        "lookups": lookups,
        "batches": batches,
    }


def main():
    args = arguments()
    try:
        import numpy  # noqa: F401
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError:
        if "PYTORCH_EMBEDDING_CHILD" in os.environ:
            raise
        if args.venv:
            return in_environment(args.venv)
        with tempfile.TemporaryDirectory() as folder:
            return in_environment(folder)
    print(json.dumps(measure(args), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
