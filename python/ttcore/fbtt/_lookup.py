"""Lookups as a function of the parts of a memory."""

import torch
from torch.autograd.function import once_differentiable

from .._autograd import plain
from . import _memory


class Lookup(torch.autograd.Function):
    """Pooled rows ``[B, T N]``. Backward hands over the gradients of the parts, or updates them."""

    @staticmethod
    def forward(ctx, call, weights, *parts):
        ctx.call, ctx.fused = call, call.owner.sparse and any(ctx.needs_input_grad[2:])
        ctx.lr = call.owner.learning_rate
        # PyTorch refuses a backward if one of them was changed meanwhile.
        ctx.save_for_backward(weights, *parts)
        return call.run(weights, train=True)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        weights, *parts = ctx.saved_tensors
        call, needs = ctx.call, ctx.needs_input_grad
        grad_out = plain(grad_out)
        grad_weights = torch.empty_like(weights) if needs[1] else None
        grads = [None] * len(parts)
        if ctx.fused:
            call.update(parts, grad_out, ctx.lr, grad_weights)
        else:
            memory = torch.empty_like(call.memory) if any(needs[2:]) else None
            rows = (None,) * call.memory.size(0) if memory is None else memory.unbind(0)
            call.under_way.backward(call.memory.unbind(0), grad_out, tuple(rows), grad_weights)
            if memory is not None:
                # A cache that holds nothing yet has no gradient: optimisers would keep state of that size.
                views = zip(_memory.views(memory, parts), needs[2:])
                grads = [view if need and view.numel() else None for view, need in views]
        return (None, grad_weights, *grads)


class Call:
    """One lookup: what goes in, the memory of the parts, and what forward leaves for backward."""

    def __init__(self, owner, indices, offsets, bags, parts):
        self.owner, self.indices, self.offsets, self.bags = owner, indices, offsets, bags
        #: Whether the parts are others than the module's, such as those of ``torch.func.functional_call``.
        self.foreign = not _memory.holds(owner._memory, parts)
        self.memory = _memory.gathered(parts, owner.num_tables) if self.foreign else owner._memory
        self.under_way = None

    def run(self, weights, train):
        owner, memory = self.owner, self.memory
        out = memory.new_empty(self.bags, owner.num_tables * owner.embedding_dim)
        session, rows = owner._tables.session(memory.dtype), memory.unbind(0)
        self.under_way = session.forward(
            self.indices, self.offsets, weights, rows, out, last=True, jagged=True, train=train
        )
        return out

    def update(self, parts, grad_out, lr, grad_weights):
        """Applies the rule of the module to the parts, all at once."""
        owner, memory = self.owner, self.memory
        if not self.foreign and owner._memory is not memory:
            raise RuntimeError("the module was cast, moved, loaded or given a cache between forward and backward")
        self.under_way.step(memory.unbind(0), owner._state_rows(), grad_out, lr, grad_weights)
        if self.foreign:
            for part, view in zip(parts, _memory.views(memory, parts)):
                part.copy_(view)
        # Other graphs saw other numbers.
        torch.autograd.graph.increment_version(parts)
