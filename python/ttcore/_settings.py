"""What modules are told, checked; and what they do alike."""

import math
import operator

import torch
import torch.distributed as dist

from . import _autograd
from ._ttcore import Shape

_RULES = ("sgd", "adagrad", "adam", "adagrad_norm")


def shape(rows, dim, cores, rank, given, max_bytes, number):
    """The shape of a table: as it is given, by rank, or by bytes."""
    if given is not None:
        if max_bytes is not None:
            raise ValueError("either tt_shape or max_bytes")
        if not isinstance(given, Shape):
            parts = [[whole("a number of tt_shape", number) for number in part] for part in given]
            if len(parts) not in (2, 3):
                raise ValueError("tt_shape is a Shape, or row factors, column factors and maybe ranks")
            ranks = parts[2] if len(parts) == 3 else _ranks(rank, len(parts[0]))
            given = Shape(rows, parts[0], parts[1], ranks)
        if (given.rows, given.dim) != (rows, dim):
            raise ValueError(f"tt_shape is of a table of {given.rows} x {given.dim} numbers, not {rows} x {dim}")
        return given
    cores = whole("tt_cores", cores)
    if max_bytes is not None:
        return Shape.within(rows, dim, cores, whole("max_bytes", max_bytes) // dtype(number).itemsize)
    if isinstance(rank, (list, tuple)):
        paper = Shape.paper(rows, dim, cores, 1)
        return Shape(rows, paper.row_factors, paper.col_factors, _ranks(rank, cores))
    return Shape.paper(rows, dim, cores, whole("tt_rank", rank))


def whole(name, value, end=2**63):
    """A number that counts something: what a native call would refuse without saying which it is."""
    number = operator.index(value)
    if not 0 <= number < end:
        raise ValueError(f"{name} must be from 0 to {end - 1}, not {number}")
    return number


def _ranks(rank, cores):
    if isinstance(rank, (list, tuple)):
        inner = [whole("tt_rank", r) for r in rank]
        return inner if len(inner) == cores + 1 else [1, *inner, 1]
    return [1] + [whole("tt_rank", rank)] * (cores - 1) + [1]


def padding(index, rows):
    """``padding_idx``, counted from the begin."""
    if index is None:
        return None
    index = operator.index(index)
    if not -rows <= index < rows:
        raise ValueError(f"padding_idx {index} is not a row of a table with {rows} rows")
    return index % rows


def fused(rule, lr):
    """The name of a fused rule, which needs a learning rate."""
    if rule is None:
        if lr is not None:
            raise ValueError("lr is that of a fused rule: without one the optimiser has it")
        return None
    if rule not in _RULES:
        raise ValueError(f"fused must be None or one of {', '.join(map(repr, _RULES))}, not {rule!r}")
    if lr is None or not math.isfinite(lr):
        raise ValueError(f"fused={rule!r} needs a learning rate: lr={lr!r}")
    return rule


def rule(name, eps, betas):
    """Arguments of a table for a rule; for none those of one without state."""
    if name is None:
        if eps is not None or betas is not None:
            raise ValueError("eps and betas are those of a fused rule: without one the optimiser has them")
        return dict(rule="sgd")
    return dict(rule=name, eps=eps, betas=betas)


def threads(count):
    """A number of threads, or ``None`` for PyTorch's."""
    if count is not None and operator.index(count) < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    return None if count is None else whole("threads", count)


def device(given):
    """The CPU or the meta device."""
    given = torch.get_default_device() if given is None else torch.device(given)
    if given.type not in ("cpu", "meta"):
        raise ValueError(f"these tables are on the CPU, not on {given}")
    return given


def dtype(given):
    """The type of numbers."""
    given = torch.get_default_dtype() if given is None else given
    if given not in (torch.float32, torch.float64):
        raise TypeError(f"a tensor train is of torch.float32 or torch.float64, not {given}")
    return given


def seed(given):
    """A seed, or one from PyTorch's generator."""
    given = int(torch.randint(2**63 - 1, ()).item()) if given is None else operator.index(given)
    if not 0 <= given < 2**64:
        raise ValueError(f"a seed is a number of 64 bits, not {given}")
    return given


def bags(values, offsets, last):
    """How many bags come in. What is wrong beyond that is found by the native call."""
    try:
        if values.dim() == 2:
            return values.size(0)
        return offsets.size(0) - int(last) if offsets is not None and offsets.size(0) > 0 else 0
    except (AttributeError, IndexError):
        return 0


def alone(module):
    """Refuses fused updates in a process group: nothing would keep the tables of its ranks the same."""
    if module.fused_replicas or not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return
    if torch.is_grad_enabled():
        raise RuntimeError(
            "a fused table is updated by each process on its own, and would not stay the same in all of them: "
            "use fused=None with an optimiser, or say fused_replicas=True"
        )


def refresh(module, params, states):
    """Refreshes the caches of a module: in a process group, on the counts of all ranks."""
    session = module._tables.session(params[0].dtype)
    if module._tables.cached and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        _count_together(session, len(params))
    changed = session.refresh(params, states)
    if any(loaded or evicted for loaded, evicted, _ in changed):
        _autograd.changed(params)
    return changed


def _count_together(session, tables):
    own = [session.cache(table) for table in range(tables)]
    ranks = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, own)
    for table, cache in enumerate(own):
        if cache is None:
            continue
        if any(rank[table][0] != cache[0] for rank in ranks):
            raise RuntimeError(f"the cache of table {table} holds other rows in other processes: refresh it in all of them")
        counts = {}
        for rank in ranks:
            for row, count in rank[table][1]:
                counts[row] = counts.get(row, 0) + count
        # No counter has room for more than the largest of the ranks'.
        room = max(len(rank[table][1]) for rank in ranks)
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:room]
        session.set_cache(table, cache[0], sorted(most))


