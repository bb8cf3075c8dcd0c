"""The module beside ``nn.EmbeddingBag`` on the expanded table: outputs, and gradients through the definition."""

import random

import pytest
import torch
from conftest import dense, table

import ttcore

SHAPES = [
    dict(num_embeddings=60, embedding_dim=8, tt_shape=([3, 4, 5], [2, 2, 2]), tt_rank=4),
    dict(num_embeddings=50, embedding_dim=6, tt_shape=([8, 7], [2, 3]), tt_rank=3),  # with rows of padding
    dict(num_embeddings=100, embedding_dim=16, tt_shape=([3, 4, 3, 3], [2, 2, 2, 2]), tt_rank=[2, 3, 4]),
    dict(num_embeddings=1, embedding_dim=1, tt_shape=([1, 1], [1, 1]), tt_rank=1),
]


def draw(rng, bag):
    """A call of any form: arguments by name."""
    kind, other = rng.choice([torch.int32, torch.int64]), rng.choice([torch.int32, torch.int64])
    rows, count = bag.num_embeddings, rng.choice([0, 1, 2, 7, 40])
    call = {}
    if rng.random() < 0.3:
        shape = (rng.choice([0, 1, 5]), rng.choice([1, 2, 6]))
        values = torch.randint(rows, shape, dtype=kind)
        if rng.random() < 0.3:
            values = torch.randint(rows, (shape[1], shape[0]), dtype=kind).t()  # not contiguous
    else:
        values = torch.randint(rows, (count,), dtype=kind)
        starts = sorted(rng.randint(0, count) for _ in range(rng.choice([1, 2, 9])))
        starts[0] = 0
        if bag.include_last_offset:
            starts.append(count if rng.random() < 0.5 else starts[-1])  # the last one counts for nothing
        call["offsets"] = torch.tensor(starts, dtype=other)
    if bag.mode == "sum" and rng.random() < 0.5:
        call["per_sample_weights"] = torch.randn(values.shape, dtype=torch.float64, requires_grad=True)
    return dict(input=values, **call)


@pytest.mark.parametrize("seed", range(60))
def test_outputs_and_gradients(seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    shape = rng.choice(SHAPES)
    rows = shape["num_embeddings"]
    bag = ttcore.TTEmbeddingBag(
        **shape,
        mode=rng.choice(["sum", "mean"]),
        include_last_offset=rng.random() < 0.5,
        padding_idx=rng.choice([None, rng.randrange(-rows, rows)]),
        dtype=torch.float64,
        seed=seed,
        threads=rng.choice([1, 2]),
    )
    other = dense(bag)
    for _ in range(4):
        call = draw(rng, bag)
        out, want = bag(**call), other(**call)
        torch.testing.assert_close(out, want, rtol=1e-12, atol=1e-15)

        # Through the definition, by PyTorch: the table from the cores, the bags from the table.
        inputs = [bag.cores] + [call[name] for name in ("per_sample_weights",) if name in call]
        expanded = torch.nn.functional.embedding_bag(
            call["input"],
            table(bag),
            call.get("offsets"),
            mode=bag.mode,
            per_sample_weights=call.get("per_sample_weights"),
            include_last_offset=bag.include_last_offset,
            padding_idx=bag.padding_idx,
        )
        grad = torch.randn_like(out)
        ours = torch.autograd.grad(out, inputs, grad)
        theirs = torch.autograd.grad(expanded, inputs, grad)
        for mine, want in zip(ours, theirs):
            torch.testing.assert_close(mine, want, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("padding_idx", [None, 3])
def test_gradcheck(mode, padding_idx):
    bag = ttcore.TTEmbeddingBag(
        60, 8, mode=mode, padding_idx=padding_idx, tt_rank=3, dtype=torch.float64, seed=1, tt_shape=([3, 4, 5], [2, 2, 2])
    )
    values, offsets = torch.tensor([3, 59, 59, 0, 7]), torch.tensor([0, 3, 3])
    cores = bag.cores.detach().requires_grad_()
    weights = torch.randn(5, dtype=torch.float64, requires_grad=True) if mode == "sum" else None

    def call(cores, weights):
        return torch.func.functional_call(bag, {"cores": cores}, (values, offsets, weights))

    assert torch.autograd.gradcheck(call, (cores, weights), nondet_tol=0.0)


def test_rows_and_the_whole_table():
    bag = ttcore.TTEmbeddingBag(50, 6, tt_shape=([8, 7], [2, 3]), tt_rank=3, dtype=torch.float64, seed=0)
    whole = bag.expand()
    assert whole.shape == (50, 6) and not whole.requires_grad
    torch.testing.assert_close(whole, table(bag).detach())
    rows = torch.tensor([[49, 0, 1], [7, 7, 2]], dtype=torch.int32)
    assert torch.equal(bag.rows(rows), whole[rows.long()])
    assert bag.rows([]).shape == (0, 6)
    views = bag.core_views()
    assert [tuple(view.shape) for view in views] == [(8, 1, 2, 3), (7, 3, 3, 1)]
    views[0].zero_()
    assert not bag.expand().any()


def test_the_first_numbers_have_the_variance_of_a_dense_table():
    bag = ttcore.TTEmbeddingBag(100_000, 16, seed=3)
    std = bag.rows(torch.arange(0, 100_000, 7)).std().item()
    assert abs(std * (3 * 100_000) ** 0.5 - 1) < 0.1, std
    again = ttcore.TTEmbeddingBag(100_000, 16, seed=3)
    assert torch.equal(bag.cores, again.cores)
    torch.manual_seed(5)
    first = ttcore.TTEmbeddingBag(1000, 8)
    torch.manual_seed(5)
    assert torch.equal(first.cores, ttcore.TTEmbeddingBag(1000, 8).cores)


def test_float32_is_as_exact_as_a_dense_table():
    bag = ttcore.TTEmbeddingBag(1000, 16, mode="sum", seed=0)
    values, offsets = torch.randint(1000, (200,)), torch.arange(0, 200, 10)
    want = dense(bag)(values, offsets)
    torch.testing.assert_close(bag(values, offsets), want.float(), rtol=1e-5, atol=1e-6)


def test_sizes_in_rank_out():
    bag = ttcore.TTEmbeddingBag(1_000_000, 16, max_bytes=1_000_000)
    larger = ttcore.TTEmbeddingBag(1_000_000, 16, tt_rank=bag.shape.ranks[1] + 1)
    assert bag.cores.nbytes <= 1_000_000 < larger.cores.nbytes
    with pytest.raises(ValueError, match="rank 1"):
        ttcore.TTEmbeddingBag(1_000_000, 16, max_bytes=100)
    # No more than a table can use.
    assert max(ttcore.TTEmbeddingBag(8, 4, tt_cores=2, max_bytes=1 << 40).shape.ranks) <= 8


def test_the_same_bits_for_any_number_of_threads():
    values, offsets = torch.randint(5000, (3000,)), torch.arange(0, 3000, 3)
    results = []
    for threads in (1, 2, 4):
        bag = ttcore.TTEmbeddingBag(5000, 16, mode="sum", seed=2, threads=threads)
        out = bag(values, offsets)
        out.backward(torch.linspace(-1, 1, out.numel()).view_as(out))
        results.append((out.detach(), bag.cores.grad))
    for out, grad in results[1:]:
        assert torch.equal(out, results[0][0]) and torch.equal(grad, results[0][1])
