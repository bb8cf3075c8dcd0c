"""What Python adds to a step: modules of ttcore beside the same step by Rust alone, and beside PyTorch's dense table.

    python benches/overhead.py            # builds benches/step.rs

Tables of 8 rows show what is the same for tables of any size. A step is forward and backward of one lookup a bag, drawn from
all rows: with gradients handed over, and fused with SGD. PyTorch's are ``nn.EmbeddingBag(sparse=True)`` and a tensor train written
in PyTorch, of the same shape, both with ``optim.SGD``.
Numbers are microseconds: each the lowest of the medians of several rounds, in which all take turns.
"""

import argparse
import os
import statistics
import subprocess
import time

import torch

import ttcore

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = "Rust", "Python", "Rust fused", "Python fused", "PyTorch dense", "PyTorch TT"


def median(call, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


def rust(tables, rows, bags, threads, count):
    command = ["cargo", "run", "--quiet", "--release", "--manifest-path", os.path.join(HERE, "..", "Cargo.toml")]
    command += ["--example", "step", "--", *map(str, (tables, rows, bags, threads, count))]
    return map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def batches(tables, rows, bags):
    """Batches that are not the same every time, drawn outside of what is timed."""
    starts = torch.arange(bags)
    return [([torch.randint(rows, (bags,)) for _ in range(tables)], [starts] * tables) for _ in range(64)]


def step(tables, rows, bags, threads, fused):
    kwargs = dict(fused="sgd", lr=1e-3) if fused else {}
    drawn = batches(tables, rows, bags)
    grad = torch.full((bags, 16 * tables), 1e-3)
    at = iter(range(1 << 60))
    if tables == 1:
        module = ttcore.TTEmbeddingBag(rows, 16, mode="sum", seed=0, threads=threads, **kwargs)

        def call():
            values, offsets = drawn[next(at) % len(drawn)]
            module(values[0], offsets[0]).backward(grad)
            module.cores.grad = None

        return call
    configs = [ttcore.TableConfig(rows, 16) for _ in range(tables)]
    module = ttcore.TTEmbeddingBagCollection(configs, seed=0, threads=threads, **kwargs)
    params = list(module.parameters())

    def call():
        values, offsets = drawn[next(at) % len(drawn)]
        module(values, offsets).values().backward(grad)
        for param in params:
            param.grad = None

    return call


def dense(tables, rows, bags):
    modules = [torch.nn.EmbeddingBag(rows, 16, mode="sum", sparse=True) for _ in range(tables)]
    optimiser = torch.optim.SGD([param for module in modules for param in module.parameters()], lr=1e-3)
    drawn = batches(tables, rows, bags)
    grad = torch.full((bags, 16), 1e-3)
    at = iter(range(1 << 60))

    def call():
        values, offsets = drawn[next(at) % len(drawn)]
        optimiser.zero_grad()
        outs = [module(value, offset) for module, value, offset in zip(modules, values, offsets)]
        torch.autograd.backward(outs, [grad] * tables)
        optimiser.step()

    return call


def train(tables, rows, bags):
    """Slices gathered, two batched products, autograd: gradients as large as the cores."""
    shape = ttcore.Shape.paper(rows, 16)
    (m1, m2, m3), (n1, n2, n3), (_, r1, r2, _) = shape.row_factors, shape.col_factors, shape.ranks
    sizes = [(m1, n1, r1), (m2, r1, n2 * r2), (m3, r2, n3)]
    cores = [[torch.nn.Parameter(torch.randn(size) * 0.1) for size in sizes] for _ in range(tables)]
    optimiser = torch.optim.SGD([core for train in cores for core in train], lr=1e-3)
    drawn = batches(tables, rows, bags)
    grad = torch.full((bags, 16), 1e-3)
    at = iter(range(1 << 60))

    def row(train, index):
        first, second, third = train
        pairs = torch.bmm(first[index // (m2 * m3)], second[index // m3 % m2])
        return torch.bmm(pairs.reshape(-1, n1 * n2, r2), third[index % m3]).reshape(-1, 16)

    def call():
        values, _ = drawn[next(at) % len(drawn)]
        optimiser.zero_grad()
        # One lookup a bag: nothing is pooled.
        outs = [row(train, value) for train, value in zip(cores, values)]
        torch.autograd.backward(outs, [grad] * tables)
        optimiser.step()

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=300, help="steps in a round")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} threads, median of {args.count} steps, least of {args.rounds} rounds, us")
    print(f"{'':>22}" + "".join(f"{name:>14}" for name in COLUMNS))
    sizes = (1, 8, 1), (26, 8, 1), (1, 10_131_227, 128), (1, 10_131_227, 2048), (26, 100_000, 128)
    for tables, rows, bags in sizes:
        count = max(10, args.count // tables)
        calls = [step(tables, rows, bags, args.threads, fused) for fused in (False, True)]
        calls += [dense(tables, rows, bags), train(tables, rows, bags)]
        for call in calls:
            median(call, 5)
        best = dict.fromkeys(COLUMNS, float("inf"))
        for _ in range(args.rounds):
            alone, fused = rust(tables, rows, bags, args.threads, count)
            ours, ours_fused, *pytorch = (median(call, count) for call in calls)
            found = alone, ours, fused, ours_fused, *pytorch
            for name, value in zip(COLUMNS, found):
                best[name] = min(best[name], value)
        label = f"{tables} x {bags} x 1, {rows}"
        print(f"{label:>22}" + "".join(f"{best[name]:>14.1f}" for name in COLUMNS))


if __name__ == "__main__":
    main()
