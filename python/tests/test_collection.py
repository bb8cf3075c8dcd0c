"""All tables in one call, beside each on its own."""

import copy
import dataclasses
import enum

import pytest
import torch

import ttcore
from ttcore import TableConfig, TTEmbeddingBagCollection


class PoolingType(enum.Enum):
    """As TorchRec has it."""

    SUM = "SUM"
    MEAN = "MEAN"


@dataclasses.dataclass
class EmbeddingBagConfig:
    """As TorchRec has it."""

    num_embeddings: int
    embedding_dim: int
    name: str = ""
    feature_names: list = dataclasses.field(default_factory=list)
    pooling: PoolingType = PoolingType.SUM


class KeyedJaggedTensor:
    """The methods of TorchRec's that are called."""

    def __init__(self, keys, values, lengths, weights=None):
        self._keys, self._values, self._lengths, self._weights = keys, values, lengths, weights

    def keys(self):
        return self._keys

    def values(self):
        return self._values

    def offsets(self):
        return torch.cat([self._lengths.new_zeros(1), self._lengths.cumsum(0).to(self._lengths.dtype)])

    def weights_or_none(self):
        return self._weights


SIZES = [(3000, 8), (40, 4), (5000, 16)]
FEATURES = ["f0", "f1", "f2"]


def tables(**kwargs):
    return [
        TableConfig(rows, dim, name=f"table_{n}", feature_names=[f"f{n}"], tt_rank=4, mode=["sum", "mean", "sum"][n], **kwargs)
        for n, (rows, dim) in enumerate(SIZES)
    ]


def collection(**kwargs):
    return TTEmbeddingBagCollection(tables(), **{"seed": 0, "dtype": torch.float64, **kwargs})


def batch(bags=5, offsets=torch.int64, weights=False):
    lengths = torch.randint(0, 4, (3 * bags,), dtype=offsets)
    parts = [torch.randint(rows, (int(lengths[bags * n : bags * (n + 1)].sum()),)) for n, (rows, _) in enumerate(SIZES)]
    values = torch.cat(parts)
    given = torch.randn(values.numel(), dtype=torch.float64, requires_grad=True) if weights else None
    return KeyedJaggedTensor(FEATURES, values, lengths, given)


def one_by_one(collection, kjt):
    """By ``nn.functional.embedding_bag`` on the tables expanded from leaves: outputs, and the leaves."""
    offsets, bags = kjt.offsets().tolist(), len(kjt.offsets()) // 3
    outs, leaves = [], []
    for n, name in enumerate(collection.table_names):
        whole = collection.expand(name).requires_grad_()
        starts = torch.tensor(offsets[n * bags : (n + 1) * bags])
        part = slice(offsets[n * bags], offsets[(n + 1) * bags])
        weights = kjt.weights_or_none()
        mode = collection._configs[n].mode
        if mode == "mean" and weights is not None:  # which PyTorch does not have: a sum divided by lookups
            ends = torch.cat([starts[1:], torch.tensor([part.stop])])
            count = (ends - starts).clamp(min=1).unsqueeze(1)
            out = torch.nn.functional.embedding_bag(
                kjt.values()[part], whole, starts - part.start, mode="sum", per_sample_weights=weights[part]
            ) / count
        else:
            out = torch.nn.functional.embedding_bag(
                kjt.values()[part],
                whole,
                starts - part.start,
                mode=mode,
                per_sample_weights=None if weights is None else weights[part],
            )
        outs.append(out)
        leaves.append(whole)
    return torch.cat(outs, 1), leaves


@pytest.mark.parametrize("offsets", [torch.int32, torch.int64])
@pytest.mark.parametrize("weights", [False, True])
def test_jagged_tensors(offsets, weights):
    one = collection(is_weighted=weights)
    assert [shape is None for shape in one.shapes] == [False, True, False]  # the second is too small to gain
    for bags in (5, 1, 40):
        kjt = batch(bags, offsets, weights)
        out = one(kjt)
        want, leaves = one_by_one(one, kjt)
        assert out.keys() == FEATURES and out.length_per_key() == [8, 4, 16]
        torch.testing.assert_close(out.values(), want, rtol=1e-12, atol=1e-14)
        grad = torch.randn_like(want)
        inputs = [one.cores["table_1"]] + ([kjt.weights_or_none()] if weights else [])
        ours = torch.autograd.grad(out.values(), inputs, grad, retain_graph=True)
        theirs = torch.autograd.grad(want, [leaves[1]] + inputs[1:], grad)
        torch.testing.assert_close(ours[0].view(40, 4), theirs[0])
        if weights:
            torch.testing.assert_close(ours[1], theirs[1])


