"""A deep learning recommendation model in PyTorch, on Criteo's form, with its embedding tables as tensor trains.

    python dlrm.py                      # on lines it makes itself
    python dlrm.py --data train.txt     # on Criteo's: a label, 13 integers and 26 hexadecimal categories, by tabs
    python dlrm.py --dense              # with uncompressed tables

The model is that of Naumov et al. (2019): integers through an MLP, categories through tables, all pairs of their products
through another. One line makes the difference, marked below.
"""

import argparse
import itertools
import math
import random
import time

import torch
from torch import nn

import ttcore

INTEGERS, CATEGORIES = 13, 26


class DenseTables(nn.Module):
    """What the collection of ttcore stands in for: a table of its own for each feature."""

    def __init__(self, sizes, dim):
        super().__init__()
        self.bags = nn.ModuleList(nn.EmbeddingBag(rows, dim, mode="sum", sparse=True) for rows in sizes)

    def forward(self, features):
        return torch.cat([bag(feature) for bag, feature in zip(self.bags, features)], dim=1)


class TTTables(nn.Module):
    """All tables as one collection: tensor trains, and small ones as they are."""

    def __init__(self, sizes, dim, lr):
        super().__init__()
        tables = [ttcore.TableConfig(rows, dim, name=f"category_{n}") for n, rows in enumerate(sizes)]
        # Backward trains the tables, by the rule made for cores.
        self.collection = ttcore.TTEmbeddingBagCollection(tables, fused="adagrad_norm", lr=lr)

    def forward(self, features):
        return self.collection(features).values()


def mlp(*sizes):
    layers = [layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers)


class Dlrm(nn.Module):
    """Logits ``[B]`` of integers ``[B, 13]`` and one ``[B, 1]`` of row numbers for each category."""

    def __init__(self, tables, dim):
        super().__init__()
        self.tables, self.dim = tables, dim
        self.bottom = mlp(INTEGERS, 128, dim)
        vectors = CATEGORIES + 1
        self.pairs = torch.tril_indices(vectors, vectors, offset=-1)
        self.top = nn.Sequential(mlp(dim + self.pairs.shape[1], 128), nn.Linear(128, 1))

    def forward(self, integers, categories):
        dense = self.bottom(integers)
        vectors = torch.cat([dense, self.tables(categories)], dim=1).view(len(dense), -1, self.dim)
        products = vectors @ vectors.transpose(1, 2)
        pairs = products[:, self.pairs[0], self.pairs[1]]
        return self.top(torch.cat([dense, pairs], dim=1)).squeeze(1)


def synthetic(lines, rows, seed=0):
    """Lines of Criteo's form: popular categories more often than others, and labels that some of them decide."""
    draw = random.Random(seed).random
    for _ in range(lines):
        integers = [int(100 * draw()) for _ in range(INTEGERS)]
        chosen = [int(rows * draw() ** 8) for _ in range(CATEGORIES)]
        score = (integers[0] - 50) / 25 + sum((row * 2654435761 >> 7) % 3 - 1 for row in chosen[:6])
        label = int(draw() < 1 / (1 + math.exp(-score)))
        yield "\t".join([str(label), *map(str, integers), *(f"{row:08x}" for row in chosen)])


def batches(lines, size, rows):
    """Labels ``[B]``, logarithms of the integers ``[B, 13]``, and the categories' row numbers, hashed into tables."""
    for chunk in itertools.batched(lines, size) if hasattr(itertools, "batched") else chunks(lines, size):
        fields = [line.rstrip("\n").split("\t") for line in chunk]
        labels = torch.tensor([float(line[0]) for line in fields])
        numbers = [[max(int(word or 0), 0) for word in line[1 : 1 + INTEGERS]] for line in fields]
        words = [line[1 + INTEGERS :] for line in fields]
        columns = [torch.tensor([[int(line[n] or "0", 16) % rows] for line in words]) for n in range(CATEGORIES)]
        yield labels, torch.tensor(numbers, dtype=torch.float32).log1p(), columns


def chunks(lines, size):
    lines = iter(lines)
    while chunk := list(itertools.islice(lines, size)):
        yield chunk


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a file of Criteo's form; without one, lines are made")
    parser.add_argument("--lines", type=int, default=50_000, help="lines to make")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of each table, into which categories are hashed")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--dense", action="store_true", help="uncompressed tables")
    args = parser.parse_args()

    torch.manual_seed(0)
    sizes = [args.rows] * CATEGORIES
    # The line that differs.
    tables = DenseTables(sizes, args.dim) if args.dense else TTTables(sizes, args.dim, args.lr)
    model = Dlrm(tables, args.dim)
    optimiser = torch.optim.SGD([param for param in model.parameters() if param.requires_grad], lr=args.lr)
    held, whole = sum(param.nbytes for param in tables.parameters()), sum(sizes) * args.dim * 4
    print(f"tables of {held / 1e6:.1f} MB, {whole / held:.0f} times smaller than {whole / 1e6:.1f} MB")

    lines = open(args.data) if args.data else synthetic(args.lines, args.rows)
    start, losses = time.perf_counter(), []
    for number, (labels, integers, categories) in enumerate(batches(lines, args.batch, args.rows), 1):
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(integers, categories), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if number % 10 == 0 or number <= 5:
            recent = sum(losses[-10:]) / len(losses[-10:])
            print(f"batch {number}: loss {recent:.4f}, {number / (time.perf_counter() - start):.1f} batches/s with reading")


if __name__ == "__main__":
    main()
