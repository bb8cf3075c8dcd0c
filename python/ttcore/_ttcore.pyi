"""The native module. Tensors are ``torch.Tensor`` on the CPU; see ``nn.py`` and ``collection.py`` for what users call."""

from collections.abc import Sequence
from typing import Literal, final

import torch

__all__ = ["Pass", "Session", "Shape", "Table", "forked", "forking", "tensor_type"]

@final
class Shape:
    """A tensor train: factors of the rows and the columns of a table, and ranks.

    ``Shape(rows, row_factors, col_factors, ranks)`` with ``d`` factors each and ``d + 1`` ranks, the first and the last 1.
    Raises ``ValueError`` where they do not make a table, ``MemoryError`` where it would not fit in memory.
    """

    def __new__(cls, rows: int, row_factors: Sequence[int], col_factors: Sequence[int], ranks: Sequence[int]) -> Shape: ...
    @staticmethod
    def paper(rows: int, dim: int, cores: int = 3, rank: int = 32) -> Shape:
        """Factors as equal as possible: the paper's rule."""

    @staticmethod
    def smallest(rows: int, dim: int, cores: int = 3, rank: int = 32, max_padding: float = 0.05) -> Shape:
        """The fewest parameters with at most ``max_padding * rows`` rows of padding."""

    @staticmethod
    def within(rows: int, dim: int, cores: int, parameters: int) -> Shape:
        """The paper's factors, and the largest rank whose cores have at most so many numbers."""

    @property
    def rows(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def row_factors(self) -> list[int]: ...
    @property
    def col_factors(self) -> list[int]: ...
    @property
    def ranks(self) -> list[int]: ...
    @property
    def parameters(self) -> int:
        """Numbers in all cores."""

    @property
    def compression(self) -> float:
        """How many times fewer numbers than the table has."""

    def core_range(self, k: int) -> tuple[int, int]:
        """Where core ``k`` (from 0) lies among the parameters: begin and end."""

    def __len__(self) -> int:
        """Number of cores."""

    def __eq__(self, value: object, /) -> bool: ...

@final
class Table:
    """How a table is held and trained, and what a lookup of it means. Without a shape it is ``rows x dim`` numbers."""

    def __new__(
        cls,
        shape: Shape | None = None,
        rows: int = 0,
        dim: int = 0,
        *,
        cache_rows: int = 0,
        max_counted: int | None = None,
        mode: Literal["sum", "mean"] = "sum",
        padding_idx: int | None = None,
        rule: Literal["sgd", "adagrad", "adam", "adagrad_norm"] = "sgd",
        eps: float | None = None,
        betas: tuple[float, float] | None = None,
    ) -> Table: ...
    @property
    def rows(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def parameters(self) -> int:
        """Length of the parameters: cores, then cached rows; or all rows."""

    @property
    def state(self) -> int:
        """Length of the optimiser state."""

    def draw(self, seed: int, params: torch.Tensor) -> None:
        """Draws new parameters."""

@final
class Session:
    """What is known of tables beside their numbers: shapes, caches, plans, and memory for batches.

    May be used by many threads at once; the interpreter is released while it computes.
    """

    def __new__(
        cls, tables: Sequence[Table], *, features: Sequence[int] | None = None, double: bool = False, threads: int = 1
    ) -> Session: ...
    def forward(
        self,
        values: torch.Tensor | tuple[torch.Tensor, ...],
        offsets: torch.Tensor | tuple[torch.Tensor | None, ...] | None,
        weights: torch.Tensor | None,
        params: tuple[torch.Tensor, ...],
        out: torch.Tensor,
        *,
        last: bool = False,
        jagged: bool = False,
        train: bool = False,
    ) -> Pass | None:
        """Pooled rows of all tables into ``out`` ``[B, stride]``; in training, what backward needs comes back.

        One table takes tensors, many take tuples of them, one for each feature; with ``jagged``, ``values`` and ``offsets``
        ``[F B + 1]`` are those of all features, one behind the other. ``weights`` are of the shape of the values, or one list
        for all. With ``last``, offsets have an entry more than there are bags.
        """

    def rows(
        self, table: int, params: torch.Tensor, rows: torch.Tensor | None, out: torch.Tensor, first: int = 0
    ) -> None:
        """Rows of a table into ``out`` ``[n, N]``: those listed, or ``n`` from a first one on."""

    def refresh(
        self, params: tuple[torch.Tensor, ...], states: tuple[torch.Tensor, ...]
    ) -> list[tuple[int, int, int]]:
        """Lets caches choose their rows anew and loads them: for each table, how many were loaded, evicted and kept."""

    def cache(self, table: int) -> tuple[list[int], list[tuple[int, int]]] | None:
        """What a cache knows: the row in each slot, -1 for none, and rows with their counts."""

    def set_cache(self, table: int, slots: Sequence[int], counts: Sequence[tuple[int, int]]) -> None:
        """Continues with what a cache knew."""

    steps: int
    """Updates so far."""

    def statistics(self) -> list[dict[str, int]]:
        """Numbers of each table."""

@final
class Pass:
    """One batch between its forward and its backward."""

    def backward(
        self,
        params: tuple[torch.Tensor, ...],
        grad_out: torch.Tensor,
        grads: tuple[torch.Tensor | None, ...],
        grad_weights: torch.Tensor | None = None,
    ) -> None:
        """Writes the gradients of tables to ``grads``, and those of the weights, of all tables one behind the other."""

    def step(
        self,
        params: tuple[torch.Tensor, ...],
        states: tuple[torch.Tensor, ...],
        grad_out: torch.Tensor,
        lr: float,
        grad_weights: torch.Tensor | None = None,
    ) -> None:
        """Computes the gradients of tables and applies their rules."""

def tensor_type(kind: type, exchange: bool = True) -> None:
    """Says what a tensor is: called once, with ``torch.Tensor``."""

def forking() -> None:
    """To be called before a fork: waits for the calls under way."""

def forked(child: bool) -> None:
    """To be called after a fork, in either process."""