def test_lists_of_tensors_and_modules_of_one_table():
    one = collection(is_weighted=True)
    bags = []
    for name, config, shape in zip(one.table_names, one._configs, one.shapes):
        if shape is None:
            bag = torch.nn.EmbeddingBag(config.num_embeddings, config.embedding_dim, mode="sum", dtype=torch.float64)
            bag.weight.data.copy_(one.expand(name))
        else:
            bag = ttcore.TTEmbeddingBag(config.num_embeddings, config.embedding_dim, mode="sum", tt_shape=shape, dtype=torch.float64)
            bag.cores.data.copy_(one.cores[name])
        bags.append(bag)
    values = [torch.randint(rows, (6, 1)) for rows, _ in SIZES]
    weights = [torch.randn(6, 1, dtype=torch.float64, requires_grad=True) for _ in SIZES]
    out = one(values, per_sample_weights=weights)
    want = torch.cat([bag(v, None, w) for bag, v, w in zip(bags, values, weights)], 1)
    torch.testing.assert_close(out.values(), want)  # of one lookup, a mean is a sum
    got = torch.autograd.grad(out.values().square().sum(), [*one.cores.values(), *weights])
    expected = torch.autograd.grad(want.square().sum(), [*(next(bag.parameters()) for bag in bags), *weights])
    for mine, other in zip(got, expected):
        torch.testing.assert_close(mine, other.view_as(mine))


def test_features_in_another_order_and_more_than_are_wanted():
    one = collection(is_weighted=True)
    kjt = batch(4, weights=True)
    offsets = kjt.offsets().tolist()
    part = lambda n, all: all[offsets[4 * n] : offsets[4 * n + 4]]  # noqa: E731
    order = [2, 0, 1, 0]
    other = KeyedJaggedTensor(
        ["f2", "f0", "f1", "unwanted"],
        torch.cat([part(n, kjt.values()) for n in order]),
        torch.cat([kjt._lengths[4 * n : 4 * n + 4] for n in order]),
        torch.cat([part(n, kjt.weights_or_none()) for n in order]),
    )
    assert torch.equal(one(kjt).values(), one(other).values())
    one(other).values().sum().backward()
    mine = kjt.weights_or_none().grad.clone()
    kjt.weights_or_none().grad = None
    one(kjt).values().sum().backward()
    torch.testing.assert_close(mine, kjt.weights_or_none().grad)


def shared(**kwargs):
    """A table that two features share, one that a feature has beside others, and names that are not in their order."""
    tables = [
        TableConfig(3000, 8, "z", ["a", "b"], tt_rank=4, cache_rows=kwargs.pop("cache_rows", 0)),
        TableConfig(30, 8, "y", ["a", "c", "d"], mode="mean"),
    ]
    return TTEmbeddingBagCollection(tables, **{"seed": 0, "dtype": torch.float64, **kwargs})


@pytest.mark.parametrize("jagged", [True, False])
@pytest.mark.parametrize("cached", [0, 5])
@pytest.mark.parametrize("weighted", [True, False])
def test_features_that_share_a_table(jagged, cached, weighted):
    one = shared(cache_rows=cached, is_weighted=weighted)
    every = ["a", "b", "a", "c", "d"]
    for bags in (1, 6):
        lists = {name: [torch.randint(30, (int(n),)) for n in torch.randint(0, 4, (bags,))] for name in "abcd"}
        weights = {name: [torch.randn(len(rows), dtype=torch.float64) for rows in lists[name]] for name in "abcd"}
        if jagged:
            kjt = KeyedJaggedTensor(
                ["a", "b", "c", "d"],
                torch.cat([rows for name in "abcd" for rows in lists[name]]),
                torch.tensor([len(rows) for name in "abcd" for rows in lists[name]]),
                torch.cat([each for name in "abcd" for each in weights[name]]) if weighted else None,
            )
            out = one(kjt)
        else:
            values = [torch.cat(lists[name]) for name in every]
            starts = [torch.tensor([0] + [len(rows) for rows in lists[name][:-1]]).cumsum(0) for name in every]
            out = one(values, starts, [torch.cat(weights[name]) for name in every] if weighted else None)
        assert out.keys() == ["a@z", "b", "a@y", "c", "d"]
        leaves = [one.expand("z").requires_grad_(), one.expand("y").requires_grad_()]
        want = []
        for at, name in enumerate(every):
            whole = leaves[at > 1]
            for rows, each in zip(lists[name], weights[name]):
                chosen = whole[rows] * (each[:, None] if weighted else 1)
                want.append(chosen.sum(0) / (max(len(rows), 1) if at > 1 else 1))
        want = torch.stack(want).view(5, bags, 8).transpose(0, 1).reshape(bags, 40)
        torch.testing.assert_close(out.values(), want)
        grad = torch.randn_like(want)
        ours = torch.autograd.grad(out.values(), list(one.cores.values()), grad)
        theirs = torch.autograd.grad(want, leaves, grad)
        torch.testing.assert_close(ours[1].view(30, 8), theirs[1])
        if cached:
            out = one(kjt) if jagged else one(values, starts, [torch.cat(weights[name]) for name in every] if weighted else None)
            out.values().sum().backward()
            one.refresh()


