"""Tables that backward updates."""

import pytest
import torch

import ttcore

VALUES, OFFSETS = torch.tensor([3, 59, 59, 0, 7, 21]), torch.tensor([0, 3, 3, 4])


def bag(**kwargs):
    kwargs = {"mode": "sum", "seed": 0, "dtype": torch.float64, **kwargs}
    return ttcore.TTEmbeddingBag(60, 8, tt_shape=([3, 4, 5], [2, 2, 2]), tt_rank=3, **kwargs)


OPTIMISERS = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}


@pytest.mark.parametrize("rule", OPTIMISERS)
def test_rules_are_pytorchs(rule):
    fused, plain = bag(fused=rule, lr=0.1), bag()
    optimiser = OPTIMISERS[rule](plain.parameters(), lr=0.1)
    for step in range(5):
        values = torch.randint(60, (20,))
        offsets = torch.arange(0, 20, 4)
        grad = torch.randn(5, 8, dtype=torch.float64)
        optimiser.zero_grad()
        plain(values, offsets).backward(grad)
        optimiser.step()
        fused(values, offsets).backward(grad)
        torch.testing.assert_close(fused.cores, plain.cores, rtol=1e-9, atol=1e-12, check_dtype=False)
    assert fused.cores.grad is None and not fused.cores.requires_grad


def test_adagrad_norm_steps_slices_by_the_learning_rate():
    one = bag(fused="adagrad_norm", lr=0.05)
    before = [core.clone() for core in one.core_views()]
    one(torch.tensor([[0]])).sum().backward()
    for core, old in zip(one.core_views(), before):
        step = (core - old).flatten(1).norm(dim=1)
        torch.testing.assert_close(step[0].item(), 0.05)
        assert not step[1:].any()
    # One number a slice.
    assert one.optimizer_state.numel() == 3 + 4 + 5


def test_the_learning_rate_is_that_of_the_moment():
    one = bag(fused="sgd", lr=0.1)
    out = one(VALUES, OFFSETS)
    one.lr, before = 0.0, one.cores.clone()
    out.sum().backward()
    assert torch.equal(one.cores, before)


def test_weights_have_gradients_of_the_table_before_the_step():
    one = bag(fused="sgd", lr=0.1)
    weights = torch.randn(6, dtype=torch.float64, requires_grad=True)
    want = one.rows(VALUES).sum(1)
    one(VALUES, OFFSETS, weights).sum().backward()
    torch.testing.assert_close(weights.grad, want)


def test_other_graphs_are_refused_after_an_update():
    one = bag(fused="sgd", lr=0.1)
    first, second = one(VALUES, OFFSETS).sum(), one(VALUES, OFFSETS).sum()
    first.backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        second.backward()
    third = one(VALUES, OFFSETS).sum()
    third.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        third.backward()


def test_no_optimiser_and_no_graph_updates_it():
    one = bag(fused="sgd", lr=0.1)
    before = one.cores.clone()
    with torch.no_grad():
        assert not one(VALUES, OFFSETS).requires_grad
    assert one(VALUES, OFFSETS).requires_grad
    assert [param for param in one.parameters() if param.requires_grad] == []
    assert torch.equal(one.cores, before)


def test_what_is_not_finite_is_refused_as_a_rate():
    one = bag(fused="sgd", lr=0.1)
    one.lr = float("inf")
    with pytest.raises(ValueError, match="learning rate cannot be inf"):
        one(VALUES, OFFSETS).sum().backward()


@pytest.mark.parametrize("rule", ["adam", "adagrad_norm"])
def test_a_run_goes_on_from_a_checkpoint(rule):
    one = bag(fused=rule, lr=0.1)
    one(VALUES, OFFSETS).sum().backward()
    other = bag(fused=rule, lr=0.1, seed=5)
    other.load_state_dict(one.state_dict())
    for each in (one, other):
        each(VALUES, OFFSETS).square().sum().backward()
    assert torch.equal(one.cores, other.cores) and torch.equal(one.optimizer_state, other.optimizer_state)
