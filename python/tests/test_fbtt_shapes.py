"""The interface of ``tt_embeddings_ops``: shapes, cores as tables, and what cores are drawn from."""

import math

import pytest
import torch

from ttcore.fbtt import BufferList, OptimType, TableBatchedTTEmbeddingBag, TTEmbeddingBag
from ttcore.fbtt import suggested_tt_shapes, tt_matrix_to_full


@pytest.mark.parametrize(
    "n, d, round_up, want",
    [
        (10_131_227, 3, True, [200, 220, 250]),
        (286_181, 3, True, [53, 72, 75]),
        (7_046_547, 3, True, [200, 200, 200]),
        (16, 3, False, [2, 2, 4]),
        (64, 3, False, [4, 4, 4]),
        (7, 3, False, [1, 1, 7]),
        # No factor is 1 where it need not be, though [1, 351, 457] has the higher entropy.
        (160_407, 3, False, [3, 117, 457]),
        (1000, 4, True, [5, 5, 5, 8]),
        (48, 4, False, [2, 3, 2, 4]),
        (60, 2, False, [6, 10]),
    ],
)
def test_suggested_shapes(n, d, round_up, want):
    assert suggested_tt_shapes(n, d, allow_round_up=round_up) == want


def test_shapes_are_suggested_where_none_are_given():
    one = TTEmbeddingBag(142_572, 16, [4, 4], weight_dist="uniform")
    assert math.prod(one.tt_p_shapes) >= 142_572 and one.tt_q_shapes == [2, 2, 4]
    with pytest.raises(ValueError, match="no 3 factors of 0"):
        suggested_tt_shapes(0)


def test_a_table_from_its_cores():
    p, q, ranks = [2, 3, 2], [2, 1, 3], [1, 3, 2, 1]
    cores = [torch.randn(ranks[k], p[k], q[k], ranks[k + 1], dtype=torch.float64) for k in range(3)]
    full = tt_matrix_to_full(p, q, ranks, cores)
    for row, (a, b, c) in enumerate((a, b, c) for a in range(2) for b in range(3) for c in range(2)):
        want = torch.einsum("xr,rys,sz->xyz", cores[0][0, a], cores[1][:, b], cores[2][:, c, :, 0])
        torch.testing.assert_close(full[row], want.reshape(-1))
    moved = [core.transpose(0, 1).reshape(1, core.size(1), -1) for core in cores]
    assert torch.equal(tt_matrix_to_full(p, q, ranks[1:-1], moved, [1, 0, 2, 3]), full)
    with pytest.raises(ValueError, match="2 cores"):
        tt_matrix_to_full(p, q, ranks, cores[:2])


def cores_of(name, repeat=40):
    """Numbers of each core of 512 rows and 8 columns."""
    drawn = []
    for _ in range(repeat):
        one = TTEmbeddingBag(512, 8, [6, 5], [8, 8, 8], [2, 2, 2], weight_dist=name)
        drawn.append([core.detach().double().flatten() for core in one.tt_cores])
    return [torch.cat(cores) for cores in zip(*drawn)]


def test_uniform():
    for name, end in ("uniform", (2 / 520) ** (1 / 6) * 30 ** (-1 / 6)), ("naive-uniform", 512**-0.5):
        for core in cores_of(name):
            assert core.min() >= 0 and core.max() < end
            assert abs(core.mean() / end - 0.5) < 0.02 and abs(core.std() / end - 12**-0.5) < 0.01


def test_normal():
    for core in cores_of("normal"):
        core *= 512**0.5
        assert abs(core.mean()) < 0.08 and abs(core.std() - 1) < 0.05 and core.abs().max() > 2.5


def test_approx_normal():
    for core in cores_of("approx-normal"):
        core *= (3 * 512) ** (1 / 6)
        assert core.abs().min() > 2 - 1e-6
        assert abs((core > 0).double().mean() - 0.5) < 0.04
        # Of a normal number beyond 2: 1 + 2 phi(2) / Q(2), and the share beyond 2.5.
        assert abs(core.square().mean() - 5.7464) < 0.12
        share = math.erfc(2.5 / 2**0.5) / math.erfc(2 / 2**0.5)
        assert abs((core.abs() > 2.5).double().mean() - share) < 0.03


def test_approx_uniform():
    one = TTEmbeddingBag(4096, 64, [6, 5], [16, 16, 16], [4, 4, 4], weight_dist="approx-uniform")
    head, mid, tail = (core.detach().double() * 4096 ** (1 / 6) for core in one.tt_cores)
    assert (head - 6**-0.5).abs().max() < 0.06
    mid = mid.view(16, 6, 4, 5)
    usual = (mid - 6**-0.5).abs() < 0.06
    # One even column of each block is not, and of it one number at most is not nearly zero.
    other = ~usual.all(1)
    assert (other.sum(2) == 1).all() and not other[:, :, 1::2].any()
    column = mid.transpose(1, 2)[:, :, :, :].transpose(2, 3)[other]
    assert column.shape == (64, 6) and ((column.abs() > 0.01).sum(1) <= 1).all()
    # Teeth at multiples of 1 / 15.
    large = column.abs().amax(1) * 6**-0.5
    assert ((large * 15 - (large * 15).round()).abs() < 15 * 0.7 / 60 + 1e-5).all() and large.max() < 1
    tail = tail.view(16, 5, 4)
    large = (tail.abs() > 0.06).sum(1)
    assert (large <= 1).all() and large.sum() > 32 and not (tail[:, ::2].abs() > 0.06).any()
    for wrong in (
        lambda **rest: TTEmbeddingBag(60, 8, [3], [6, 10], [2, 4], **rest),
        lambda **rest: TableBatchedTTEmbeddingBag(2, 60, 8, [3, 3], **rest),
        lambda **rest: TTEmbeddingBag(60, 8, [3, 1], **rest),
    ):
        with pytest.raises(ValueError, match="approx-uniform"):
            wrong(weight_dist="approx-uniform")


def test_cores_are_drawn_anew():
    one = TTEmbeddingBag(60, 8, [3, 3], optimizer=OptimType.EXACT_ADAGRAD)
    one(torch.tensor([1, 2]), torch.tensor([0, 2])).sum().backward()
    before = [core.clone() for core in one.tt_cores]
    one.reset_parameters("normal")
    assert not any(map(torch.equal, one.tt_cores, before)) and not any(map(torch.any, one.optimizer_state))
    assert one.hashtbl.numel() == 0
    torch.testing.assert_close(one(torch.tensor([1]), torch.tensor([0, 1]))[0], one.full_weight()[1])


def test_buffer_list():
    buffers = BufferList("state", [torch.zeros(1)]).append(torch.ones(2)).extend([torch.ones(3)])
    assert len(buffers) == 3 and [a.numel() + b.numel() for a in buffers for b in buffers] == [2, 3, 4, 3, 4, 5, 4, 5, 6]
    assert list(buffers.state_dict()) == ["state0", "state1", "state2"] and buffers[-1].numel() == 3
