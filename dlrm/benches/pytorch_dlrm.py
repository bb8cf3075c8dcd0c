#!/usr/bin/env python3
"""What an iteration of `dlrm bench train` costs in PyTorch, on the CPU.

    dlrm bench train --tt-tables 0 --threads 2 --save-workload batches.safetensors --json
    python3 pytorch_dlrm.py --workload batches.safetensors --threads 2

The layers of the reference model on the same samples: nn.Linear and ReLU, one nn.EmbeddingBag with sparse gradients for
each table, pairwise dot products by bmm, binary cross entropy, plain SGD. With --tt-tables K the K largest tables are
tensor trains of three cores written in plain PyTorch: slices gathered, two batched products, autograd.

Prints one JSON object; times are medians over the iterations, in float32. Needs PyTorch, numpy and safetensors: where they
are missing, a virtual environment is made for them in --venv, a temporary folder if not given.
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


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", required=True, help="safetensors file of dlrm bench train --save-workload")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of PyTorch [all cores]")
    parser.add_argument("--tt-tables", type=int, default=0, help="how many of the largest tables are tensor trains [0]")
    parser.add_argument("--tt-rank", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--venv", help="folder for the packages, kept and used again")
    return parser.parse_args()


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
    again = {**os.environ, "PYTORCH_DLRM_CHILD": "1"}
    return subprocess.run([python, __file__, *sys.argv[1:]], env=again).returncode


def factors(number, count):
    """Nearly equal factors whose product is at least the number."""
    if count == 1:
        return [number]
    first = max(1, round(number ** (1 / count)))
    return [first, *factors(math.ceil(number / first), count - 1)]


def exact_factors(number, count):
    """Factors of a power of two, ascending."""
    bits = number.bit_length() - 1
    assert number == 1 << bits, "an embedding dimension that is a power of two"
    return [1 << (bits + k) // count for k in range(count)]


def measure(args):
    import torch
    from safetensors import safe_open

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    with safe_open(args.workload, "pt") as file:
        dense, labels, indices, rows = (file.get_tensor(n) for n in ["dense", "labels", "indices", "table_rows"])
        metadata = file.metadata()
    bottom, top = ([int(size) for size in metadata[name].split(",")] for name in ["bottom", "top"])
    dim, rows = int(metadata["dim"]), rows.tolist()
    batches, tables, batch = indices.shape
    compressed = sorted(range(tables), key=lambda table: -rows[table])[: args.tt_tables]

    class TensorTrain(torch.nn.Module):
        def __init__(self, rows):
            super().__init__()
            self.m, self.n = factors(rows, 3), exact_factors(dim, 3)
            n1, n2, n3 = self.n
            sizes = [n1 * args.tt_rank, args.tt_rank * n2 * args.tt_rank, args.tt_rank * n3]
            # Each core's standard deviation, so that rows have that of a new dense table.
            scale = (1 / math.sqrt(3 * rows) / args.tt_rank) ** (1 / 3)
            self.cores = torch.nn.ParameterList(torch.randn(m, size) * scale for m, size in zip(self.m, sizes))

        def forward(self, index, offsets):
            (_, m2, m3), (n1, n2, n3), rank = self.m, self.n, args.tt_rank
            digits = [index // (m2 * m3), index // m3 % m2, index % m3]
            # Faster than indexing a core, whose backward adds slice by slice.
            g1, g2, g3 = (torch.nn.functional.embedding(digit, core) for digit, core in zip(digits, self.cores))
            pairs = torch.bmm(g1.view(-1, n1, rank), g2.view(-1, rank, n2 * rank))
            # One lookup a bag.
            return torch.bmm(pairs.view(-1, n1 * n2, rank), g3.view(-1, rank, n3)).view(-1, dim)

    def table(number):
        if number in compressed:
            return TensorTrain(rows[number])
        bound = 1 / math.sqrt(rows[number])
        weight = torch.empty(rows[number], dim).uniform_(-bound, bound)
        return torch.nn.EmbeddingBag(rows[number], dim, mode="sum", sparse=True, _weight=weight)

    def mlp(sizes, last):
        layers = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            linear = torch.nn.Linear(inputs, outputs)
            torch.nn.init.normal_(linear.weight, std=math.sqrt(2 / (inputs + outputs)))
            torch.nn.init.normal_(linear.bias, std=math.sqrt(1 / outputs))
            layers += [linear, torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1], last)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bottom, self.top = mlp(bottom, torch.nn.ReLU()), mlp(top, torch.nn.Sigmoid())
            self.tables = torch.nn.ModuleList(table(number) for number in range(tables))
            # The strict lower triangle, row by row.
            self.pairs = torch.tril_indices(tables + 1, tables + 1, -1)

        def forward(self, dense, indices, offsets):
            x = self.bottom(dense)
            embedded = [table(index, offsets) for table, index in zip(self.tables, indices)]
            features = torch.stack([x, *embedded], dim=1)
            products = torch.bmm(features, features.transpose(1, 2))
            interaction = torch.cat([x, products[:, self.pairs[0], self.pairs[1]]], dim=1)
            return self.top(interaction).view(-1)

    model, loss, offsets = Model(), torch.nn.BCELoss(), torch.arange(batch)
    sgd = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    times, losses = [], []
    for number in range(batches):
        start = time.perf_counter_ns()
        sgd.zero_grad(set_to_none=True)
        error = loss(model(dense[number], indices[number], offsets), labels[number])
        error.backward()
        sgd.step()
        value = error.item()
        if number >= WARM_UP:
            times.append((time.perf_counter_ns() - start) / 1e6)
            losses.append(value)
    milliseconds = statistics.median(times)
    return {
        "ms_per_iteration": milliseconds,
        "samples_per_second": batch / milliseconds * 1e3,
        "loss": statistics.fmean(losses),
        "torch_version": torch.__version__,
        "threads": torch.get_num_threads(),
        "preset": metadata["preset"],
        "batch": batch,
        "tt_tables": len(compressed),
        "tt_rank": args.tt_rank,
        "iterations": len(times),
    }


def main():
    args = arguments()
    try:
        import numpy  # noqa: F401
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError:
        if "PYTORCH_DLRM_CHILD" in os.environ:
            raise
        if args.venv:
            return in_environment(args.venv)
        with tempfile.TemporaryDirectory() as folder:
            return in_environment(folder)
    print(json.dumps(measure(args), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
