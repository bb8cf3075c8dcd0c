"""Bad input is an exception that says where, and changes nothing."""

import subprocess
import sys

import pytest
import torch

import ttcore


def bag(**kwargs):
    return ttcore.TTEmbeddingBag(10, 4, tt_rank=2, seed=0, **{"mode": "sum", **kwargs})


def ints(*numbers, dtype=torch.int64):
    return torch.tensor(numbers, dtype=dtype)


CALLS = [
    (IndexError, "index 10 at position 2 is not a row of a table with 10 rows", (ints(0, 9, 10), ints(0))),
    (IndexError, "index -1 at position 0", (ints(-1, dtype=torch.int32), ints(0))),
    (IndexError, "index 12 at position 3", (ints(1, 2, 3, 12).view(2, 2),)),
    (ValueError, "the first offset is 1, not 0", (ints(1, 2), ints(1))),
    (ValueError, "offset 1 at position 2 is smaller than 2 before it", (ints(1, 2), ints(0, 2, 1))),
    (ValueError, "offset 3 at position 1 is behind the last of 2 lookups", (ints(1, 2), ints(0, 3))),
    (ValueError, "2 lookups but no bags", (ints(1, 2), ints())),
    (ValueError, "an input of 1 dimension needs offsets", (ints(1, 2),)),
    (ValueError, "an input of 2 dimensions has no offsets", (ints(1, 2).view(1, 2), ints(0))),
    (ValueError, "the input must have 1 or 2 dimensions|input must have 1 or 2 dimensions, not 3", (ints(1).view(1, 1, 1),)),
    (ValueError, "offsets must have 1 dimension", (ints(1, 2), ints(0).view(1, 1))),
    (TypeError, "input must be of type torch.int32 or torch.int64, not torch.float32", (torch.zeros(2), ints(0))),
    (TypeError, "input cannot be of type torch.bool", (torch.zeros(2, dtype=torch.bool), ints(0))),
    (TypeError, "input cannot be of type torch.uint8", (torch.zeros(2, dtype=torch.uint8), ints(0))),
    (TypeError, "input must be a torch.Tensor, not list", ([1, 2], ints(0))),
    (TypeError, "offsets must be of type", (ints(1, 2), torch.zeros(1))),
    (TypeError, "offsets must be a torch.Tensor", (ints(1, 2), [0])),
    (ValueError, "shape of the input", (ints(1, 2), ints(0), torch.ones(3))),
    (ValueError, "shape of the input", (ints(1, 2).view(1, 2), None, torch.ones(2))),
    (TypeError, "per_sample_weights must be of type torch.float32, not torch.float64", (ints(1, 2), ints(0), torch.ones(2).double())),
    (TypeError, "per_sample_weights must be a torch.Tensor", (ints(1, 2), ints(0), 1.0)),
    (ValueError, "input is on meta", (ints(1, 2).to("meta"), ints(0))),
]


@pytest.mark.parametrize("error, words, call", CALLS)
@pytest.mark.parametrize("grad", [True, False])
def test_calls(error, words, call, grad):
    table = bag()
    with torch.set_grad_enabled(grad), pytest.raises(error, match=words):
        table(*call)
    # And goes on.
    assert table(ints(1, 2), ints(0)).shape == (1, 4)


def test_what_has_no_meaning_for_means():
    with pytest.raises(NotImplementedError, match="'sum'"):
        bag(mode="mean")(ints(1), ints(0), torch.ones(1))


def test_a_last_offset_is_wanted():
    with pytest.raises(ValueError, match="at least one offset"):
        bag(include_last_offset=True)(ints(), ints())


MODULES = [
    (ValueError, "max_norm", dict(max_norm=1.0)),
    (ValueError, "scale_grad_by_freq", dict(scale_grad_by_freq=True)),
    (ValueError, "mode must be 'sum' or 'mean', not 'max'", dict(mode="max")),
    (ValueError, "_weight", dict(_weight=torch.zeros(10, 4))),
    (ValueError, "padding_idx 10", dict(padding_idx=10)),
    (ValueError, "padding_idx -11", dict(padding_idx=-11)),
    (ValueError, "on the CPU, not on cuda", dict(device="cuda")),
    (TypeError, "torch.float16", dict(dtype=torch.float16)),
    (ValueError, "at least 2 cores, not 1", dict(tt_cores=1)),
    (ValueError, "more than 64", dict(tt_cores=65)),
    (ValueError, "rank 0 is zero|rank 1 is zero", dict(tt_rank=0)),
    (ValueError, "3 row factors need", dict(tt_rank=[2, 3, 4])),
    (ValueError, "multiply to 4, fewer", dict(tt_shape=([2, 2], [2, 2]))),
    (ValueError, "of a table of 9 x 4 numbers, not 10 x 4", dict(tt_shape=ttcore.Shape.paper(9, 4))),
    (ValueError, "either tt_shape or max_bytes", dict(tt_shape=([2, 5], [2, 2]), max_bytes=100)),
    (ValueError, "fused must be None or one of", dict(fused="rmsprop", lr=0.1)),
    (ValueError, "needs a learning rate", dict(fused="sgd")),
    (ValueError, "lr is that of a fused rule", dict(lr=0.1)),
    (ValueError, "eps and betas", dict(eps=0.1)),
    (ValueError, "eps cannot be -1", dict(fused="adagrad", lr=0.1, eps=-1.0)),
    (ValueError, "beta2 cannot be 1", dict(fused="adam", lr=0.1, betas=(0.9, 1.0))),
    (ValueError, "threads", dict(threads=0)),
    (ValueError, "threads must be from 0 to .*, not 1180591620717411303424", dict(threads=1 << 70)),
    (ValueError, "tt_cores must be from 0 to .*, not -1", dict(tt_cores=-1)),
    (ValueError, "tt_rank must be from 0 to .*, not -1", dict(tt_rank=-1)),
    (ValueError, "tt_rank must be from 0 to .*, not -3", dict(tt_rank=[2, -3])),
    (ValueError, "max_bytes must be from 0 to .*, not -4", dict(max_bytes=-4)),
    (ValueError, "cache_rows must be from 0 to .*, not -1", dict(cache_rows=-1)),
    (ValueError, "a number of tt_shape must be from 0 to .*, not -2", dict(tt_shape=([-2, -5], [2, 2]))),
    (ValueError, "seed", dict(seed=-1)),
    (MemoryError, "would not fit in memory", dict(cache_rows=1 << 60)),
]


