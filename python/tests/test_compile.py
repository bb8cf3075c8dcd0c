"""Under ``torch.compile``, and as operators."""

import pytest
import torch

import ttcore

VALUES, OFFSETS = torch.tensor([3, 59, 59, 0, 7, 21]), torch.tensor([0, 3, 3, 4])

# Of PyTorch's own compiler, not of what is compiled.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


def bag(**kwargs):
    kwargs = {"mode": "sum", "seed": 0, "dtype": torch.float64, **kwargs}
    return ttcore.TTEmbeddingBag(60, 8, tt_shape=([3, 4, 5], [2, 2, 2]), tt_rank=3, **kwargs)


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()


class Model(torch.nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        torch.manual_seed(0)
        self.bag, self.top = bag(**kwargs), torch.nn.Linear(8, 1, dtype=torch.float64)

    def forward(self, *call):
        return torch.tanh(self.top(self.bag(*call))).sum()


def gradients(model, call):
    leaves = [*model.parameters()] + [each for each in call if each is not None and each.requires_grad]
    return torch.autograd.grad(model(*call), leaves)


@pytest.mark.parametrize("backend", ["aot_eager", "eager"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("padding_idx", [None, 59])
def test_a_whole_graph_has_the_bits_of_eager(backend, weighted, padding_idx):
    model = Model(padding_idx=padding_idx)
    weights = torch.randn(6, dtype=torch.float64, requires_grad=True) if weighted else None
    call = VALUES, OFFSETS, weights
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    want = gradients(model, call)
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(gradients(compiled, call), want))
    with torch.no_grad():
        assert torch.equal(compiled(*call), model(*call))


def test_batches_of_any_size_in_one_graph():
    model = Model()
    count = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=count)
    for size in (4, 9, 30):
        call = torch.randint(60, (size, 3)),
        assert torch.equal(compiled(*call), model(*call))
    assert count.frame_count == 1


def test_collections():
    tables = [ttcore.TableConfig(3000, 8, "a", tt_rank=4), ttcore.TableConfig(20, 8, "b")]
    one = ttcore.TTEmbeddingBagCollection(tables, is_weighted=True, seed=0)
    values = [torch.randint(20, (5, 2)) for _ in tables]
    weights = [torch.randn(5, 2, requires_grad=True) for _ in tables]
    call = lambda values, weights: one(values, None, weights).values().square().sum()  # noqa: E731
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    inputs = [*one.parameters(), *weights]
    want = torch.autograd.grad(call(values, weights), inputs)
    got = torch.autograd.grad(compiled(values, weights), inputs)
    assert all(torch.equal(a, b) for a, b in zip(got, want))


def test_jagged_tensors():
    from test_collection import batch, collection

    one = collection(is_weighted=True)
    kjt = batch(7, weights=True)
    inputs = [*one.parameters(), kjt.weights_or_none()]
    compiled = torch.compile(one, fullgraph=True, backend="aot_eager")
    want = torch.autograd.grad(one(kjt).values().square().sum(), inputs)
    got = torch.autograd.grad(compiled(kjt).values().square().sum(), inputs)
    assert all(torch.equal(a, b) for a, b in zip(got, want))


def test_what_is_not_remembered_is_computed_again():
    one = bag(cache_rows=2)
    compiled = torch.compile(one, fullgraph=True, backend="aot_eager")
    outs = [compiled(VALUES, OFFSETS) for _ in range(20)]
    assert len(one._tables.passes) == 8
    grads = [torch.autograd.grad(out.square().sum(), one.cores)[0] for out in outs]
    want = torch.autograd.grad(one(VALUES, OFFSETS).square().sum(), one.cores)[0]
    assert all(torch.equal(grad, want) for grad in grads)
    assert not one._tables.passes and one.statistics()["lookups"] == 21 * 6


def test_a_step_between_forward_and_backward_is_refused():
    one = bag()
    out = torch.compile(one, fullgraph=True, backend="aot_eager")(VALUES, OFFSETS)
    with torch.no_grad():
        one.cores.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_fused_tables_break_the_graph():
    one, other = bag(fused="sgd", lr=0.1), bag(fused="sgd", lr=0.1)
    compiled = torch.compile(lambda *call: other(*call) * 2, backend="aot_eager")
    for _ in range(2):
        (one(VALUES, OFFSETS) * 2).square().sum().backward()
        compiled(VALUES, OFFSETS).square().sum().backward()
    assert torch.equal(one.cores, other.cores)
    torch._dynamo.reset()
    with pytest.raises(Exception, match="fused_tables_are_not_traced"):
        torch.compile(bag(fused="sgd", lr=0.1), fullgraph=True, backend="aot_eager")(VALUES, OFFSETS)


@pytest.mark.parametrize("weighted", [False, True])
def test_operators(weighted):
    one = bag()
    weights = torch.randn(6, dtype=torch.float64, requires_grad=True) if weighted else None
    tables = one._tables
    call = [one.cores], [VALUES], [OFFSETS], weights, tables.handle, 4, tables.stride, False, False, False, True
    # Numbers of passes differ from call to call; all else is checked.
    checks = "test_schema", "test_autograd_registration", "test_faketensor"
    torch.library.opcheck(torch.ops.ttcore.bags, call, test_utils=checks)
    out, token = torch.ops.ttcore.bags(*call)
    back = torch.randn_like(out), [one.cores.detach()], [VALUES], [OFFSETS], weights, token, tables.handle
    back += False, False, False, True, weighted
    torch.library.opcheck(torch.ops.ttcore.bags_backward, back, test_utils=("test_schema", "test_faketensor"))


def test_modules_that_are_alike_share_a_graph():
    torch._dynamo.reset()
    ones = [ttcore.TTEmbeddingBag(60, 8, mode="sum", tt_rank=2, seed=seed) for seed in range(12)]
    for one in ones:  # more than PyTorch compiles one function anew
        out = torch.compile(one, backend="aot_eager", fullgraph=True)(VALUES, OFFSETS)
        assert torch.equal(out, one(VALUES, OFFSETS))
