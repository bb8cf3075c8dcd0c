"""The interface of ``tt_embeddings_ops``: frequent rows held as they are."""

import pytest
import torch

from ttcore.fbtt import OptimType, TableBatchedTTEmbeddingBag, TTEmbeddingBag

ROWS, DIM, HOT = 60, 8, [5, 17, 42]


def bag(**kwargs):
    kwargs = {"learning_rate": 0.1, "cache_size": 3, **kwargs}
    return TTEmbeddingBag(ROWS, DIM, [3, 2], [3, 4, 5], [2, 2, 2], **kwargs)


def look_up(one, rows=HOT, rounds=4, factor=0):
    """Lookups, of the same rows mostly; ``factor`` is their gradient."""
    for row in range(rounds):
        values = torch.tensor([*rows, *rows, row])
        (one(values, torch.tensor([0, len(values)])) * factor).sum().backward()


def table(one):
    with torch.no_grad():
        return one(torch.arange(ROWS), torch.arange(ROWS + 1))


def cached(one):
    """Rows by slot."""
    one.state_dict()
    there = one.cache_state >= 0
    return dict(zip(one.cache_state[there].tolist(), one.hashtbl[there].tolist()))


def populated(**kwargs):
    one = bag(**kwargs)
    look_up(one)
    one.cache_populate()
    return one


def test_memory_is_taken_when_it_is_populated():
    one = TTEmbeddingBag(1_000_000, 64, [8, 8])
    assert one.use_cache and one.cache_size == 100_000
    assert sum(x.numel() for x in [*one.parameters(), *one.buffers()]) < 200_000
    before, size = list(one.parameters()), one.cache_weight
    one.cache_populate()  # nothing was counted
    assert one.cache_weight.numel() == 0
    one(torch.tensor([7]), torch.tensor([0, 1])).sum().backward()
    one.cache_populate()
    assert one.cache_weight.shape == (100_000, 64) and one.cache_weight is size
    assert [id(param) for param in one.parameters()] == [id(param) for param in before]


def test_the_rows_looked_up_most_are_held():
    one = bag()
    look_up(one)
    before = table(one)
    one.cache_populate()
    assert sorted(cached(one).values()) == HOT
    torch.testing.assert_close(table(one), before)
    for slot, row in cached(one).items():
        assert torch.equal(one.cache_weight[slot], table(one)[row])


@pytest.mark.parametrize("rule", [OptimType.SGD, OptimType.EXACT_ADAGRAD])
def test_held_rows_are_trained_as_rows(rule):
    one = populated(optimizer=rule, eps=1e-3)
    before, cores = table(one), [core.clone() for core in one.tt_cores]
    values, weights = torch.tensor([5, 42, 5]), torch.tensor([1.0, 2.0, 3.0])
    grad = torch.randn(1, DIM)
    one(values, torch.tensor([0, 3]), per_sample_weights=weights).backward(grad)
    assert all(map(torch.equal, one.tt_cores, cores))
    after, want = table(one), before.clone()
    for row, factor in (5, 4.0), (42, 2.0):
        g = factor * grad[0]
        want[row] -= 0.1 * g if rule is OptimType.SGD else 0.1 * g / (g.abs() + 1e-3)
    torch.testing.assert_close(after, want)
    torch.testing.assert_close(one.full_weight(), want)


def test_gradients_of_held_rows():
    one = populated(sparse=False).double()
    names = ["tt_cores.0", "tt_cores.1", "tt_cores.2", "cache_weight"]
    values, offsets = torch.tensor([5, 3, 42, 17, 5, 58]), torch.tensor([0, 3, 6])
    params = [param.detach().clone().requires_grad_() for param in one.get_params()]

    def looked_up(*params):
        return torch.func.functional_call(one, dict(zip(names, params)), (values, offsets))

    assert torch.autograd.gradcheck(looked_up, params)
    out = torch.nn.functional.embedding_bag(values, one.full_weight(), offsets, mode="sum", include_last_offset=True)
    torch.testing.assert_close(one(values, offsets), out)
    want = torch.autograd.grad(out.square().sum(), one.get_params())
    one(values, offsets).square().sum().backward()
    for param, grad in zip(one.get_params(), want):
        torch.testing.assert_close(param.grad, grad)


def test_an_optimiser_made_before_trains_held_rows():
    one = bag(sparse=False)
    optimiser = torch.optim.Adam(one.parameters(), lr=0.1)
    look_up(one, factor=1)
    optimiser.step()
    one.cache_populate()
    before = table(one)
    optimiser.zero_grad()
    one(torch.tensor([5]), torch.tensor([0, 1])).sum().backward()
    optimiser.step()
    # Its first step, of a gradient of ones.
    torch.testing.assert_close(table(one)[5], before[5] - 0.1)


