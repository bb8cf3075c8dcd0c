"""How often rows were looked up: tensors ``(rows, counts, slots)``, by ascending row. A slot is where it is cached, or -1."""

import torch

#: Lookups that are kept as they came before they are counted, at least.
PENDING = 1 << 16


def empty():
    """Nothing was counted."""
    return tuple(torch.empty(0, dtype=dtype, device="cpu") for dtype in (torch.int64, torch.int64, torch.int32))


def add(known, seen, room):
    """Adds lookups, a list of tensors. When more than ``room`` rows would be known, all counts halve until enough fall to zero;
    rows in the cache stay."""
    rows, counts = torch.unique(torch.cat(seen), return_counts=True)
    slots = rows.new_full(rows.shape, -1, dtype=torch.int32)
    rows, counts, slots = merge(*(torch.cat(pair) for pair in zip(known, (rows, counts, slots))))
    while rows.numel() > room:
        rows, counts, slots = halve((rows, counts, slots))
    return rows, counts, slots


def merge(rows, counts, slots):
    """Makes one of what is known twice of a row."""
    rows, place = torch.unique(rows, return_inverse=True)
    total = torch.zeros_like(rows).index_add_(0, place, counts)
    slot = rows.new_full(rows.shape, -1, dtype=torch.int32).scatter_reduce_(0, place, slots, "amax")
    return rows, total, slot


def halve(known):
    """Lets the past fade."""
    rows, counts, slots = known
    counts = counts // 2
    stay = (counts > 0) | (slots >= 0)
    return rows[stay], counts[stay], slots[stay]


def top(known, count):
    """The rows looked up most with their counts, on ties the lower row, as pairs by ascending row."""
    rows, counts, _ = known
    order = torch.argsort(counts, descending=True, stable=True)[:count]
    order = order[counts[order] > 0].sort().values
    return list(zip(rows[order].tolist(), counts[order].tolist()))


def cached(known, size):
    """The row in each slot, -1 for none."""
    rows, _, slots = known
    out = rows.new_full((size,), -1)
    out[slots[slots >= 0].long()] = rows[slots >= 0]
    return out.tolist()


def with_slots(known, in_slots):
    """The same counts, with these rows in the slots."""
    rows, counts, slots = known
    in_slots = rows.new_tensor(in_slots)
    taken = (in_slots >= 0).nonzero().flatten()
    return merge(
        torch.cat([rows, in_slots[taken]]),
        torch.cat([counts, torch.zeros_like(taken)]),
        torch.cat([torch.full_like(slots, -1), taken.int()]),
    )


def check(known, rows, size):
    """What was saved, of a table of ``rows`` and a cache of ``size`` rows: free entries are left out.

    Raises:
        ValueError: it is not of such a table.
    """
    keys, counts, slots = known
    if not keys.shape == counts.shape == slots.shape or keys.dim() != 1:
        raise ValueError("hashtbl, cache_freq and cache_state are of different lengths")
    there = keys >= 0
    keys, counts, slots = keys[there], counts[there], slots[there].int()
    if (keys >= rows).any():
        at = (keys >= rows).nonzero()[0].item()
        raise ValueError(f"row {keys[at]} was counted, of a table with {rows}")
    keys, counts, slots = merge(keys, counts.long(), slots)
    taken = slots[slots >= 0]
    if (taken >= size).any() or taken.unique().numel() != taken.numel():
        raise ValueError(f"cached rows have slots that are not those of a cache of {size}")
    return keys, counts, slots
