"""One table as a module: the arguments and the call of ``torch.nn.EmbeddingBag``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from . import _autograd, _settings
from ._ttcore import Shape
from ._tables import Tables


class TTEmbeddingBag(nn.Module):
    """Pooled rows of a table of ``num_embeddings x embedding_dim`` numbers that is held as a tensor train.

    Called as :class:`torch.nn.EmbeddingBag` and with its arguments, in its order; what is beyond them comes by keyword.

    >>> import torch, ttcore
    >>> bag = ttcore.TTEmbeddingBag(10_000_000, 16, mode="sum", seed=0)
    >>> bag(torch.tensor([3, 9_999_999, 7, 7]), torch.tensor([0, 2])).shape     # two bags
    torch.Size([2, 16])
    >>> bag(torch.tensor([[3, 5], [7, 9], [1, 1]])).shape                       # three bags of two
    torch.Size([3, 16])
    >>> [tuple(core.shape) for core in bag.core_views()]                        # what is trained instead
    [(200, 1, 2, 32), (200, 32, 2, 32), (250, 32, 4, 1)]

    Args:
        num_embeddings: rows of the table, ``M``.
        embedding_dim: columns, ``N``.
        mode: ``"mean"`` (as in PyTorch the default) or ``"sum"``.
        sparse: accepted and of no effect: gradients are those of the cores, small and dense.
        include_last_offset: whether offsets have an entry behind the last bag; its value counts for nothing.
        padding_idx: lookups of this row count for nothing, not in a mean either. Negative ones count from the end.
        device: the CPU, or ``"meta"`` for a module without numbers.
        dtype: ``torch.float32`` or ``torch.float64``.
        max_norm, norm_type, scale_grad_by_freq, _weight: refused unless at their defaults. A row is a product: it has no
            numbers of its own to scale.
        tt_cores: how many cores, at least 2.
        tt_rank: the rank between all of them, or a list of ``tt_cores - 1`` ranks. Higher is more exact and larger.
        tt_shape: instead of both a :class:`ttcore.Shape`, or row and column factors: ``([200, 220, 250], [2, 2, 4])``.
        max_bytes: instead of a rank, the largest whose cores take no more bytes.
        cache_rows: so many of the most frequent rows are held as they are, from the first :meth:`refresh` on.
        fused: ``None`` for gradients and an optimiser of PyTorch's. Or backward updates the table itself, without making
            gradients: ``"sgd"``, ``"adagrad"``, ``"adam"``, or ``"adagrad_norm"``, the rule made for cores, whose learning
            rate is that of SGD on an uncompressed table. ``lr`` may be changed at any time.
        lr: learning rate of a fused rule.
        eps, betas: constants of a fused rule; by default PyTorch's.
        fused_replicas: allows fused updates in a process group of several, whose tables then go their own ways.
        seed: of the first numbers; ``None`` to draw one from PyTorch's generator.
        threads: how many work on a call, by default as many as PyTorch uses. They change no result.

    Attributes:
        cores: all that is trained, one flat parameter ``[cores, then cached rows]``; see :meth:`core_views`.
        shape: the :class:`ttcore.Shape`.

    What is copied, pickled or cast is the table with what its cache knows. Gradients are of first order.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        tt_cores: int = 3,
        tt_rank: int | Sequence[int] = 32,
        tt_shape: Shape | Sequence[Sequence[int]] | None = None,
        max_bytes: int | None = None,
        cache_rows: int = 0,
        fused: str | None = None,
        lr: float | None = None,
        eps: float | None = None,
        betas: tuple[float, float] | None = None,
        fused_replicas: bool = False,
        seed: int | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__()
        if max_norm is not None or norm_type != 2.0:
            raise ValueError("max_norm cannot be: the rows of a tensor train share their numbers, and scaling one changes others")
        if scale_grad_by_freq:
            raise ValueError("scale_grad_by_freq cannot be: rows have no gradients of their own, only cores do")
        if _weight is not None:
            raise ValueError("_weight cannot be given: there is no table to take it; load cores by load_state_dict")
        if mode not in ("sum", "mean"):
            raise ValueError(f"mode must be 'sum' or 'mean', not {mode!r}: a maximum has no gradient for most of its cores")
        if sparse:
            _warn_sparse()
        self.num_embeddings = _settings.whole("num_embeddings", num_embeddings)
        self.embedding_dim = _settings.whole("embedding_dim", embedding_dim)
        self.mode, self.include_last_offset = mode, bool(include_last_offset)
        self.padding_idx = _settings.padding(padding_idx, self.num_embeddings)
        self.shape = _settings.shape(
            self.num_embeddings, self.embedding_dim, tt_cores, tt_rank, tt_shape, max_bytes, dtype
        )
        self.fused, self.lr = _settings.fused(fused, lr), lr
        self.fused_replicas = fused_replicas
        self.cache_rows = _settings.whole("cache_rows", cache_rows)
        spec = dict(
            shape=self.shape,
            cache_rows=self.cache_rows,
            mode=mode,
            padding_idx=self.padding_idx,
            **_settings.rule(fused, eps, betas),
        )
        self._tables = Tables([spec], _settings.threads(threads))
        self._stride = self.embedding_dim
        (table,) = self._tables.tables
        factory = dict(device=_settings.device(device), dtype=_settings.dtype(dtype))
        self.cores = nn.Parameter(torch.empty(table.parameters, **factory), requires_grad=fused is None)
        self.register_buffer("optimizer_state", torch.zeros(table.state, **factory) if fused is not None else None)
        self.reset_parameters(seed)

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draws new cores, from a seed or from PyTorch's generator, such that the table begins as one of
        ``U(-1/sqrt(M), 1/sqrt(M))`` would: with variance ``1/(3 M)``. State begins at zero, and the cache is empty."""
        if self.cores.is_meta:
            return
        seed = _settings.seed(seed)
        drawn = torch.empty_like(self.cores, requires_grad=False, memory_format=torch.contiguous_format)
        self._tables.tables[0].draw(seed, drawn)
        with torch.no_grad():
            self.cores.copy_(drawn)
            if self.optimizer_state is not None:
                self.optimizer_state.zero_()
        self._tables = self._tables.anew()

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        """Rows, pooled: ``[B, embedding_dim]``.

        Args:
            input: row numbers, ``[L]`` with offsets or ``[B, K]`` without, ``int32`` or ``int64``.
            offsets: where bags begin in ``input``, ``[B]`` (``[B + 1]`` with ``include_last_offset``), ``int32`` or
                ``int64``. The first is 0.
            per_sample_weights: what each row is multiplied by, of the shape of ``input``; with ``mode="sum"``.

        Raises:
            IndexError: a row number is not one, with its position.
            ValueError, TypeError: what came is not of such shapes or types.
            NotImplementedError: weights of a mean, which PyTorch does not have either.
        """
        bags = _settings.bags(input, offsets, self.include_last_offset)
        if per_sample_weights is not None and self.mode != "sum":
            raise NotImplementedError(f"per_sample_weights are for mode 'sum', not {self.mode!r}")
        cores = self._parameters.get("cores")
        params = (self.cores if cores is None else cores,)
        if self.fused is not None:
            _settings.alone(self)
        return _autograd.bags(self, input, offsets, per_sample_weights, self.include_last_offset, False, bags, params)

    @torch.no_grad()
    def rows(self, indices: Tensor | Sequence[int]) -> Tensor:
        """Rows of the table as lookups give them, ``[.., embedding_dim]`` for indices of any shape. Without gradient.

        >>> import torch, ttcore
        >>> bag = ttcore.TTEmbeddingBag(1000, 8, mode="sum", seed=0)
        >>> rows = bag.rows(torch.tensor([[1, 2], [3, 999]]))
        >>> rows.shape, torch.allclose(rows[0].sum(0), bag(torch.tensor([[1, 2]]))[0])
        (torch.Size([2, 2, 8]), True)
        """
        if not isinstance(indices, torch.Tensor):
            indices = torch.tensor(indices, dtype=torch.int64)
        out = self.cores.new_empty((indices.numel(), self.embedding_dim))
        self._tables.session(out.dtype).rows(0, self.cores, indices.reshape(-1), out)
        return out.view(*indices.shape, self.embedding_dim)

    @torch.no_grad()
    def expand(self) -> Tensor:
        """The whole table, ``[num_embeddings, embedding_dim]``. Of a large one, ask for :meth:`rows`."""
        out = self.cores.new_empty((self.num_embeddings, self.embedding_dim))
        self._tables.session(out.dtype).rows(0, self.cores, None, out)
        return out

    def core_views(self) -> list[Tensor]:
        """The cores ``[m_k, R_{k-1}, n_k, R_k]``, as views of :attr:`cores`: what is written to them is the table's."""
        return self._views(self.cores.detach())

    def core_gradients(self) -> list[Tensor] | None:
        """The gradients of the cores, shaped as :meth:`core_views`; ``None`` while there are none."""
        return None if self.cores.grad is None else self._views(self.cores.grad)

    def _views(self, flat):
        shape, views = self.shape, []
        for k in range(len(shape)):
            start, end = shape.core_range(k)
            size = shape.row_factors[k], shape.ranks[k], shape.col_factors[k], shape.ranks[k + 1]
            views.append(flat[start:end].view(size))
        return views

    def refresh(self) -> tuple[int, int, int]:
        """Lets the cache choose its rows anew: those looked up most in training. They are loaded from the cores, with new
        state; rows no longer chosen are read from the cores again, and what they learned is lost.

        In a process group all ranks call it, and count together: they choose the same rows.

        Returns how many rows were loaded, evicted and kept.
        """
        return _settings.refresh(self, (self.cores,), self._states())[0]

    def statistics(self) -> dict[str, int]:
        """What the table takes and its cache does: a dictionary of numbers. Hits and lookups are those of training since
        this was last called."""
        return self._tables.session(self.cores.dtype).statistics()[0]

    def _states(self):
        state = self._buffers.get("optimizer_state")
        return (self.cores.new_empty(0) if state is None else state,)

    def get_extra_state(self):
        return _settings.encode(self._tables, [self.shape])

    def set_extra_state(self, state):
        _settings.decode(self._tables, [self.shape], self.cores.dtype, state)

    def __getattr__(self, name):
        if name == "weight":
            raise AttributeError(
                "a tensor train has no weight: rows(indices) gives rows of the table, expand() all of it, core_views() its cores"
            )
        return super().__getattr__(name)

    def extra_repr(self):
        words = f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
        words += f", tt_shape=({self.shape.row_factors}, {self.shape.col_factors}, {self.shape.ranks})"
        for name in ("padding_idx", "fused", "lr"):
            value = getattr(self, name)
            words += f", {name}={value!r}" if value is not None else ""
        return words + (f", cache_rows={self.cache_rows}" if self.cache_rows else "")


def _warn_sparse():
    global _warn_sparse
    warnings.warn("sparse=True has no effect: gradients are those of the cores, small and dense", stacklevel=3)
    _warn_sparse = lambda: None  # noqa: E731, once is enough