def test_populated_again():
    one = populated(optimizer=OptimType.EXACT_ADAGRAD)
    look_up(one, HOT, 1, factor=1)
    learned, before = table(one), one.full_weight().detach()
    slots = cached(one)
    look_up(one, [42, 9, 11], rounds=20)
    one.cache_populate()
    again = cached(one)
    assert sorted(again.values()) == [9, 11, 42]
    # A row that stays keeps its place and what it learned; others begin as the cores have them, with new state.
    slot = next(slot for slot, row in slots.items() if row == 42)
    assert again[slot] == 42
    now = table(one)
    assert torch.equal(now[42], learned[42]) and one.cache_optimizer_state[slot].any()
    for slot, row in again.items():
        if row != 42:
            torch.testing.assert_close(now[row], before[row])
            assert not one.cache_optimizer_state[slot].any()
    for row in 5, 17:
        assert not torch.equal(now[row], learned[row])
    # All of it is trained on.
    look_up(one, [9, 5, 42], 1, factor=1)
    changed = (table(one) != now).any(1)
    assert changed[[9, 5, 42]].all() and not changed[11]
    one.reset_cache()
    assert one.hashtbl.numel() == 0 and one.cache_weight.numel() == 0
    torch.testing.assert_close(table(one), one.full_weight().detach())


def test_cores_that_were_exchanged_are_cached():
    one = populated()
    for core in one.tt_cores:
        core.data = torch.randn_like(core)
    look_up(one, [1, 2, 3], 20)
    one.cache_populate()
    with torch.no_grad():
        before = bag(use_cache=False)
        before.load_state_dict({name: x for name, x in one.state_dict().items() if name.startswith("tt_cores")}, strict=False)
    torch.testing.assert_close(table(one), table(before))


def test_all_rows_can_be_cached():
    one = bag(cache_size=1000)
    one.update_cache(torch.arange(ROWS))
    want = table(one)
    one.cache_populate()
    assert one.cache_weight.shape == (ROWS, DIM)
    torch.testing.assert_close(table(one), want)


def test_what_is_counted():
    one = bag(cache_size=2)
    one.eval()
    look_up(one, [50, 51, 52], 10)
    one.train()
    with torch.no_grad():
        one(torch.tensor([50] * 100), torch.tensor([0, 100]))
    look_up(one, [1, 2, 1], 1)
    one.update_cache(torch.tensor([2, 2, 2]))
    one.state_dict()
    assert dict(zip(one.hashtbl.tolist(), one.cache_freq.tolist())) == {0: 1, 1: 4, 2: 5}
    with pytest.raises(IndexError, match="index 60 at position 1"):
        one.update_cache(torch.tensor([0, 60]))
    one.cache_populate()
    assert sorted(cached(one).values()) == [1, 2]
    # The past fades.
    assert dict(zip(one.hashtbl.tolist(), one.cache_freq.tolist())) == {1: 2, 2: 2}


def test_counts_take_no_more_memory_than_they_may():
    one = bag(cache_size=2, hashtbl_size=5)
    one.update_cache(torch.tensor([7] * 10 + [8] * 6))
    one.update_cache(torch.arange(ROWS))
    one.cache_populate()
    assert one.hashtbl.numel() <= 5 and sorted(cached(one).values()) == [7, 8]


def test_without_a_cache():
    for one in bag(use_cache=False), TableBatchedTTEmbeddingBag(2, ROWS, DIM, [3, 2]):
        one.update_cache(torch.tensor([99]))
        one.cache_populate()
        one.reset_cache()
        assert one.cache_weight is None and len(one.get_params()) == 3
    assert len(bag().get_params()) == len(bag().get_params()) == 4


def test_a_graph_of_before_is_refused_when_populated():
    for sparse in True, False:
        one = bag(sparse=sparse)
        look_up(one)
        out = one(torch.tensor([5]), torch.tensor([0, 1])).sum()
        one.cache_populate()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


def test_processes_that_would_go_their_own_ways(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    fused, plain = bag(), bag(sparse=False)
    with pytest.raises(RuntimeError, match="is updated by each process .* use sparse=False with an optimiser"):
        look_up(fused)
    look_up(plain)
    with pytest.raises(RuntimeError, match="caches rows by the lookups of one process"):
        plain.cache_populate()
    for one in fused, plain:
        one.fused_replicas = True
        look_up(one, factor=1)
        one.cache_populate()
        assert one.cache_weight.numel() == 3 * DIM
