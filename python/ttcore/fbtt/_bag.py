"""The modules of ``tt_embeddings_ops``."""

import math
import operator

import torch
import torch.distributed as dist
from torch import nn

from .._autograd import plain
from .._tables import Tables
from .._ttcore import Shape
from . import _init, _memory, _optim
from ._cache import Cached
from ._lookup import Call, Lookup
from ._optim import OptimType
from ._shapes import suggested_tt_shapes, tt_matrix_to_full


class TableBatchedTTEmbeddingBag(Cached, nn.Module):
    """Sums of rows of several tables of the same shape, each held as a tensor train, in one call.

    >>> import torch
    >>> from ttcore.fbtt import TableBatchedTTEmbeddingBag
    >>> tables = TableBatchedTTEmbeddingBag(2, 1000, 16, [8, 8], sparse=False)
    >>> tables(torch.tensor([1, 999, 7]), torch.tensor([0, 2, 2, 2, 3])).shape      # two bags of either table
    torch.Size([2, 2, 16])
    >>> [tuple(core.shape) for core in tables.tt_cores]
    [(2, 10, 16), (2, 10, 128), (2, 10, 32)]

    Args:
        num_tables: ``T``.
        num_embeddings, embedding_dim: rows and columns of a table.
        tt_ranks: ranks between the cores, one fewer than cores.
        tt_p_shapes, tt_q_shapes: factors of the rows, whose product may be larger, and of the columns, whose product is not.
        optimizer: with ``sparse=True``, the rule by which backward updates the cores: see :class:`OptimType`.
        learning_rate, eps: its constants. The rate of a step is that of its forward.
        sparse: whether backward updates the cores. If not, they get gradients, and ``optimizer`` is of no effect.
        use_cache: of one table, whether lookups are counted and :meth:`cache_populate` holds the most frequent rows as they
            are, which takes no memory before.
        cache_size: how many rows, a tenth of all by default.
        hashtbl_size: how many rows are counted at most, by default twice as many, at least 1,024. When there is no more
            room, all counts halve.
        weight_dist: what cores are drawn from: ``"uniform"``, ``"naive-uniform"``, ``"normal"``, ``"approx-uniform"``,
            ``"approx-normal"``.
        enforce_embedding_dim: of no effect: the product of the column factors is always ``embedding_dim``.

    Attributes:
        tt_cores: the cores, parameters ``[T, p_k, R_{k-1} q_k R_k]``.
        optimizer_state: state of the rule, a tensor for each core.
        cache_weight: the cached rows ``[cache_size, embedding_dim]``, a parameter; ``[0, embedding_dim]`` until there are any.
        fused_replicas: whether updates by backward, and caches, are allowed in a process group of several, whose tables then go
            their own ways; ``False`` at first.
    """

    def __init__(
        self,
        num_tables,
        num_embeddings,
        embedding_dim,
        tt_ranks,
        tt_p_shapes=None,
        tt_q_shapes=None,
        optimizer=OptimType.SGD,
        learning_rate=0.1,
        eps=1.0e-10,
        sparse=True,
        use_cache=False,
        cache_size=0,
        hashtbl_size=0,
        weight_dist="approx-normal",
        enforce_embedding_dim=False,
    ):
        super().__init__()
        self.num_tables = operator.index(num_tables)
        self.num_embeddings, self.embedding_dim = operator.index(num_embeddings), operator.index(embedding_dim)
        if self.num_tables < 1:
            raise ValueError(f"num_tables must be at least 1, not {num_tables}")
        ranks = [*map(operator.index, tt_ranks)]
        d = self.tt_ndim = len(ranks) + 1
        self.tt_ranks = [1, *ranks, 1]
        self.tt_p_shapes = _factors(tt_p_shapes, self.num_embeddings, d, True)
        self.tt_q_shapes = _factors(tt_q_shapes, self.embedding_dim, d, False)
        if math.prod(self.tt_q_shapes) != self.embedding_dim:
            raise ValueError(f"the product of tt_q_shapes {self.tt_q_shapes} is not embedding_dim, {self.embedding_dim}")
        self.optimizer, self.eps, self.sparse = OptimType(optimizer), eps, bool(sparse)
        self.set_learning_rate(learning_rate)
        self.fused_replicas = False
        shape = Shape(self.num_embeddings, self.tt_p_shapes, self.tt_q_shapes, self.tt_ranks)
        self._spec = dict(shape=shape, **(_optim.rule(self.optimizer, eps) if self.sparse else {}))
        self._tables = Tables([self._spec] * self.num_tables)

        weights = [math.prod(self.tt_p_shapes[k + 1 :]) for k in range(d)]
        self.register_buffer("L", torch.tensor(weights, dtype=torch.int64, device="cpu"))
        sizes = [
            (self.num_tables, self.tt_p_shapes[k], self.tt_ranks[k] * self.tt_q_shapes[k] * self.tt_ranks[k + 1])
            for k in range(d)
        ]
        numbers = dict(device="cpu", dtype=torch.float32)
        self.tt_cores = _memory.CoreList([nn.Parameter(torch.empty(size, **numbers)) for size in sizes])
        stateful = self.optimizer not in _optim.PLAIN
        state = [torch.zeros(size if stateful else 0, **numbers) for size in sizes]
        self.optimizer_state = _memory.BufferList("optimizer_state", state)
        self._init_cache(use_cache, cache_size, hashtbl_size, stateful)
        self._memory = self._state = None
        self.reset_parameters(weight_dist)
        self._gather()
        self.register_load_state_dict_post_hook(_loaded)

    def reset_parameters(self, weight_dist):
        """Draws new cores. State begins at zero, nothing was counted, and no row is cached."""
        if weight_dist not in _init.NAMES:
            raise ValueError(f"weight_dist must be one of {', '.join(map(repr, _init.NAMES))}, not {weight_dist!r}")
        _init.draw(weight_dist, self)
        for state in self._state_parts():
            state.zero_()
        self.reset_cache()

    def set_learning_rate(self, lr):
        """Sets the learning rate of the steps to come."""
        if not math.isfinite(lr):
            raise ValueError(f"the learning rate cannot be {lr}")
        self.learning_rate = lr

    def get_params(self):
        """All that is trained, in a new list: the cores, and with a cache its rows."""
        return [*self.tt_cores, *([self.cache_weight] if self.use_cache else [])]

    def full_weight(self):
        """The whole table as lookups give it, cached rows too, ``[num_embeddings, embedding_dim]`` (of several tables
        ``[T, ..]``), as a differentiable function of the parameters."""
        shape = self.tt_p_shapes, self.tt_q_shapes, self.tt_ranks
        cores = list(self.tt_cores)
        tables = [
            tt_matrix_to_full(*shape, [core[table] for core in cores], [1, 0, 2, 3])[: self.num_embeddings]
            for table in range(self.num_tables)
        ]
        return self._with_cached_rows(tables[0]) if self.num_tables == 1 else torch.stack(tables)

    @torch.compiler.disable
    def forward(self, indices, offsets, warmup=True, per_sample_weights=None):
        """Sums of rows, ``[T, B, embedding_dim]``.

        Args:
            indices: row numbers of all tables, one table behind the other, ``int32`` or ``int64``.
            offsets: ``[T B + 1]``, where bags begin in ``indices``, first those of the first table; the last is their number.
            warmup: of no effect.
            per_sample_weights: what each row is multiplied by, as many as indices.

        Raises:
            IndexError: a row number is not one, with its position in the list of its table.
            ValueError, TypeError: what came is not of such shapes or types.
        """
        out = self._lookup(indices, offsets, per_sample_weights)
        if self.num_tables == 1:
            return out.unsqueeze(0)
        return out.view(out.size(0), self.num_tables, self.embedding_dim).transpose(0, 1).contiguous()

    def _lookup(self, indices, offsets, weights):
        bags = max(offsets.numel() - 1, 0) // self.num_tables if isinstance(offsets, torch.Tensor) else 0
        weights, parts = plain(weights), self._parts()
        call = Call(self, indices, offsets, bags, parts)
        if torch.is_grad_enabled():
            wanted = [part.requires_grad for part in parts if part.numel()]
            if self.sparse and any(wanted):
                if not all(wanted):
                    raise ValueError("some cores need no gradient and others do, but backward updates all of them or none")
                self._same_in_all_processes("is updated by each process on its own", "sparse=False with an optimiser")
            if any(wanted) or (weights is not None and weights.requires_grad):
                out = Lookup.apply(call, weights, *parts)
                self._seen(indices)
                return out
        return call.run(weights, train=False)

    def _same_in_all_processes(self, what, instead):
        if not self.fused_replicas and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            raise RuntimeError(
                f"a table that {what} would not stay the same in all of them: use {instead}, or set fused_replicas = True"
            )

    def _parts(self):
        # Those of `functional_call` are there, too; to iterate over the list takes longer.
        parts, cached = [*self.tt_cores._parameters.values()], self.cache_weight
        return parts if cached is None else [*parts, cached]

    def _state_parts(self):
        parts, cached = list(self.optimizer_state), self.cache_optimizer_state
        return parts if cached is None else [*parts, cached]

    @torch.no_grad()
    def _gather(self):
        """Brings parameters and state side by side, where they are not."""
        for name, parts in ("_memory", self._parts()), ("_state", self._state_parts()):
            memory = getattr(self, name)
            if memory is None or parts[0].is_meta or not _memory.holds(memory, parts):
                memory = _memory.gathered(parts, self.num_tables)
                for part, view in zip(parts, _memory.views(memory, parts)):
                    part.data = view
                setattr(self, name, memory)

    def _state_rows(self):
        self._gather()
        return self._state.unbind(0)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self._gather()
        return self

    def __getstate__(self):
        self._count_seen()
        return {**self.__dict__, "_memory": None, "_state": None}

    def __setstate__(self, state):
        super().__setstate__(state)
        self._gather()

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing, unexpected, errors):
        state_dict = dict(state_dict)
        if f"{prefix}L" in state_dict and not torch.equal(state_dict[f"{prefix}L"].cpu(), self.L.cpu()):
            errors.append(f"L, {state_dict.pop(f'{prefix}L').tolist()}, is not that of the row factors {self.tt_p_shapes}")
        self._prepare_cache(state_dict, prefix, errors)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing, unexpected, errors)

    def extra_repr(self):
        words = f"{self.num_tables}, {self.num_embeddings}, {self.embedding_dim}, tt_ranks={self.tt_ranks[1:-1]}"
        words += f", tt_p_shapes={self.tt_p_shapes}, tt_q_shapes={self.tt_q_shapes}, sparse={self.sparse}"
        return words + (f", optimizer={self.optimizer}, learning_rate={self.learning_rate}" if self.sparse else "")


