"""Copies, pickles, checkpoints and casts of modules."""

import copy
import io
import pickle

import pytest
import torch

import ttcore

VALUES, OFFSETS = torch.tensor([3, 59, 59, 0, 7, 21]), torch.tensor([0, 3, 3, 4])


def bag(**kwargs):
    kwargs = {"mode": "sum", "seed": 0, **kwargs}
    return ttcore.TTEmbeddingBag(60, 8, tt_shape=([3, 4, 5], [2, 2, 2]), tt_rank=3, **kwargs)


def trained(one, steps=2):
    optimiser = torch.optim.SGD(one.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        one(VALUES, OFFSETS).square().sum().backward()
        optimiser.step()
    return one


def copies():
    yield "deepcopy", copy.deepcopy
    yield "pickle", lambda one: pickle.loads(pickle.dumps(one))

    def saved(one):
        file = io.BytesIO()
        torch.save(one, file)
        file.seek(0)
        return torch.load(file, weights_only=False)

    yield "save", saved

    def state(one):
        file = io.BytesIO()
        torch.save(one.state_dict(), file)
        file.seek(0)
        other = bag(seed=1)
        other.load_state_dict(torch.load(file, weights_only=True))
        return other

    yield "state_dict", state

    def assigned(one):
        other = bag(seed=1, device="meta")
        other.load_state_dict(copy.deepcopy(one.state_dict()), assign=True)
        return other

    yield "assign", assigned


@pytest.mark.parametrize("name, make", list(copies()))
def test_a_copy_goes_its_own_way(name, make):
    one = trained(bag())
    other = make(one)
    assert torch.equal(one(VALUES, OFFSETS), other(VALUES, OFFSETS))
    before = one.cores.clone()
    trained(other)
    assert torch.equal(one.cores, before) and not torch.equal(one.cores, other.cores)
    assert torch.equal(trained(one).cores, other.cores)


def test_types():
    one = trained(bag())
    out = one(VALUES, OFFSETS)
    wide = copy.deepcopy(one).double()
    assert wide(VALUES, OFFSETS).dtype == torch.float64
    torch.testing.assert_close(wide(VALUES, OFFSETS).float(), out)
    assert trained(wide).float()(VALUES, OFFSETS).dtype == torch.float32


def test_another_shape_with_as_many_numbers_is_refused():
    one = ttcore.TTEmbeddingBag(60, 8, tt_shape=([3, 4, 5], [2, 2, 2], [1, 2, 2, 1]))
    other = ttcore.TTEmbeddingBag(60, 8, tt_shape=([5, 4, 3], [2, 2, 2], [1, 2, 2, 1]))
    assert one.cores.shape == other.cores.shape
    with pytest.raises(ValueError, match="another shape"):
        other.load_state_dict(one.state_dict())


def test_modules_without_numbers():
    one = bag(device="meta")
    assert one.cores.is_meta
    one.to_empty(device="cpu").reset_parameters(seed=0)
    assert torch.equal(one.cores, bag().cores)


def test_a_state_is_tensors_alone():
    state = bag(cache_rows=2, fused="adam", lr=0.1).state_dict()
    assert sorted(state) == ["_extra_state", "cores", "optimizer_state"]
    assert all(isinstance(tensor, torch.Tensor) and tensor.is_contiguous() for tensor in state.values())


def test_shapes():
    shape = ttcore.Shape.smallest(1000, 8, cores=3, rank=4)
    again = pickle.loads(pickle.dumps(shape))
    assert again == shape and eval(repr(shape), {"Shape": ttcore.Shape}) == shape and len(shape) == 3
    assert ttcore.Shape.paper(1000, 8) != shape


def test_a_module_says_what_it_is():
    text = repr(bag(padding_idx=-1, cache_rows=2, fused="sgd", lr=0.5))
    for part in ("60, 8", "mode='sum'", "[3, 4, 5]", "padding_idx=59", "fused='sgd'", "lr=0.5", "cache_rows=2"):
        assert part in text
