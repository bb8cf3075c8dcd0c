"""All tables of a model as a module: the call of TorchRec's ``EmbeddingBagCollection``, without TorchRec."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import _autograd, _settings
from ._tables import Tables
from .config import held
from .keyed import KeyedTensor


class TTEmbeddingBagCollection(nn.Module):
    """The tables of a model, tensor trains and small ones as they are, looked up in one call.

    >>> import torch, ttcore
    >>> tables = [
    ...     ttcore.TableConfig(1_000_000, 16, name="user"),
    ...     ttcore.TableConfig(10, 16, name="day"),
    ... ]
    >>> collection = ttcore.TTEmbeddingBagCollection(tables, seed=0)
    >>> out = collection([torch.tensor([7, 999_999, 3]), torch.tensor([4, 9])], [torch.tensor([0, 2]), torch.tensor([0, 1])])
    >>> out.keys(), out.values().shape, out["day"].shape
    (['user', 'day'], torch.Size([2, 32]), torch.Size([2, 16]))

    Args:
        tables: :class:`ttcore.TableConfig`, or TorchRec's ``EmbeddingBagConfig``, of different names.
        is_weighted: whether lookups come with per-sample weights.
        device: the CPU, or ``"meta"``.
        dtype: ``torch.float32`` or ``torch.float64``, of all tables.
        min_ratio: tables whose cores would not be so many times smaller stay as they are.
        tt_cores, tt_rank, cache_rows: of tables whose config does not say.
        fused, lr, eps, betas, fused_replicas, seed, threads: as of :class:`ttcore.TTEmbeddingBag`. With ``fused=None``,
            gradients are as large as what is trained, also those of tables that stay as they are.

    Attributes:
        cores: what is trained, a flat parameter for each table, by name: its cores, or its rows.
    """

    def __init__(
        self,
        tables: Sequence[Any],
        is_weighted: bool = False,
        device: torch.device | str | None = None,
        *,
        dtype: torch.dtype | None = None,
        min_ratio: float = 4.0,
        tt_cores: int = 3,
        tt_rank: int | Sequence[int] = 32,
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
        self._configs = list(tables)
        if not self._configs:
            raise ValueError("a collection needs at least one table")
        self._weighted = bool(is_weighted)
        self.fused, self.lr, self.fused_replicas = _settings.fused(fused, lr), lr, fused_replicas
        self._rule = _settings.rule(fused, eps, betas)
        defaults = dict(tt_cores=tt_cores, tt_rank=tt_rank, cache_rows=cache_rows)
        self.table_names, self._features, self.shapes, specs = [], [], [], []
        for number, config in enumerate(self._configs):
            name = config.name or f"t{number}"
            if name in self.table_names:
                raise ValueError(f"two tables of the name {name!r}")
            features = list(config.feature_names) or [name]
            self.table_names.append(name)
            self._features.append(features)
            shape, spec = held(config, defaults, min_ratio, dtype)
            self.shapes.append(shape)
            specs.append({**spec, **self._rule})
        self._tables = Tables(specs, _settings.threads(threads), list(map(len, self._features)))
        self._lengths = [table.dim for table, features in zip(self._tables.tables, self._features) for _ in features]
        self._stride = self._tables.stride
        self._wanted = [feature for features in self._features for feature in features]
        self._names = _output_names(self.table_names, self._features)

        factory = dict(device=_settings.device(device), dtype=_settings.dtype(dtype))
        self.cores, self.optimizer_state = nn.ParameterDict(), nn.Module()
        # One by one: from a dictionary they would come sorted by name.
        for name, table in zip(self.table_names, self._tables.tables):
            self.cores[name] = nn.Parameter(torch.empty(table.parameters, **factory), requires_grad=fused is None)
            if fused is not None:
                self.optimizer_state.register_buffer(name, torch.zeros(table.state, **factory))
        self.reset_parameters(seed)

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draws new tables, as :meth:`ttcore.TTEmbeddingBag.reset_parameters` does."""
        if self._params()[0].is_meta:
            return
        seeds = torch.Generator().manual_seed(_settings.seed(seed) % 2**63)
        with torch.no_grad():
            for param, table in zip(self._params(), self._tables.tables):
                drawn = torch.empty_like(param, requires_grad=False)
                table.draw(int(torch.randint(2**63 - 1, (), generator=seeds)), drawn)
                param.copy_(drawn)
            for state in self.optimizer_state.buffers():
                state.zero_()
        self._tables = self._tables.anew()

    def forward(
        self,
        features: Any,
        offsets: Sequence[Tensor | None] | None = None,
        per_sample_weights: Sequence[Tensor] | None = None,
    ) -> Any:
        """Pooled rows of all features, ``[B, sum of the embedding dimensions]``, by name.

        Args:
            features: a ``KeyedJaggedTensor``, or what has its methods ``keys``, ``values``, ``offsets`` and
                ``weights_or_none``; or, for each feature in the order of the tables, a tensor of row numbers ``[L]`` or
                ``[B, K]``.
            offsets: in the second case, for each feature where bags begin, ``[B]``, or ``None``.
            per_sample_weights: in the second case, for each feature a tensor like its row numbers.

        Returns:
            A ``KeyedTensor``: TorchRec's, if that is imported, or :class:`ttcore.KeyedTensor`.
        """
        if self.fused is not None:
            _settings.alone(self)
        params = self._params()
        if hasattr(features, "keys"):
            if offsets is not None or per_sample_weights is not None:
                raise ValueError("a jagged tensor has offsets and weights of its own")
            values, offsets, weights = self._jagged(features)
            bags = max(offsets.numel() - 1, 0) // len(self._wanted)
            out = _autograd.bags(self, values, offsets, weights, False, True, bags, params)
        else:
            values, offsets, weights = self._lists(features, offsets, per_sample_weights)
            bags = _settings.bags(values[0], offsets[0], False)
            out = _autograd.bags(self, values, offsets, weights, False, False, bags, params)
        return _keyed(self._names, self._lengths, out)

    def _jagged(self, features):
        """Values, offsets and weights of a jagged tensor, of the features that are wanted and in their order."""
        keys, wanted = features.keys(), self._wanted
        values, offsets = features.values(), features.offsets()
        weights = features.weights_or_none() if self._weighted else None
        if self._weighted and weights is None:
            raise ValueError("a weighted collection needs weights")
        if list(keys) == wanted:
            return values, offsets, weights
        places = {key: place for place, key in enumerate(keys)}
        missing = [feature for feature in wanted if feature not in places]
        if missing:
            raise ValueError(f"no features {missing} among {list(keys)}")
        starts = offsets.tolist()
        _check_jagged(starts, len(keys), values.size(0))
        bags = (len(starts) - 1) // len(keys)
        parts = [(places[f] * bags, starts[places[f] * bags], starts[(places[f] + 1) * bags]) for f in wanted]
        lengths = torch.cat([offsets[at : at + bags + 1].diff() for at, _, _ in parts])
        ordered = torch.zeros(lengths.numel() + 1, dtype=torch.int64)
        torch.cumsum(lengths, 0, out=ordered[1:])
        pick = lambda all: torch.cat([all[begin:end] for _, begin, end in parts])  # noqa: E731
        return pick(values), ordered, None if weights is None else pick(weights)

    def _lists(self, values, offsets, weights):
        want = len(self._wanted)
        values = tuple(values)
        offsets = (None,) * len(values) if offsets is None else tuple(offsets)
        for what, got in ("lists of indices", values), ("lists of offsets", offsets), ("lists of weights", weights or values):
            if len(got) != want:
                raise ValueError(f"{len(got)} {what} for {want} features")
        if (weights is not None) != self._weighted:
            raise ValueError("a weighted collection needs weights" if self._weighted else "the collection is not weighted")
        if weights is not None:
            for weight, value in zip(weights, values):
                if weight.shape != value.shape:
                    shapes = f"{list(value.shape)}, not {list(weight.shape)}"
                    raise ValueError(f"per_sample_weights must have the shape of the indices, {shapes}")
            weights = torch.cat([weight.reshape(-1) for weight in weights])
        return values, offsets, weights

    def _params(self):
        return tuple(self.cores._parameters.values())

    def _states(self):
        states = tuple(self.optimizer_state._buffers.values())
        return states or tuple(param.new_empty(0) for param in self._params())

    def embedding_bag_configs(self) -> list[Any]:
        """The configs of the tables, as they were given."""
        return self._configs

    def is_weighted(self) -> bool:
        """Whether lookups come with weights."""
        return self._weighted

    @property
    def device(self) -> torch.device:
        """Where the tables are."""
        return self._params()[0].device

    @torch.no_grad()
    def rows(self, table: str, indices: Tensor | Sequence[int]) -> Tensor:
        """Rows of a table, by name, as lookups give them: ``[.., N]`` for indices of any shape. Without gradient."""
        number = self._number(table)
        if not isinstance(indices, torch.Tensor):
            indices = torch.tensor(indices, dtype=torch.int64)
        params = self._params()[number]
        out = params.new_empty((indices.numel(), self._tables.tables[number].dim))
        self._tables.session(out.dtype).rows(number, params, indices.reshape(-1), out)
        return out.view(*indices.shape, out.shape[1])

    @torch.no_grad()
    def expand(self, table: str) -> Tensor:
        """The whole of a table, by name, ``[M, N]``."""
        number = self._number(table)
        params, known = self._params()[number], self._tables.tables[number]
        out = params.new_empty((known.rows, known.dim))
        self._tables.session(out.dtype).rows(number, params, None, out)
        return out

    def _number(self, name):
        if name not in self.table_names:
            raise KeyError(f"no table {name!r} among {self.table_names}")
        return self.table_names.index(name)

    def refresh(self) -> dict[str, tuple[int, int, int]]:
        """As :meth:`ttcore.TTEmbeddingBag.refresh`, of all tables: by name what was loaded, evicted and kept."""
        return dict(zip(self.table_names, _settings.refresh(self, self._params(), self._states())))

    def statistics(self) -> dict[str, dict[str, int]]:
        """As :meth:`ttcore.TTEmbeddingBag.statistics`, by name."""
        return dict(zip(self.table_names, self._tables.session(self._params()[0].dtype).statistics()))

    def get_extra_state(self):
        return _settings.encode(self._tables, self.shapes)

    def set_extra_state(self, state):
        _settings.decode(self._tables, self.shapes, self._params()[0].dtype, state)

    def extra_repr(self):
        lines = [f"is_weighted={self._weighted}" + (f", fused={self.fused!r}, lr={self.lr!r}" if self.fused else "")]
        for name, table, shape in zip(self.table_names, self._tables.tables, self.shapes):
            held = "as it is" if shape is None else f"{shape.row_factors}, {shape.col_factors}, {shape.ranks}"
            lines.append(f"({name}): {table.rows} x {table.dim}, {held}")
        return "\n".join(lines)


