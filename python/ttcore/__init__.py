"""TT-Rec: embedding tables as tensor trains.

A table with ``M`` rows and ``N`` columns is held as a product of small cores, millions of rows in a few megabytes, and is
looked up and trained in that form. With PyTorch there are modules::

    import torch, ttcore
    bag = ttcore.TTEmbeddingBag(10_000_000, 16, mode="sum")      # 2 MB instead of 640
    out = bag(torch.tensor([3, 9_999_999, 7]), torch.tensor([0, 2]))

Without it, what is here are shapes:

>>> import ttcore
>>> shape = ttcore.Shape.paper(10_131_227, 16, cores=3, rank=32)
>>> shape.row_factors, shape.col_factors, shape.ranks
([200, 220, 250], [2, 2, 4], [1, 32, 32, 1])
>>> shape.parameters, round(shape.compression)
(495360, 327)

PyTorch is imported when the first of its modules is asked for.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if find_spec(f"{__name__}._ttcore") is None:
    # Where Python is started beside the sources, they hide what is installed.
    raise ImportError(f"{__path__[0]} has no native module: start Python in another folder, or build it by `maturin develop`")

from . import _ttcore
from ._ttcore import Shape

if TYPE_CHECKING:
    from .collection import TTEmbeddingBagCollection
    from .config import TableConfig
    from .keyed import KeyedTensor
    from .nn import TTEmbeddingBag

__all__ = ["KeyedTensor", "Shape", "TTEmbeddingBag", "TTEmbeddingBagCollection", "TableConfig"]

#: What needs PyTorch, and the module it is in.
_LAZY = {
    "KeyedTensor": "keyed",
    "TTEmbeddingBag": "nn",
    "TTEmbeddingBagCollection": "collection",
    "TableConfig": "config",
}

if hasattr(os, "register_at_fork"):
    # Threads do not live on in a forked process, such as a worker of a DataLoader, and what they hold is never released.
    os.register_at_fork(
        before=_ttcore.forking,
        after_in_parent=lambda: _ttcore.forked(False),
        after_in_child=lambda: _ttcore.forked(True),
    )


def __getattr__(name):
    if name in _LAZY:
        value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY})