def test_features_of_a_table_are_checked_each():
    one, two, three = shared(), torch.tensor([1, 2]), torch.tensor([0, 1])
    for error, words, values, offsets in [
        (ValueError, "feature 1: the first offset is 1, not 0", [two] * 5, [three, torch.tensor([1, 1])] + [three] * 3),
        (ValueError, "feature 0: offset 3 at position 1 is behind", [two] * 5, [torch.tensor([0, 3])] + [three] * 4),
        (ValueError, "feature 1 has 1 bags, others of its table 2", [two] * 5, [three, torch.tensor([0])] + [three] * 3),
        (ValueError, "bags", [two] * 5, [three] * 2 + [torch.tensor([0])] * 3),
        (IndexError, "table 1: index 30 at position 2", [two] * 3 + [torch.tensor([30, 1]), two], [three] * 5),
        (IndexError, "table 0: index -1 at position 1", [torch.tensor([1, -1])] + [two] * 4, [three] * 5),
    ]:
        with pytest.raises(error, match=words):
            one(values, offsets)
    assert one([two] * 5, [three] * 5).values().shape == (2, 40)


def test_configs_of_torchrec():
    configs = [EmbeddingBagConfig(3000, 8, "a", ["f"]), EmbeddingBagConfig(3000, 8, "b", ["f"], PoolingType.MEAN)]
    one = TTEmbeddingBagCollection(configs, tt_rank=4)
    kjt = KeyedJaggedTensor(["f"], torch.tensor([1, 2, 2999]), torch.tensor([2, 1]))
    out = one(kjt)
    assert out.keys() == ["f@a", "f@b"]
    torch.testing.assert_close(out["f@a"][0], one.rows("a", [1, 2]).sum(0))
    torch.testing.assert_close(out["f@b"][0], one.rows("b", [1, 2]).mean(0))
    assert one.embedding_bag_configs() == configs and not one.is_weighted() and one.device.type == "cpu"
    a, b = ttcore.KeyedTensor.regroup([out], [["f@b"], ["f@a", "f@b"]])
    assert a.shape == (2, 8) and b.shape == (2, 16)


@pytest.mark.parametrize("rule", ["sgd", "adagrad", "adam", "adagrad_norm"])
def test_fused(rule):
    one = collection(fused=rule, lr=0.05)
    kjt = batch()
    losses = []
    for _ in range(20):
        loss = (one(kjt).values() - 1).square().mean()
        loss.backward()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and not list(p for p in one.parameters() if p.requires_grad)
    other = collection(fused=rule, lr=0.05, seed=7)
    other.load_state_dict(one.state_dict())
    for each in (one, other, copy.deepcopy(other)):
        each(kjt).values().sum().backward()
        assert torch.equal(each(kjt).values(), one(kjt).values())


def test_caches():
    one = collection(cache_rows=4)
    for _ in range(3):
        one([torch.tensor([[7, 8]]), torch.tensor([[1]]), torch.tensor([[9]])]).values().sum().backward()
    before = [one.expand(name) for name in one.table_names]
    assert one.refresh() == {"table_0": (2, 0, 0), "table_1": (0, 0, 0), "table_2": (1, 0, 0)}
    assert all(torch.equal(one.expand(name), old) for name, old in zip(one.table_names, before))
    assert one.statistics()["table_0"]["cached_rows"] == 2
    other = collection(cache_rows=4, seed=3)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.expand("table_0"), one.expand("table_0"))


def ints(*numbers):
    return torch.tensor(numbers)


