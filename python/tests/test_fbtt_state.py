"""The interface of ``tt_embeddings_ops``: checkpoints and copies."""

import copy
import io
import pickle

import pytest
import torch
from test_fbtt_cache import DIM, HOT, ROWS, bag, cached, look_up, populated, table

from ttcore.fbtt import OptimType, TableBatchedTTEmbeddingBag


def copies():
    yield "deepcopy", copy.deepcopy
    yield "pickle", lambda one: pickle.loads(pickle.dumps(one))

    def loaded(one, **kwargs):
        file = io.BytesIO()
        torch.save(one.state_dict(), file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
        other = copy.deepcopy(one)
        other.reset_parameters("uniform")
        other.load_state_dict(state, **kwargs)
        return other

    yield "state_dict", loaded
    yield "assign", lambda one: loaded(one, assign=True)


@pytest.mark.parametrize("name, make", list(copies()))
@pytest.mark.parametrize("tables", [0, 1, 2])
@pytest.mark.parametrize("sparse", [True, False])
def test_a_copy_goes_its_own_way(name, make, tables, sparse):
    rule = dict(optimizer=OptimType.EXACT_ADAGRAD, sparse=sparse)
    one = populated(**rule) if tables == 0 else TableBatchedTTEmbeddingBag(tables, ROWS, DIM, [3, 2], **rule)
    values, offsets = torch.tensor([5, 3, 42, 17]), torch.tensor([0, 1, 4] if tables < 2 else [0, 1, 2, 3, 4])

    def trained(one):
        one(values, offsets).square().sum().backward()
        if not sparse:
            torch.optim.SGD(one.parameters(), lr=0.1).step()
            one.zero_grad()

    trained(one)
    other = make(one)
    assert torch.equal(one(values, offsets), other(values, offsets))
    before = [param.detach().clone() for param in one.get_params()]
    trained(other)
    assert all(map(torch.equal, one.get_params(), before))
    assert not any(torch.equal(a, b) for a, b in zip(one.get_params(), other.get_params()))
    trained(one)
    for mine, its in zip([*one.get_params(), *one.optimizer_state], [*other.get_params(), *other.optimizer_state]):
        assert torch.equal(mine, its)
    # What is written to a copy is looked up, too.
    other.tt_cores[0].detach().zero_()
    with torch.no_grad():
        assert not other(torch.tensor([0]), torch.tensor([0, 1] + [1] * (tables == 2))).any()


def test_names_in_checkpoints():
    state = bag(optimizer=OptimType.EXACT_ADAGRAD).state_dict()
    cores = [f"tt_cores.{k}" for k in range(3)]
    states = [f"optimizer_state.optimizer_state{k}" for k in range(3)]
    cache = ["hashtbl", "cache_freq", "cache_state", "cache_weight", "cache_optimizer_state"]
    assert sorted(state) == sorted(["L", *cores, *states, *cache])
    assert state["L"].tolist() == [20, 5, 1]
    assert [tuple(state[core].shape) for core in cores] == [(1, 3, 6), (1, 4, 12), (1, 5, 4)]
    state = TableBatchedTTEmbeddingBag(2, ROWS, DIM, [3, 2]).state_dict()
    assert sorted(state) == sorted(["L", *cores, *states, "hashtbl", "cache_state"])
    assert all(tensor.is_contiguous() for tensor in state.values())


def foreign(one, slots, counts):
    """A checkpoint as ``tt_embeddings_ops`` writes it: with a place for every row."""
    state = copy.deepcopy(one.state_dict())
    keys = torch.full((ROWS,), -1)
    freq, places = torch.zeros(ROWS, dtype=torch.int64), torch.full((ROWS,), -1, dtype=torch.int32)
    for at, (row, count) in enumerate(counts):
        keys[7 * at % ROWS], freq[7 * at % ROWS] = row, count
        places[7 * at % ROWS] = slots.get(row, -1)
    # An entry that was left behind.
    places[59] = 1
    return state | {"hashtbl": keys, "cache_freq": freq, "cache_state": places, "cache_weight": torch.randn(3, DIM)}


def test_a_checkpoint_of_the_package_is_loaded():
    one = bag(weight_dist="uniform")
    state = foreign(one, {}, [(9, 4), (3, 8), (9, 2)])
    other = bag()
    other.load_state_dict(state)
    # It was never populated: no memory is taken.
    assert torch.equal(table(one), table(other)) and other.cache_weight.numel() == 0
    assert other.hashtbl.tolist() == [3, 9] and other.cache_freq.tolist() == [8, 6]
    state = foreign(one, {9: 2, 3: 0}, [(9, 4), (3, 8), (11, 2)])
    other.load_state_dict(state)
    want = table(one)
    want[9], want[3] = state["cache_weight"][2], state["cache_weight"][0]
    assert torch.equal(table(other), want) and cached(other) == {2: 9, 0: 3}
    # A module around it has names in front.
    around, inside = torch.nn.Sequential(torch.nn.Identity(), bag()), {f"1.{name}": x for name, x in state.items()}
    around.load_state_dict(inside)
    assert torch.equal(table(around[1]), want)


def test_a_checkpoint_of_another_table_is_refused():
    one = populated()
    for name, value, words in (
        ("hashtbl", torch.full_like(one.hashtbl, 60), "row 60 was counted, of a table with 60"),
        ("cache_state", torch.full_like(one.cache_state, 3), "slots that are not those of a cache of 3"),
        ("cache_state", torch.full_like(one.cache_state, 1), "slots that are not those of a cache of 3"),
        ("cache_freq", one.cache_freq[1:], "different lengths"),
        ("cache_weight", torch.zeros(4, DIM), "size mismatch for cache_weight"),
        ("L", torch.tensor([15, 5, 1]), r"L, \[15, 5, 1\], is not that of the row factors \[3, 4, 5\]"),
        ("tt_cores.1", torch.zeros(1, 4, 13), "size mismatch for tt_cores.1"),
    ):
        with pytest.raises(RuntimeError, match=words):
            bag().load_state_dict(one.state_dict() | {name: value})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        bag(use_cache=False).load_state_dict(one.state_dict())


def test_a_checkpoint_that_is_refused_leaves_the_cache():
    one, other = populated(), populated()
    before = table(other)
    with pytest.raises(RuntimeError, match="slots that are not those"):
        other.load_state_dict(one.state_dict() | {"cache_state": torch.full_like(one.cache_state, 3)})
    assert sorted(cached(other).values()) == HOT and table(other).shape == before.shape


def test_shared_memory():
    one = populated().share_memory()
    assert all(param.is_shared() for param in one.parameters())
    look_up(one, factor=1)
    torch.testing.assert_close(table(one), one.full_weight().detach())


def test_types_and_devices():
    one = populated(optimizer=OptimType.EXACT_ADAGRAD)
    out = table(one)
    wide = copy.deepcopy(one).double()
    torch.testing.assert_close(table(wide).float(), out)
    look_up(wide, factor=1)
    assert table(wide).dtype == torch.float64 and wide.optimizer_state[0].any()
    assert table(wide.float()).dtype == torch.float32
    with pytest.raises(TypeError, match="float16"):
        table(copy.deepcopy(one).half())
    with pytest.raises(ValueError, match="on meta"):
        table(copy.deepcopy(one).to("meta"))
