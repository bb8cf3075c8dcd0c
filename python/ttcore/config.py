"""How one table of a collection is held."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from . import _settings


@dataclasses.dataclass
class TableConfig:
    """One table of a collection. TorchRec's ``EmbeddingBagConfig`` does as well: what it does not say is the collection's.

    >>> import ttcore
    >>> ttcore.TableConfig(10_131_227, 16, name="ad", feature_names=["ad"]).mode
    'sum'
    """

    num_embeddings: int
    embedding_dim: int
    name: str = ""
    #: Features that look it up; by default one of the table's name.
    feature_names: list[str] = dataclasses.field(default_factory=list)
    #: ``"sum"`` or ``"mean"``.
    mode: str = "sum"
    #: Whether it stays as it is; ``None`` where cores would not be ``min_ratio`` times smaller.
    dense: bool | None = None
    #: As of :class:`ttcore.TTEmbeddingBag`; ``None`` for the collection's.
    tt_cores: int | None = None
    tt_rank: int | Sequence[int] | None = None
    tt_shape: Any = None
    max_bytes: int | None = None
    cache_rows: int | None = None


def held(config, defaults, min_ratio, dtype):
    """The shape of a table, ``None`` where it stays as it is, and the arguments of the native one."""
    rows = _settings.whole("num_embeddings", config.num_embeddings)
    dim = _settings.whole("embedding_dim", config.embedding_dim)
    mode = getattr(config, "mode", None) or getattr(config, "pooling", "sum")
    mode = str(getattr(mode, "value", mode)).lower()
    if mode not in ("sum", "mean"):
        raise ValueError(f"pooling of table {config.name!r} must be 'sum' or 'mean', not {mode!r}")

    def said(name):
        value = getattr(config, name, None)
        return defaults.get(name) if value is None else value

    as_it_is = dict(rows=rows, dim=dim, mode=mode)
    dense = getattr(config, "dense", None)
    if dense:
        return None, as_it_is
    shape = _settings.shape(rows, dim, said("tt_cores"), said("tt_rank"), said("tt_shape"), said("max_bytes"), dtype)
    if dense is None and shape.compression < min_ratio:
        return None, as_it_is
    return shape, dict(shape=shape, mode=mode, cache_rows=min(_settings.whole("cache_rows", said("cache_rows")), rows))