def _check_jagged(starts, features, lookups):
    """What the native call checks of the features that are wanted, of all: the others are left out before."""
    if not starts or (len(starts) - 1) % features:
        raise ValueError(f"{len(starts)} offsets are not those of {features} features: one more than bags of all features")
    if starts[0] != 0:
        raise ValueError(f"the first offset is {starts[0]}, not 0")
    for at, (before, offset) in enumerate(itertools.pairwise(starts), 1):
        if offset < before:
            raise ValueError(f"offset {offset} at position {at} is smaller than {before} before it")
    if starts[-1] != lookups:
        at = len(starts) - 1
        raise ValueError(f"the last offset, {starts[-1]} at position {at}, is not the number of values, {lookups}")


def _output_names(tables, features):
    """A feature that several tables hold is named with each of them."""
    every = [feature for each in features for feature in each]
    named = lambda table, feature: f"{feature}@{table}" if every.count(feature) > 1 else feature  # noqa: E731
    return [named(table, feature) for table, each in zip(tables, features) for feature in each]


def _keyed(names, lengths, values):
    torchrec = sys.modules.get("torchrec.sparse.jagged_tensor")
    kind = KeyedTensor if torchrec is None else torchrec.KeyedTensor
    return kind(keys=names, length_per_key=lengths, values=values)
