"""What tests share: small tables, and what a dense one says to the same call."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def dense(bag, **kwargs):
    """``nn.EmbeddingBag`` with the rows of ``bag``, of double precision."""
    other = torch.nn.EmbeddingBag(
        bag.num_embeddings,
        bag.embedding_dim,
        mode=bag.mode,
        padding_idx=bag.padding_idx,
        include_last_offset=bag.include_last_offset,
        dtype=torch.float64,
        **kwargs,
    )
    with torch.no_grad():
        other.weight.copy_(bag.expand())
    return other


def table(bag):
    """The whole table as a differentiable function of the cores, by PyTorch alone: the definition."""
    out = None
    for core in bag._views(bag.cores):
        m, r, n, s = core.shape
        if out is None:
            out = core.reshape(m, n, s)
        else:
            out = torch.einsum("axr,brys->abxys", out, core).reshape(out.shape[0] * m, out.shape[1] * n, s)
    return out[: bag.num_embeddings, :, 0]