ERRORS = [
    (IndexError, "table 1: index 40 at position 1", (["f0", "f1", "f2"], ints(1, 2, 40, 3), ints(1, 2, 1))),
    (ValueError, r"no features \['f2'\]", (["f0", "f1", "x"], ints(1, 2, 3), ints(1, 1, 1))),
    (ValueError, "the last offset, 2 at position 3, is not the number of values, 3", (FEATURES, ints(1, 2, 3), ints(1, 1, 0))),
    (ValueError, "offset 1 at position 2 is smaller than 2", (FEATURES, ints(1, 2), ints(2, -1, 1))),
    (ValueError, "3 offsets are not those of 3 features", (FEATURES, ints(1, 2), ints(1, 1))),
]


class Jagged:
    """A jagged tensor that believes its offsets."""

    def __init__(self, keys, offsets):
        self._keys, self._offsets = keys, offsets

    def keys(self):
        return self._keys

    def values(self):
        return ints(1, 2, 3)

    def offsets(self):
        return self._offsets

    def weights_or_none(self):
        return None


@pytest.mark.parametrize("keys", [["f0", "f1", "f2"], ["f2", "f1", "f0"]])
@pytest.mark.parametrize(
    "words, offsets",
    [
        ("the first offset is 1, not 0", [1, 2, 3, 3]),
        ("the last offset, 2 at position 3, is not the number of values, 3", [0, 1, 2, 2]),
        ("offset 0 at position 2 is smaller than 1 before it", [0, 1, 0, 3]),
        ("5 offsets are not those of 3 features", [0, 1, 2, 3, 3]),
        ("offset", []),
    ],
)
def test_offsets_are_checked_in_any_order_of_features(keys, words, offsets):
    with pytest.raises(ValueError, match=words):
        collection()(Jagged(keys, torch.tensor(offsets, dtype=torch.int64)))


@pytest.mark.parametrize("error, words, args", ERRORS)
def test_jagged_tensors_that_are_not(error, words, args):
    with pytest.raises(error, match=words):
        collection()(KeyedJaggedTensor(*args))


def test_other_errors():
    one, index = collection(), torch.tensor([[1]])
    for error, words, call in [
        (ValueError, "2 lists of indices for 3 features", lambda: one([index, index])),
        (ValueError, "1 lists of offsets", lambda: one([index] * 3, [None])),
        (ValueError, "not weighted", lambda: one([index] * 3, None, [index.double()] * 3)),
        (ValueError, "offsets and weights of its own", lambda: one(batch(), [None])),
        (ValueError, "needs weights", lambda: collection(is_weighted=True)(batch())),
        (ValueError, "table 2 has 2 bags in this batch", lambda: one([index, index, torch.tensor([[1], [2]])])),
        (ValueError, "two tables of the name", lambda: TTEmbeddingBagCollection([TableConfig(10, 4, "a")] * 2)),
        (ValueError, "at least one table", lambda: TTEmbeddingBagCollection([])),
        (ValueError, "'max'", lambda: TTEmbeddingBagCollection([TableConfig(10, 4, mode="max")])),
        (KeyError, "no table 'x'", lambda: one.rows("x", [1])),
        (KeyError, "x", lambda: one(batch())["x"]),
    ]:
        with pytest.raises(error, match=words):
            call()


def test_one_call_has_the_bits_of_many():
    one = collection(dtype=torch.float32, threads=2)
    alone = collection(dtype=torch.float32, threads=1)
    kjt = batch(200)
    first, second = one(kjt).values(), alone(kjt).values()
    first.square().sum().backward()
    second.square().sum().backward()
    assert torch.equal(first, second)
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(one.parameters(), alone.parameters()))


@pytest.mark.parametrize("name", ["parameters", "state"])
def test_fused_tables_share_no_memory(name):
    tables = [ttcore.TableConfig(40, 4, name=name, dense=True, mode="sum") for name in "ab"]
    one = ttcore.TTEmbeddingBagCollection(tables, fused="adagrad", lr=0.1)
    if name == "parameters":
        one.cores["b"] = one.cores["a"]
    else:
        one.optimizer_state.b = one.optimizer_state.a
    before = one.expand("a").clone()
    out = one([torch.tensor([[1]])] * 2).values()
    with pytest.raises(ValueError, match="cannot share parameters or optimiser state"):
        out.sum().backward()
    with pytest.raises(ValueError, match="cannot share parameters or optimiser state"):
        one.refresh()
    assert torch.equal(one.expand("a"), before)
