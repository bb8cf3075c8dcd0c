"""Frequent rows held as they are."""

import copy

import pytest
import torch
from conftest import dense

import ttcore

HOT = torch.tensor([5, 17, 42])


def bag(**kwargs):
    kwargs = {"mode": "sum", "seed": 0, "dtype": torch.float64, "cache_rows": 3, **kwargs}
    return ttcore.TTEmbeddingBag(60, 8, tt_shape=([3, 4, 5], [2, 2, 2]), tt_rank=3, **kwargs)


def look_up(bag, rounds=4):
    """Trains on nothing, mostly of the hot rows."""
    for row in range(rounds):
        values = torch.cat([HOT, HOT, torch.tensor([row])])
        (bag(values.view(1, -1)) * 0).sum().backward()


def test_the_rows_looked_up_most_are_loaded():
    one = bag()
    before = one.expand()
    assert one.refresh() == (0, 0, 0)
    look_up(one)
    assert one.refresh() == (3, 0, 0)
    assert torch.equal(one.expand(), before)
    stats = one.statistics()
    assert stats["cached_rows"] == 3 and stats["lookups"] == 28 and stats["hits"] == 0
    look_up(one)
    assert one.statistics()["hits"] == 24


def test_cached_rows_are_trained_as_rows():
    one = bag()
    look_up(one)
    one.refresh()
    other, values = dense(one), torch.tensor([[5, 5, 42], [17, 5, 17]])
    one.cores.grad = None
    one(values).square().sum().backward()
    other(values).square().sum().backward()
    cores = one.shape.parameters
    assert not one.cores.grad[:cores].any()
    got = one.cores.grad[cores:].view(3, 8)
    slots = one._tables.session(torch.float64).cache(0)[0]
    torch.testing.assert_close(got, other.weight.grad[slots])


def test_gradients_agree_with_rows_cached_and_not():
    one = bag(padding_idx=17)
    look_up(one)
    one.refresh()
    cores = one.cores.detach().requires_grad_()
    values, weights = torch.tensor([[5, 3, 42], [17, 5, 58]]), torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    call = lambda cores, weights: torch.func.functional_call(one, {"cores": cores}, (values, None, weights))  # noqa: E731
    assert torch.autograd.gradcheck(call, (cores, weights))


def test_a_forward_before_a_refresh_is_refused():
    one = bag()
    look_up(one)
    loss = one(HOT.view(1, -1)).sum()
    one.refresh()
    with pytest.raises(RuntimeError, match="modified by an inplace operation|refreshed"):
        loss.backward()


def test_evaluation_and_recomputation_do_not_count_twice():
    one = bag()
    with torch.no_grad():
        one(HOT.view(1, -1))
    one(HOT.view(1, -1))
    assert one.statistics()["lookups"] == 0
    from torch.utils.checkpoint import checkpoint

    anchor = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    checkpoint(lambda anchor: one(HOT.view(1, -1)) + anchor, anchor, use_reentrant=False).sum().backward()
    assert one.statistics()["lookups"] == 3
    loss = one(HOT.view(1, -1)).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert one.statistics()["lookups"] == 3


@pytest.mark.parametrize("fused", [dict(), dict(fused="adagrad", lr=0.1), dict(fused="adagrad_norm", lr=0.1)])
def test_copies_and_checkpoints_know_what_is_cached(fused):
    one = bag(**fused)
    look_up(one)
    one.refresh()
    with torch.no_grad():
        one.core_views()[0].mul_(2.0)  # cached rows are now others than the cores say
    other = bag(**fused, seed=9)
    other.load_state_dict(one.state_dict())
    for each in (other, copy.deepcopy(one)):
        assert torch.equal(each.expand(), one.expand())
        assert each.refresh() == (0, 0, 3)
    assert one.refresh() == (0, 0, 3)
    # Whose types were changed.
    wide = copy.deepcopy(one).float()
    torch.testing.assert_close(wide.expand(), one.expand().float())
    assert wide.statistics()["cached_rows"] == 3


def test_other_caches_are_refused():
    one = bag()
    look_up(one)
    one.refresh()
    with pytest.raises(ValueError, match="cache of another size"):
        bag(cache_rows=2).load_state_dict(one.state_dict())
    state = one.state_dict()
    state["_extra_state"] = state["_extra_state"][:-3]
    with pytest.raises(ValueError, match="not whole"):
        bag().load_state_dict(state)
