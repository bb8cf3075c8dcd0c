"""Shapes of tensor trains, and tables from their cores."""

import math
import operator

import torch


def suggested_tt_shapes(n, d=3, allow_round_up=True):
    """``d`` factors of ``n``, or of ``n`` rounded up to a multiple of a power of ten, of the highest entropy: as
    even as possible. None is 1 where there are enough primes.

    >>> from ttcore.fbtt import suggested_tt_shapes
    >>> suggested_tt_shapes(10_131_227), suggested_tt_shapes(16, allow_round_up=False), suggested_tt_shapes(1000, d=4)
    ([200, 220, 250], [2, 2, 4], [5, 5, 5, 8])

    Of more than three factors every other one is of the smaller half, as in ``tt_embeddings_ops``.
    """
    n, d = operator.index(n), operator.index(d)
    if n < 1 or d < 1:
        raise ValueError(f"there are no {d} factors of {n}")
    powers = [10**k for k in range(len(str(n)))] if allow_round_up else [1]
    # Of equal ones the first.
    return max((_most_even(-(-n // power) * power, d) for power in powers), key=_entropy)


def _most_even(n, d):
    primes, rest, prime = [], n, 2
    while rest > 1:
        prime = rest if prime * prime > rest else prime
        while rest % prime == 0:
            primes.append(prime)
            rest //= prime
        prime += 1
    if len(primes) <= d:
        return _alternating([1] * (d - len(primes)) + primes)
    divisors = {1}
    for prime in primes:
        divisors |= {prime * divisor for divisor in divisors}
    return max(map(_alternating, _splits(n, d, sorted(divisors - {1}))), key=_entropy)


def _splits(n, d, divisors):
    """All ascending lists of ``d`` of the divisors with product ``n``."""
    if d == 1:
        yield from [[n]] if divisors and n >= divisors[0] else []
        return
    for at, factor in enumerate(divisors):
        if factor**d > n:
            return
        if n % factor == 0:
            yield from ([factor, *others] for others in _splits(n // factor, d - 1, divisors[at:]))


def _alternating(factors):
    small, large = factors[: len(factors) // 2], factors[len(factors) // 2 :]
    return [factor for pair in zip(small, large) for factor in pair] + large[len(small) :]


def _entropy(factors):
    shares = [factor / sum(factors) for factor in factors]
    return -sum(share * math.log(share) for share in shares)


def tt_matrix_to_full(tt_p_shapes, tt_q_shapes, tt_ranks, tt_cores, tt_permute=None):
    """The table ``[prod p, prod q]`` that cores are of, as a differentiable function of them.

    Args:
        tt_p_shapes, tt_q_shapes: factors of its rows and of its columns.
        tt_ranks: ranks between cores, with or without the ones at both ends.
        tt_cores: tensors of ``R_{k-1} p_k q_k R_k`` numbers, of any shape.
        tt_permute: the order in which the axes ``(R_{k-1}, p_k, q_k, R_k)`` lie in a core: ``[1, 0, 2, 3]`` for those of a
            module here; ``None`` for as they were named.
    """
    d = len(tt_p_shapes)
    ranks = list(tt_ranks) if len(tt_ranks) == d + 1 else [1, *tt_ranks, 1]
    cores = list(tt_cores)
    if not len(cores) == len(tt_q_shapes) == len(ranks) - 1 == d:
        got = f"{len(cores)} cores, {len(tt_q_shapes)} column factors and {len(tt_ranks)} ranks"
        raise ValueError(f"{got} do not fit {d} row factors")
    axes = [0, 1, 2, 3] if tt_permute is None else list(tt_permute)
    if sorted(axes) != [0, 1, 2, 3]:
        raise ValueError(f"tt_permute must hold 0, 1, 2 and 3, not {tt_permute}")
    back = [axes.index(axis) for axis in range(4)]
    full = torch.ones(1, 1, ranks[0], dtype=cores[0].dtype, device=cores[0].device)
    for k, core in enumerate(cores):
        size = ranks[k], int(tt_p_shapes[k]), int(tt_q_shapes[k]), ranks[k + 1]
        core = core.reshape([size[axis] for axis in axes]).permute(back)
        rows, columns = full.shape[:2]
        product = full.reshape(-1, ranks[k]) @ core.reshape(ranks[k], -1)
        product = product.view(rows, columns, *size[1:]).transpose(1, 2)
        full = product.reshape(rows * size[1], columns * size[2], ranks[k + 1])
    return full.reshape(full.size(0), -1)