class TTEmbeddingBag(TableBatchedTTEmbeddingBag):
    """One table: as :class:`TableBatchedTTEmbeddingBag`, without ``num_tables``, and with a cache unless told otherwise.

    >>> import torch
    >>> from ttcore.fbtt import OptimType, TTEmbeddingBag
    >>> bag = TTEmbeddingBag(1000, 16, [8, 8], optimizer=OptimType.EXACT_ADAGRAD, learning_rate=0.05)
    >>> out = bag(torch.tensor([1, 999, 7]), torch.tensor([0, 2, 3]))
    >>> out.shape
    torch.Size([2, 16])
    >>> out.sum().backward()        # the cores are updated
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        tt_ranks,
        tt_p_shapes=None,
        tt_q_shapes=None,
        optimizer=OptimType.SGD,
        learning_rate=0.1,
        eps=1.0e-10,
        sparse=True,
        use_cache=True,
        cache_size=0,
        hashtbl_size=0,
        weight_dist="approx-normal",
        enforce_embedding_dim=False,
    ):
        super().__init__(
            1,
            num_embeddings,
            embedding_dim,
            tt_ranks,
            tt_p_shapes,
            tt_q_shapes,
            optimizer,
            learning_rate,
            eps,
            sparse,
            use_cache,
            cache_size,
            hashtbl_size,
            weight_dist,
            enforce_embedding_dim,
        )

    @torch.compiler.disable
    def forward(self, indices, offsets, warmup=True, per_sample_weights=None):
        """Sums of rows, ``[B, embedding_dim]``, for offsets ``[B + 1]``: see :meth:`TableBatchedTTEmbeddingBag.forward`."""
        return self._lookup(indices, offsets, per_sample_weights)


def _factors(given, number, d, round_up):
    if given is None:
        return suggested_tt_shapes(number, d, allow_round_up=round_up)
    return [*map(operator.index, given)]


def _loaded(module, _):
    """After all parts were loaded, maybe as other tensors."""
    module._gather()
    module._tell_slots()
