"""Calls of the native module with arguments of all sorts: each works or raises an exception, and none panics.

A panic is no ``Exception`` in Python, and so fails the test; memory that is not there would end the process.
"""

import random

import pytest
import torch

import ttcore
import ttcore.nn  # says what a tensor is
from ttcore import _ttcore

NUMBERS = [0, 1, 2, 3, 7, 16, 64, 65, 1000, 2**20, 2**31, 2**32, 2**62, 2**63 - 1, 2**64 - 1, -1]


def some(rng, count):
    return [rng.choice(NUMBERS) for _ in range(count)]


def shapes(rng):
    rows, dim, rank = some(rng, 3)
    cores, fraction = rng.randrange(6), rng.choice([0.0, 0.05, -1.0, float("nan"), float("inf")])
    match rng.randrange(4):
        case 0:
            return ttcore.Shape(rows, some(rng, cores), some(rng, rng.randrange(4)), some(rng, cores + 1))
        case 1:
            return ttcore.Shape.paper(rows, dim, cores, rank)
        case 2:
            return ttcore.Shape.within(rows, dim, cores, rank)
        case _:
            return ttcore.Shape.smallest(min(rows, 10**6), dim, cores, rank, fraction)


def tables(rng):
    rows, dim, padding = some(rng, 3)
    number = rng.choice([None, 0.0, -1.0, float("nan")])
    return _ttcore.Table(
        rows=rows,
        dim=dim,
        mode=rng.choice(["sum", "mean", "max"]),
        padding_idx=rng.choice([None, padding]),
        rule=rng.choice(["sgd", "adagrad", "adam", "other"]),
        eps=number,
        betas=rng.choice([None, (0.9, 0.9), (1.0, -1.0)]),
    )


def steps(rng):
    shape = ttcore.Shape.paper(50, 8, 3, 2)
    cache, padding = rng.choice([0, 3]), rng.choice([None, 7, *NUMBERS[:-1]])
    table = _ttcore.Table(shape, cache_rows=cache, padding_idx=padding)
    features = rng.choice([None, [1], [2], [3], [], [1, 1], some(rng, 1)])
    session = _ttcore.Session([table], features=features, threads=rng.choice([1, 1, 2, 0]))
    count, bags = rng.choice([0, 1, 4]), rng.randrange(6)
    values = torch.randint(*rng.choice([(0, 50), (-1, 52)]), (count,))
    offsets = torch.tensor(sorted(rng.randrange(-1, 6) for _ in range(rng.randrange(6))), dtype=torch.int32)
    if rng.random() < 0.7:
        offsets[:1] = 0
    weights = rng.choice([None, torch.ones(count), torch.ones(count + 1)])
    params, out = (torch.zeros(table.parameters),), torch.empty(bags, 8 * (features or [1])[0] % 64)
    kind = rng.randrange(3)
    if kind == 2:
        many = rng.randrange(4)
        values, offsets = (values,) * many, rng.choice([None, (offsets,) * many])
    run = session.forward(values, offsets, weights, params, out, last=kind == 0, jagged=kind == 1, train=True)
    grads = (rng.choice([None, torch.empty_like(params[0])]),)
    run.backward(params, out, grads, rng.choice([None, torch.empty(count), torch.empty(count + 1)]))
    if rng.random() < 0.5:
        return
    session.set_cache(0, [rng.randrange(-1, 60) for _ in range(3)], [(rng.randrange(60), 1) for _ in range(2)])
    session.refresh(params, (torch.zeros(rng.choice([0, 1])),))


@pytest.mark.parametrize("call", [shapes, tables, steps])
def test_nothing_panics(call):
    rng, done, refused = random.Random(0), 0, 0
    torch.manual_seed(0)
    for _ in range(1500):
        try:
            call(rng)
            done += 1
        except (ValueError, IndexError, OverflowError, MemoryError, TypeError, RuntimeError):
            refused += 1
    assert done > 0 and refused > 0
