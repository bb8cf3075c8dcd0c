"""What graphs and optimisers of PyTorch do with a table."""

import pytest
import torch
from conftest import table
from torch.utils.checkpoint import checkpoint

import ttcore

VALUES, OFFSETS = torch.tensor([3, 59, 59, 0, 7, 21]), torch.tensor([0, 3, 3, 4])


def bag(**kwargs):
    kwargs = {"mode": "sum", "seed": 0, "dtype": torch.float64, **kwargs}
    return ttcore.TTEmbeddingBag(60, 8, tt_shape=([3, 4, 5], [2, 2, 2]), tt_rank=3, **kwargs)


def by_definition(bag, values=VALUES, offsets=OFFSETS):
    return torch.nn.functional.embedding_bag(values, table(bag), offsets, mode=bag.mode)


def grad_of(bag, loss):
    (grad,) = torch.autograd.grad(loss, bag.cores)
    return grad


def test_many_forwards_before_backwards_in_any_order():
    one = bag()
    calls = [torch.randint(60, (count,)) for count in (4, 40, 7, 300)]  # room grows under way
    offsets = torch.tensor([0, 2])
    outs = [one(values, offsets) for values in calls]
    for at in (2, 0, 3, 1):
        got = grad_of(one, outs[at].square().sum())
        want = grad_of(one, by_definition(one, calls[at], offsets).square().sum())
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_one_table_used_twice_in_a_loss():
    one = bag()
    (one(VALUES, OFFSETS) * one(VALUES.flip(0), OFFSETS)).sum().backward()
    want = grad_of(one, (by_definition(one) * by_definition(one, VALUES.flip(0))).sum())
    torch.testing.assert_close(one.cores.grad, want, rtol=1e-10, atol=1e-12)


def test_retained_graphs():
    one = bag()
    loss = one(VALUES, OFFSETS).square().sum()
    loss.backward(retain_graph=True)
    first = one.cores.grad.clone()
    one(VALUES[:2], torch.tensor([0])).sum().backward()  # takes memory of its own
    one.cores.grad.zero_()
    loss.backward()
    assert torch.equal(one.cores.grad, first)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_step_between_forward_and_backward_is_refused():
    one = bag()
    loss = one(VALUES, OFFSETS).sum()
    with torch.no_grad():
        one.cores.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_second_derivatives_are_refused():
    one = bag()
    (grad,) = torch.autograd.grad(one(VALUES, OFFSETS).square().sum(), one.cores, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_gradients_of_outputs_of_any_strides():
    one = bag()
    one(VALUES, OFFSETS).sum().backward()  # expanded from one number
    want = grad_of(one, by_definition(one).sum())
    torch.testing.assert_close(one.cores.grad, want, rtol=1e-10, atol=1e-12)
    got = grad_of(one, (one(VALUES, OFFSETS).t() @ torch.ones(4, 2).double()).square().sum())
    want = grad_of(one, (by_definition(one).t() @ torch.ones(4, 2).double()).square().sum())
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_gradients_of_weights_alone():
    one = bag().requires_grad_(False)
    weights = torch.randn(6, dtype=torch.float64, requires_grad=True)
    one(VALUES, OFFSETS, weights).sum().backward()
    torch.testing.assert_close(weights.grad, one.rows(VALUES).sum(1))
    assert one.cores.grad is None


def test_no_graph_where_none_is_wanted():
    one = bag()
    with torch.no_grad():
        assert not one(VALUES, OFFSETS).requires_grad
    with torch.inference_mode():
        assert torch.equal(one(VALUES, OFFSETS), one(VALUES, OFFSETS))
    assert not bag().requires_grad_(False)(VALUES, OFFSETS).requires_grad


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_recompute_the_same(reentrant):
    one = bag()
    plain = grad_of(one, one(VALUES, OFFSETS).square().sum())
    anchor = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    out = checkpoint(lambda anchor: one(VALUES, OFFSETS) + anchor, anchor, use_reentrant=reentrant)
    out.square().sum().backward()
    assert torch.equal(one.cores.grad, plain)


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adagrad, torch.optim.Adam])
def test_optimisers_fit_a_table(optimiser):
    torch.manual_seed(1)
    one, goal = bag(), torch.randn(60, 8, dtype=torch.float64) * 0.1
    steps = optimiser(one.parameters(), lr=0.05)
    every, starts = torch.arange(60), torch.arange(60)
    losses = []
    for _ in range(60):
        steps.zero_grad()
        loss = (one(every, starts) - goal).square().sum()
        loss.backward()
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0], losses


def test_autocast_leaves_the_table_as_it_is():
    one = bag(dtype=torch.float32)
    dense = torch.nn.Linear(8, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = dense(one(VALUES, OFFSETS))
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16 and one.cores.grad.dtype == torch.float32


def test_many_steps_take_no_more_memory():
    one = bag(dtype=torch.float32)
    values, offsets = torch.randint(60, (64,)), torch.arange(0, 64, 4)

    def steps(count):
        for _ in range(count):
            one.cores.grad = None
            one(values, offsets).sum().backward()

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    steps(500)
    before = resident()
    steps(5000)
    assert resident() - before < 4 << 20
