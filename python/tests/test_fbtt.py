"""The interface of ``tt_embeddings_ops``: what lookups and backward do."""

import numpy as np
import pytest
import torch

from ttcore.fbtt import OptimType, TableBatchedTTEmbeddingBag, TTEmbeddingBag, tt_matrix_to_full

P, Q, RANKS = [3, 4, 5], [2, 2, 3], [3, 2]
ROWS, DIM = 58, 12
VALUES, OFFSETS = torch.tensor([3, 57, 57, 0, 7, 21]), torch.tensor([0, 3, 3, 4, 6])


def bag(kind=TTEmbeddingBag, **kwargs):
    kwargs = {"weight_dist": "approx-normal", **kwargs}
    return kind(num_embeddings=ROWS, embedding_dim=DIM, tt_ranks=RANKS, tt_p_shapes=P, tt_q_shapes=Q, **kwargs)


def batched(tables, **kwargs):
    return bag(lambda **rest: TableBatchedTTEmbeddingBag(tables, **rest), **kwargs)


def batch(tables, bags=4, seed=0):
    """Indices and global offsets, some bags of them empty."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 4, tables * bags)
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    return torch.from_numpy(rng.integers(0, ROWS, lengths.sum())), offsets


def pooled(table, values, offsets, weights=None):
    return torch.nn.functional.embedding_bag(
        values, table, offsets, mode="sum", include_last_offset=True, per_sample_weights=weights
    )


def reference(module):
    """Cores of double precision, and the table of each as a function of them."""
    cores = [core.detach().double().requires_grad_() for core in module.tt_cores]
    tables = [
        tt_matrix_to_full(P, Q, RANKS, [core[t] for core in cores], [1, 0, 2, 3])[:ROWS] for t in range(module.num_tables)
    ]
    return cores, tables


def reference_out(tables, values, offsets, weights=None):
    bags = (len(offsets) - 1) // len(tables)
    out = []
    for t, table in enumerate(tables):
        own = offsets[t * bags : (t + 1) * bags + 1]
        part = slice(int(own[0]), int(own[-1]))
        out.append(pooled(table, values[part], own - own[0], None if weights is None else weights[part]))
    return torch.stack(out)


@pytest.mark.parametrize("tables", [1, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_lookups_and_gradients(tables, weighted):
    one = batched(tables, sparse=False)
    values, offsets = batch(tables)
    weights = torch.randn(len(values), requires_grad=True) if weighted else None
    double = weights.detach().double().requires_grad_() if weighted else None
    cores, expanded = reference(one)
    out, want = one(values, offsets, per_sample_weights=weights), reference_out(expanded, values, offsets, double)
    assert out.shape == (tables, 4, DIM) and out.is_contiguous()
    torch.testing.assert_close(out, want.float(), rtol=1e-5, atol=1e-5)
    grad = torch.randn_like(out)
    out.backward(grad)
    want.backward(grad.double())
    for core, other in zip(one.tt_cores, cores):
        torch.testing.assert_close(core.grad, other.grad.float(), rtol=1e-4, atol=1e-5)
    if weighted:
        torch.testing.assert_close(weights.grad, double.grad.float(), rtol=1e-4, atol=1e-5)
    # The same through a table that is expanded.
    full = one.full_weight()
    assert full.shape == ((ROWS, DIM) if tables == 1 else (tables, ROWS, DIM)) and full.requires_grad


def test_one_table_has_no_first_dimension():
    one = bag(sparse=False)
    out = one(VALUES.int(), OFFSETS)
    assert out.shape == (4, DIM) and not out[1].any()
    torch.testing.assert_close(out, pooled(one.full_weight(), VALUES, OFFSETS))
    assert one(torch.empty(0, dtype=torch.int64), torch.tensor([0])).shape == (0, DIM)


@pytest.mark.parametrize("dims", [2, 4])
def test_other_numbers_of_cores(dims):
    p, q, ranks = [3, 4, 5, 2][:dims], [2, 3, 2, 1][:dims], [3, 2, 4][: dims - 1]
    rows, dim = int(np.prod(p)), np.prod(q)
    one = TTEmbeddingBag(rows, dim, ranks, p, q, sparse=False)
    torch.testing.assert_close(one(VALUES % rows, OFFSETS), pooled(one.full_weight(), VALUES % rows, OFFSETS))


RULES = [OptimType.SGD, OptimType.EXACT_SGD, OptimType.EXACT_ADAGRAD]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("tables", [1, 2])
def test_backward_updates_the_cores(rule, tables):
    one = batched(tables, optimizer=rule, learning_rate=0.1, eps=1e-2)
    cores, _ = reference(one)
    state = [torch.zeros_like(core) for core in cores]
    for step in range(3):
        values, offsets = batch(tables, seed=step)
        tables_now = [
            tt_matrix_to_full(P, Q, RANKS, [core[t] for core in cores], [1, 0, 2, 3])[:ROWS] for t in range(tables)
        ]
        out = one(values, offsets)
        grad = torch.randn_like(out)
        grads = torch.autograd.grad(reference_out(tables_now, values, offsets), cores, grad.double())
        one.set_learning_rate(0.1 / (step + 2))  # of the next step
        out.backward(grad)
        with torch.no_grad():
            for core, g, h in zip(cores, grads, state):
                h += g * g
                lr = 0.1 / (step + 1)
                core -= lr * g if rule is not OptimType.EXACT_ADAGRAD else lr * g / (h.sqrt() + 1e-2)
        for k, core in enumerate(cores):
            torch.testing.assert_close(one.tt_cores[k].double(), core, rtol=1e-4, atol=1e-5)
            assert one.tt_cores[k].grad is None and one.tt_cores[k].is_leaf
            if rule is OptimType.EXACT_ADAGRAD:
                torch.testing.assert_close(one.optimizer_state[k].double(), state[k], rtol=1e-4, atol=1e-5)
            else:
                assert one.optimizer_state[k].numel() == 0


@pytest.mark.parametrize("rule", RULES)
def test_every_slice_is_updated(rule):
    # More slices than numbers in one.
    p, q, ranks = [40, 30], [1, 2], [2]
    one = TTEmbeddingBag(1200, 2, ranks, p, q, optimizer=rule, learning_rate=0.1)
    before = [core.clone() for core in one.tt_cores]
    one(torch.arange(1200), torch.arange(1201)).backward(torch.rand(1200, 2) + 1)
    for core, old in zip(one.tt_cores, before):
        assert ((core - old) != 0).all()


def test_what_is_written_to_a_core_is_looked_up():
    one, other = batched(2, sparse=False), bag(sparse=False)
    for core, own in zip(one.tt_cores, other.tt_cores):
        core.detach()[1].copy_(own[0].detach())
    values, offsets = batch(2)
    begin = int(offsets[4])
    torch.testing.assert_close(one(values, offsets)[1], other(values[begin:], offsets[4:] - begin))


def test_cores_that_were_exchanged():
    one, other = bag(sparse=True), bag(sparse=True)
    for k, core in enumerate(other.tt_cores):
        one.tt_cores[k].data = core.detach().clone()
    assert torch.equal(one(VALUES, OFFSETS), other(VALUES, OFFSETS))
    for each in one, other:
        each(VALUES, OFFSETS).square().sum().backward()
    for mine, core in zip(one.tt_cores, other.tt_cores):
        assert torch.equal(mine, core)
    replaced = {f"tt_cores.{k}": torch.zeros_like(core) for k, core in enumerate(one.tt_cores)}
    assert not torch.func.functional_call(one, replaced, (VALUES, OFFSETS)).any()
    assert torch.equal(one(VALUES, OFFSETS), other(VALUES, OFFSETS))


def test_several_lookups_before_a_backward():
    one = bag(sparse=False)
    first, second = one(VALUES, OFFSETS), one(VALUES.flip(0), OFFSETS)
    (first.sum() + (second * 2).sum()).backward()
    cores, (table,) = reference(one)
    want = pooled(table, VALUES, OFFSETS).sum() + (pooled(table, VALUES.flip(0), OFFSETS) * 2).sum()
    want.backward()
    for core, other in zip(one.tt_cores, cores):
        torch.testing.assert_close(core.grad, other.grad.float(), rtol=1e-4, atol=1e-5)
    third = one(VALUES, OFFSETS).sum()
    with torch.no_grad():
        one.tt_cores[1].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        third.backward()


def test_a_backward_after_an_update_is_refused():
    one = bag(sparse=True)
    first, second = one(VALUES, OFFSETS).sum(), one(VALUES, OFFSETS).sum()
    first.backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        second.backward()
    third = one(VALUES, OFFSETS).sum()
    one.double()
    with pytest.raises(RuntimeError, match="between forward and backward"):
        third.backward()


def test_evaluation_changes_nothing():
    one = bag(sparse=True).eval()
    want = one.full_weight()[VALUES[3]].detach()
    with torch.no_grad():
        out = one(VALUES, OFFSETS)
    assert not out.requires_grad
    torch.testing.assert_close(out[2], want)
    one.requires_grad_(False)
    weights = torch.ones(6, requires_grad=True)
    before = [core.clone() for core in one.tt_cores]
    one(VALUES, OFFSETS, per_sample_weights=weights).sum().backward()
    torch.testing.assert_close(weights.grad, one.full_weight()[VALUES].sum(1))
    assert all(map(torch.equal, one.tt_cores, before))
    one.tt_cores[0].requires_grad_()
    with pytest.raises(ValueError, match="all of them or none"):
        one(VALUES, OFFSETS)


@pytest.mark.parametrize("tables", [1, 2])
def test_gradients_are_a_function_of_the_cores(tables):
    one = batched(tables, sparse=False).double()
    values, offsets = batch(tables)
    names = [f"tt_cores.{k}" for k in range(3)]
    weights = torch.randn(len(values), dtype=torch.float64, requires_grad=True)

    def call(weights, *cores):
        return torch.func.functional_call(one, dict(zip(names, cores)), (values, offsets, True, weights))

    cores = [core.detach().clone().requires_grad_() for core in one.tt_cores]
    assert torch.autograd.gradcheck(call, (weights, *cores))


@pytest.mark.parametrize("tables", [1, 2])
def test_optimisers_train_it(tables):
    one = batched(tables, sparse=False)
    optimiser = torch.optim.Adam(one.parameters(), lr=0.01)
    values, offsets = batch(tables)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = (one(values, offsets) - 1).square().sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_bad_input():
    one, two = bag(), batched(2)
    with pytest.raises(IndexError, match="(?=.*58)(?=.*position 1)"):
        one(torch.tensor([0, 58]), torch.tensor([0, 2]))
    with pytest.raises(IndexError, match="(?=.*-1)(?=.*position 0)(?=.*table 1)"):
        two(torch.tensor([0, -1]), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="offset 1 at position 2 is smaller than 2"):
        one(VALUES, torch.tensor([0, 2, 1, 6]))
    with pytest.raises(ValueError, match="the last offset, 5 at position 1, is not the number of values, 6"):
        one(VALUES, torch.tensor([0, 5]))
    with pytest.raises(ValueError, match="4 offsets are not those of 2"):
        two(VALUES, torch.tensor([0, 1, 2, 6]))
    with pytest.raises(ValueError, match="first offset is 1"):
        one(VALUES, torch.tensor([1, 6]))
    with pytest.raises(TypeError, match="torch.float32"):
        one(VALUES.float(), OFFSETS)
    with pytest.raises(TypeError):
        one(VALUES, [0, 6])
    with pytest.raises(ValueError, match="5 weights for 6 values"):
        one(VALUES, OFFSETS, per_sample_weights=torch.ones(5))
    with pytest.raises(ValueError, match="learning rate cannot be nan"):
        one.set_learning_rate(float("nan"))


def test_bad_arguments():
    for rule in OptimType:
        if rule not in RULES:
            with pytest.raises(ValueError, match="cannot be fused: .*EXACT_ADAGRAD"):
                bag(optimizer=rule)
            assert bag(optimizer=rule, sparse=False).optimizer is rule
    with pytest.raises(ValueError, match="product of tt_q_shapes"):
        TTEmbeddingBag(ROWS, DIM + 1, RANKS, P, Q)
    with pytest.raises(ValueError, match="row"):
        TTEmbeddingBag(61, DIM, RANKS, P, Q)
    with pytest.raises(ValueError):
        TTEmbeddingBag(ROWS, DIM, [3], P, Q)
    with pytest.raises(ValueError, match="num_tables must be at least 1"):
        batched(0)
    with pytest.raises(ValueError, match="a cache is of one table, not of 2"):
        batched(2, use_cache=True)
    with pytest.raises(ValueError, match="hashtbl_size, 3, is smaller than cache_size, 5"):
        bag(cache_size=5, hashtbl_size=3)
    with pytest.raises(ValueError, match="weight_dist must be one of"):
        bag(weight_dist="zeros")