def encode(tables, shapes):
    """What is to be saved beside the tensors, as one tensor of whole numbers: formats that hold tensors alone hold it.

    ``[1, steps, tables]``, then for each table ``[rows, dim, d, row factors, column factors, ranks, slots, row in each slot,
    counts, (row, count) ..]``.
    """
    known = tables.known() or (0, [None] * len(shapes))
    numbers = [1, known[0], len(shapes)]
    for shape, cache in zip(shapes, known[1]):
        slots, counts = cache or ([], [])
        numbers += _shape_numbers(shape)
        numbers += [len(slots), *slots, len(counts), *(number for pair in counts for number in pair)]
    return torch.tensor(numbers, dtype=torch.int64)


def decode(tables, shapes, number, state):
    """Continues with what was saved by :func:`encode`, of tables of the same shapes."""
    numbers = iter(state.tolist())

    def take(count=None):
        return next(numbers) if count is None else [next(numbers) for _ in range(count)]

    try:
        if take() != 1 or (steps := take()) < 0 or take() != len(shapes):
            raise ValueError("what was saved is not the state of such tables")
        caches = []
        for shape in shapes:
            want = _shape_numbers(shape)
            saved = take(len(want))
            if saved != want:
                raise ValueError(f"what was saved is of another shape than {shape!r}: {saved}")
            slots, counts = take(take()), take(2 * take())
            caches.append((slots, list(zip(counts[::2], counts[1::2]))) if slots else None)
    except StopIteration:
        raise ValueError("what was saved is not whole") from None
    session = tables.session(number)
    for table, cache in enumerate(caches):
        had = session.cache(table)
        if len(had[0] if had else []) != len(cache[0] if cache else []):
            raise ValueError(f"what was saved is of a cache of another size than table {table} has")
    tables.set_known(steps, caches)


def _shape_numbers(shape):
    if shape is None:
        return [0]
    return [shape.rows, shape.dim, len(shape), *shape.row_factors, *shape.col_factors, *shape.ranks]
