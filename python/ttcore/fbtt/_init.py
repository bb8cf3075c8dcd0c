"""First numbers of cores: the distributions of ``tt_embeddings_ops``, drawn from PyTorch's generator.

With ``n`` rows, ``N`` columns, ``d`` cores and ranks ``R_k``, every number of a core is, on its own,

* ``"uniform"``: uniform in ``[0, (2 / (n + N))^(1/2d) prod R_k^(-1/2d))``;
* ``"naive-uniform"``: uniform in ``[0, n^(-1/2))``;
* ``"normal"``: normal with standard deviation ``n^(-1/2)``;
* ``"approx-normal"``: a standard normal beyond 2 on either side, times ``(3 n)^(-1/6)``;

and ``"approx-uniform"``, for three cores of one table, is drawn such that rows are nearly uniform.
"""

import math

import torch

NAMES = ("uniform", "naive-uniform", "normal", "approx-uniform", "approx-normal")

#: Of ``"approx-uniform"``: deviation of what is nearly constant, teeth on a side, and the width of one.
_SIGMA, _TEETH, _WIDTH = 0.01, 15, 0.7 / 30


@torch.no_grad()
def draw(name, module):
    """Draws all cores of a module."""
    n, d, cores = module.num_embeddings, module.tt_ndim, list(module.tt_cores)
    if name == "approx-uniform":
        return _approx_uniform(module, cores)
    if name == "uniform":
        end = (2 / (n + module.embedding_dim)) ** (1 / (2 * d)) * math.prod(module.tt_ranks) ** (-1 / (2 * d))
    for core in cores:
        if name == "uniform":
            core.uniform_(0, end)
        elif name == "naive-uniform":
            core.uniform_(0, n**-0.5)
        elif name == "normal":
            core.normal_(0, n**-0.5)
        else:
            core.copy_(_tails(core.shape) * (3 * n) ** (-1 / 6))


def _tails(size):
    """Standard normal numbers of magnitude 2 or more: by the inverse of their distribution, where most draws would fail."""
    share = torch.special.ndtr(torch.tensor(-2.0, dtype=torch.float64))
    # Never 0, whose quantile is not finite.
    low = (1 - torch.rand(size, dtype=torch.float64)) * share
    return torch.special.ndtri(low) * (2 * torch.randint(2, size) - 1)


def _saw_tooth(size):
    """Around one of the multiples of ``1/15`` between -1 and 1, not those themselves, uniform."""
    tooth = torch.randint(-(_TEETH - 1), _TEETH, size)
    return tooth / _TEETH + _WIDTH * (torch.rand(size) - 0.5)


def _approx_uniform(module, cores):
    """The first core is nearly constant. In the second, one even column of each block is nearly zero but for one number,
    and in the third one odd number of each column is not: teeth, which the sums of products smooth."""
    ranks, (p, q) = module.tt_ranks, (module.tt_p_shapes, module.tt_q_shapes)
    if module.tt_ndim != 3 or module.num_tables != 1:
        got = f"{module.tt_ndim} cores and {module.num_tables} tables"
        raise ValueError(f"approx-uniform is for three cores and one table, not {got}")
    if ranks[2] < 2:
        raise ValueError(f"approx-uniform needs a second rank of at least 2, not {ranks[2]}")
    normal = lambda *size: _SIGMA * torch.randn(size)  # noqa: E731
    scale = ranks[1] ** -0.5
    head = scale + normal(p[0], 1, q[0], ranks[1])

    mid = scale + normal(p[1], q[1], ranks[1], ranks[2])
    column = 2 * torch.randint((ranks[2] + 1) // 2, (p[1], q[1], 1))
    values = _SIGMA / scale * normal(p[1], q[1], ranks[1])
    values.scatter_(2, torch.randint(ranks[1], (p[1], q[1], 1)), _saw_tooth((p[1], q[1], 1)) / scale)
    mid.scatter_(3, column[:, :, None].expand(-1, -1, ranks[1], -1), values[..., None])

    tail = normal(p[2], ranks[2], q[2], 1)
    odd = 1 + 2 * torch.randint(ranks[2] // 2, (p[2], 1, q[2], 1))
    tail.scatter_(1, odd, _saw_tooth((p[2], 1, q[2], 1)))

    for core, drawn in zip(cores, (head, mid.transpose(1, 2), tail)):
        core.copy_(drawn.reshape(core.shape) * module.num_embeddings ** (-1 / 6))
