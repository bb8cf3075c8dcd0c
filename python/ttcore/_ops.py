"""The same lookups as operators, for ``torch.compile``: functions of tensors alone, which it can trace.

An operator cannot return what forward leaves for backward. It returns a number instead, by which the last few passes of a
table are remembered. Where one is not remembered, backward runs forward again, to the same bits.
"""

import itertools
import weakref
from collections import OrderedDict

import torch
from torch.utils._python_dispatch import _disable_current_modes as disable_current_modes

#: Passes remembered for each module.
_REMEMBERED = 8

_OWNERS = weakref.WeakValueDictionary()
_handles, _tokens = itertools.count(1), itertools.count(1)

_library = torch.library.Library("ttcore", "DEF")
_library.define(
    "bags(Tensor[] params, Tensor[] values, Tensor[] offsets, Tensor? weights, Tensor handle, SymInt bags, int stride, "
    "bool last, bool jagged, bool many, bool train) -> (Tensor, Tensor)"
)
_library.define(
    "bags_backward(Tensor grad, Tensor[] params, Tensor[] values, Tensor[] offsets, Tensor? weights, Tensor token, "
    "Tensor handle, bool last, bool jagged, bool many, bool of_params, bool of_weights) -> (Tensor[], Tensor)"
)


class Passes(OrderedDict):
    """The passes of a module whose backward may come, by number."""

    def keep(self, run):
        """Remembers a pass, and forgets the oldest: the number of the new one."""
        token = next(_tokens)
        self[token] = run
        while len(self) > _REMEMBERED:
            self.popitem(last=False)
        return token


def own(tables):
    """A number for tables, by which operators find them: a tensor, so that modules that are alike share a compiled graph."""
    handle = next(_handles)
    _OWNERS[handle] = tables
    with disable_current_modes():
        return torch.tensor(handle, device="cpu")


def bags(tables, values, offsets, weights, last, jagged, bags, params):
    """As :func:`ttcore._autograd.bags`, traced."""
    many = isinstance(values, (tuple, list))
    train = torch.is_grad_enabled() and (
        any(param.requires_grad for param in params) or (weights is not None and weights.requires_grad)
    )
    values, offsets = (list(values), list(offsets)) if many else ([values], [offsets])
    # A list of tensors has no place for what is not there.
    offsets = [value.new_empty(0) if offset is None else offset for value, offset in zip(values, offsets)]
    call = torch.ops.ttcore.bags
    return call(list(params), values, offsets, weights, tables.handle, bags, tables.stride, last, jagged, many, train)[0]


def _run(params, values, offsets, weights, handle, bags, stride, last, jagged, many, train):
    tables = _OWNERS.get(int(handle))
    if tables is None:
        raise RuntimeError("the module that this was compiled for is not there any more")
    out = params[0].new_empty((bags, stride))
    offsets = [None if value.dim() == 2 and offset.numel() == 0 else offset for value, offset in zip(values, offsets)]
    if many:
        values, offsets = tuple(values), tuple(offsets)
    else:
        (values,), (offsets,) = values, offsets
    session = tables.session(out.dtype)
    run = session.forward(values, offsets, weights, tuple(params), out, last=last, jagged=jagged, train=train)
    return tables, out, run


def _bags(*call):
    tables, out, run = _run(*call)
    return out, torch.tensor(0 if run is None else tables.passes.keep(run))


def _fake(params, values, offsets, weights, handle, bags, stride, last, jagged, many, train):
    return params[0].new_empty((bags, stride)), torch.empty((), dtype=torch.int64)


def _backward(
    grad, params, values, offsets, weights, token, handle, last, jagged, many, of_params, of_weights
):
    tables = _OWNERS.get(int(handle))
    run = None if tables is None else tables.passes.pop(int(token), None)
    if run is None:
        _, _, run = _run(params, values, offsets, weights, handle, *grad.shape, last, jagged, many, True)
    grads = [torch.empty_like(param) for param in params] if of_params else []
    of_weights = torch.empty_like(weights) if of_weights else grad.new_empty(0)
    wanted = tuple(grads) if of_params else (None,) * len(params)
    run.backward(tuple(params), grad.resolve_neg().contiguous(), wanted, of_weights if of_weights.numel() else None)
    return grads, of_weights


def _backward_fake(
    grad, params, values, offsets, weights, token, handle, last, jagged, many, of_params, of_weights
):
    grads = [torch.empty_like(param) for param in params] if of_params else []
    return grads, torch.empty_like(weights) if of_weights else grad.new_empty(0)


def _save(ctx, inputs, output):
    params, values, offsets, weights, handle, _, _, last, jagged, many, _ = inputs
    ctx.call = len(params), len(values), last, jagged, many
    ctx.save_for_backward(output[1], weights, handle, *params, *values, *offsets)
    ctx.of = any(param.requires_grad for param in params), weights is not None and weights.requires_grad


def _differentiate(ctx, grad, _):
    many_params, many_values, last, jagged, many = ctx.call
    token, weights, handle, *rest = ctx.saved_tensors
    params, rest = rest[:many_params], rest[many_params:]
    values, offsets = rest[:many_values], rest[many_values:]
    call = torch.ops.ttcore.bags_backward
    grads, of_weights = call(grad, params, values, offsets, weights, token, handle, last, jagged, many, *ctx.of)
    grads = list(grads) if ctx.of[0] else [None] * many_params
    nothing = [None] * many_values
    return grads, nothing, nothing, of_weights if ctx.of[1] else None, *[None] * 7


for _name, _kernel, _shape in ("bags", _bags, _fake), ("bags_backward", _backward, _backward_fake):
    _library.impl(_name, _kernel, "CPU")
    torch.library.register_fake(f"ttcore::{_name}", _shape, lib=_library)
torch.library.register_autograd("ttcore::bags", _differentiate, setup_context=_save, lib=_library)
