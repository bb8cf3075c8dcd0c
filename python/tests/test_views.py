"""Tensors whose numbers are not what lies at their address, and calls that see no numbers at all."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

import ttcore
from ttcore import fbtt

INDICES, OFFSETS = torch.tensor([1, 2, 3]), torch.tensor([0, 1])


def modules():
    one = ttcore.TTEmbeddingBag(10, 4, mode="sum", tt_rank=2, seed=0)
    other = fbtt.TTEmbeddingBag(10, 4, [2, 2], [2, 1, 5], [1, 2, 2], sparse=False, use_cache=False)
    return [
        (one, lambda weights: one(INDICES, OFFSETS, weights)),
        (other, lambda weights: other(INDICES, torch.tensor([0, 1, 3]), per_sample_weights=weights)),
    ]


def negative(tensor):
    """The same numbers, in memory as their negatives."""
    out = torch.complex(torch.zeros_like(tensor), -tensor).conj().imag
    assert out.is_neg() and torch.equal(out, tensor)
    return out


@pytest.mark.parametrize("number", [0, 1])
def test_weights_and_gradients_of_any_memory(number):
    module, call = modules()[number]
    plain = torch.tensor([0.5, -2.0, 3.0], requires_grad=True)
    strided = torch.tensor([0.5, 9.0, -2.0, 9.0, 3.0, 9.0], requires_grad=True)
    grad = torch.arange(8.0).view(2, 4) - 3
    call(plain).backward(grad)
    want = [param.grad.clone() for param in module.parameters()]
    for weights, grad_out in [(strided[::2], grad), (negative(plain), grad), (plain, negative(grad))]:
        module.zero_grad()
        out = call(weights)
        assert torch.equal(out, call(plain))
        given, = torch.autograd.grad(out, weights, grad_out, retain_graph=True)
        assert torch.equal(given, plain.grad)
        out.backward(grad_out)
        assert all(torch.equal(param.grad, one) for param, one in zip(module.parameters(), want))
        plain.grad = torch.autograd.grad(call(plain), plain, grad)[0]


def test_parameters_that_are_negatives():
    module, call = modules()[0]
    cores = module.cores.detach()
    out = torch.func.functional_call(module, {"cores": negative(cores)}, (INDICES, OFFSETS))
    assert torch.equal(out, call(None))
    fused = ttcore.TTEmbeddingBag(10, 4, mode="sum", tt_rank=2, seed=0, fused="sgd", lr=0.1)
    with pytest.raises(ValueError, match="stored as their negatives"):
        torch.func.functional_call(fused, {"cores": negative(cores)}, (INDICES, OFFSETS))


@pytest.mark.parametrize("grad", [False, True])
def test_tangents_are_refused(grad):
    module, _ = modules()[0]
    with forward_ad.dual_level(), torch.set_grad_enabled(grad), pytest.raises(NotImplementedError, match="jvp"):
        cores = forward_ad.make_dual(module.cores.detach(), torch.ones_like(module.cores))
        torch.func.functional_call(module, {"cores": cores}, (INDICES, OFFSETS))


@torch.no_grad()
def test_traced_calls_are_in_the_trace():
    module, call = modules()[0]
    traced = make_fx(lambda indices, offsets: module(indices, offsets))(INDICES, OFFSETS)
    assert torch.equal(traced(INDICES, OFFSETS), call(None))
    assert torch.equal(traced(3 * INDICES, OFFSETS), module(3 * INDICES, OFFSETS))


def test_tensors_without_numbers():
    module, _ = modules()[0]
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert module(mode.from_tensor(INDICES), mode.from_tensor(OFFSETS)).shape == (2, 4)
