"""Lookups as a function of parameters and per-sample weights."""

import torch
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from . import _ops

#: Carries the graph where the parameters do not: those of fused tables are updated by backward, and no optimiser's.
_ANCHOR = torch.empty(0, requires_grad=True)


class _Bags(torch.autograd.Function):
    """Pooled rows of the tables of a module. Backward hands gradients over, or applies the rule of fused tables."""

    @staticmethod
    def forward(ctx, owner, values, offsets, weights, last, jagged, bags, anchor, *params):
        out = params[0].new_empty((bags, owner._stride))
        session = owner._tables.session(out.dtype)
        ctx.run = session.forward(values, offsets, weights, params, out, last=last, jagged=jagged, train=True)
        ctx.owner = owner
        # PyTorch refuses a backward if one of them was changed meanwhile.
        ctx.save_for_backward(weights, *params)
        return out

    @staticmethod
    def backward(ctx, grad_out):
        # Gradients are asked to have gradients only where these are recorded.
        return _once(ctx, grad_out) if torch.is_grad_enabled() else _backward(ctx, grad_out)


def _backward(ctx, grad_out):
    weights, *params = ctx.saved_tensors
    params, owner, needs = tuple(params), ctx.owner, ctx.needs_input_grad
    grad_out = plain(grad_out)
    grad_weights = torch.empty_like(weights) if needs[3] else None
    if owner.fused is None:
        grads = gradients(params, needs[8:])
        ctx.run.backward(params, grad_out, grads, grad_weights)
    else:
        grads = (None,) * len(params)
        ctx.run.step(params, owner._states(), grad_out, owner.lr, grad_weights)
        # Other graphs saw other parameters.
        changed(params)
    return (None, None, None, grad_weights, None, None, None, None, *grads)


_once = once_differentiable(_backward)


def plain(tensor):
    """The same numbers one behind the other, none of them stored as its negative, which an address does not tell."""
    return tensor.resolve_neg().contiguous() if isinstance(tensor, torch.Tensor) else tensor


def changed(params):
    """Tells PyTorch that parameters were changed: graphs that saw them before are refused."""
    for param in params:  # one by one, as older versions have it
        torch.autograd.graph.increment_version(param)


def gradients(params, needs):
    """Memory for the gradients of parameters, ``None`` where there is no need."""
    if len(params) == 1:
        return (torch.empty_like(params[0]),) if needs[0] else (None,)
    # In one piece: many large pieces would be given back to the system, and fetched again, in every step.
    sizes = [param.numel() if need else 0 for param, need in zip(params, needs)]
    parts = params[0].new_empty(sum(sizes)).split(sizes)
    return tuple(part if need else None for part, need in zip(parts, needs))


def bags(owner, values, offsets, weights, last, jagged, bags, params):
    """``[bags, stride]``: rows of the tables of ``owner``, pooled.

    ``values`` is a tensor and ``offsets`` a tensor or ``None``, or both are tuples of them, one for each table; ``weights``
    is one tensor in any case, of as many numbers.
    """
    weights = plain(weights)
    # Who traces eager calls, or runs them without numbers, sees operators, not what is written to an address.
    if torch.compiler.is_compiling() or (owner.fused is None and torch._C._len_torch_dispatch_stack()):
        if owner.fused is None:
            return _ops.bags(owner._tables, values, offsets, weights, last, jagged, bags, params)
        return fused_tables_are_not_traced(owner, values, offsets, weights, last, jagged, bags, params)
    return _eager(owner, values, offsets, weights, last, jagged, bags, params)


def _eager(owner, values, offsets, weights, last, jagged, bags, params):
    if any(map(torch.is_neg, params)):
        if owner.fused is not None:
            raise ValueError("fused tables cannot be updated where numbers are stored as their negatives")
        params = tuple(map(plain, params))
    if forward_ad._current_level >= 0:
        # Refused by PyTorch, where a table or a weight has a tangent.
        return _Bags.apply(owner, values, offsets, weights, last, jagged, bags, None, *params)
    if torch.is_grad_enabled():
        fused = owner.fused is not None
        if fused or any(param.requires_grad for param in params) or (weights is not None and weights.requires_grad):
            anchor = _ANCHOR if fused else None
            return _Bags.apply(owner, values, offsets, weights, last, jagged, bags, anchor, *params)
    out = params[0].new_empty((bags, owner._stride))
    session = owner._tables.session(out.dtype)
    session.forward(values, offsets, weights, params, out, last=last, jagged=jagged)
    return out


@torch.compiler.disable
def fused_tables_are_not_traced(*call):
    return _eager(*call)