@pytest.mark.parametrize("error, words, kwargs", MODULES)
def test_modules(error, words, kwargs):
    with pytest.raises(error, match=words):
        ttcore.TTEmbeddingBag(10, 4, **{"tt_rank": 2, **kwargs})


@pytest.mark.parametrize("rows, dim", [(0, 4), (10, 0), (-1, 4), (10, -1), (1 << 63, 4), (1 << 70, 4)])
def test_sizes(rows, dim):
    # Rows beyond those that an index of 64 bits has a number for could neither be looked up nor saved.
    with pytest.raises(ValueError, match="num_embeddings must be|embedding_dim must be|at least one row|is zero"):
        ttcore.TTEmbeddingBag(rows, dim)


def test_rows():
    table = bag()
    with pytest.raises(IndexError, match="row 10 at position 1"):
        table.rows(ints(0, 10))
    with pytest.raises(IndexError, match="index -1 at position 0"):
        table.rows(ints(-1))
    with pytest.raises(TypeError, match="torch.float32"):
        table.rows(torch.zeros(1))


def test_a_tensor_train_has_no_weight():
    with pytest.raises(AttributeError, match=r"rows\(indices\).*expand\(\)"):
        bag().weight
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        bag().other


def test_types_that_a_module_is_cast_to():
    table = bag().half()
    with pytest.raises(TypeError, match="torch.float16"):
        table(ints(1), ints(0))
    table = bag().to("meta")
    with pytest.raises(ValueError, match="meta"):
        table(ints(1), ints(0))


def test_sparse_is_said_once():
    code = """
import warnings, ttcore
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    for _ in range(3):
        ttcore.TTEmbeddingBag(10, 4, sparse=True)
print([str(warning.message) for warning in seen if "sparse" in str(warning.message)])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.count("sparse=True has no effect") == 1, said


def test_native_calls_are_checked_too():
    from ttcore import _ttcore

    table = _ttcore.Table(ttcore.Shape.paper(10, 4, rank=2))
    session = _ttcore.Session([table])
    params, out = torch.zeros(table.parameters), torch.zeros(1, 4)
    call = (ints(1), ints(0), None)
    with pytest.raises(ValueError, match="parameters of table 0 has 3 numbers"):
        session.forward(*call, (params[:3].clone(),), out)
    with pytest.raises(ValueError, match="0 parameter views for 1 tables"):
        session.forward(*call, (), out)
    with pytest.raises(ValueError, match="output has 8 numbers, not 4"):
        session.forward(*call, (params,), torch.zeros(2, 4))
    with pytest.raises(TypeError, match="output must be of type torch.float32, not torch.float64"):
        session.forward(*call, (params,), out.double())
    run = session.forward(*call, (params,), out, train=True)
    with pytest.raises(ValueError, match="gradient of the output has 8 numbers"):
        run.backward((params,), torch.zeros(2, 4), (torch.zeros_like(params),))
    with pytest.raises(ValueError, match="2 tensors of gradients for 1 tables"):
        run.backward((params,), out, (params, params))
    with pytest.raises(ValueError, match="contiguous"):
        run.backward((params,), torch.ones(1).expand(1, 4), (params,))
    with pytest.raises(ValueError, match="learning rate cannot be NaN"):
        run.step((params,), (torch.zeros(0),), out, float("nan"))
    with pytest.raises(IndexError, match="no core 3"):
        table_shape = ttcore.Shape.paper(10, 4)
        table_shape.core_range(3)
    with pytest.raises(ValueError, match="no tables|at least one table"):
        _ttcore.Session([])
    with pytest.raises(ValueError, match="there is no table 1"):
        session.rows(1, params, None, out)
    with pytest.raises(IndexError, match="row 10"):
        session.rows(0, params, None, out, first=10)
    with pytest.raises(ValueError, match="update rule"):
        _ttcore.Table(ttcore.Shape.paper(10, 4), rule="none")
