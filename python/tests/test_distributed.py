"""Two processes that train one model."""

import os

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import ttcore

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="PyTorch has no process groups here")

STEPS, BATCH = 6, 8


class Model(torch.nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        torch.manual_seed(0)
        self.bag = ttcore.TTEmbeddingBag(60, 8, mode="sum", seed=0, tt_rank=3, dtype=torch.float64, threads=1, **kwargs)
        self.top = torch.nn.Linear(8, 1, dtype=torch.float64)

    def forward(self, values):
        return torch.tanh(self.top(self.bag(values)))


def batches():
    """Few rows are most lookups, other ones in each half of a batch."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        rows = torch.randint(60, (BATCH, 3), generator=generator)
        rows[: BATCH // 2, 0], rows[BATCH // 2 :, 0] = 7, 11
        yield rows


def train(model, bag, share):
    """The loss is a mean over the batch, of which this process has a share; the cache is refreshed half way."""
    optimiser = torch.optim.Adagrad([param for param in model.parameters() if param.requires_grad], lr=0.1)
    for step, batch in enumerate(batches()):
        optimiser.zero_grad()
        model(batch[share]).square().mean().backward()
        optimiser.step()
        if step == STEPS // 2:
            bag.refresh()


def spawned(rank, work, folder, *args):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    try:
        torch.save(work(rank, *args), os.path.join(folder, f"{rank}.pt"))
    finally:
        dist.destroy_process_group()
    # A thread of PyTorch's process group that wants the interpreter while it ends aborts the process, now and then.
    os._exit(0)


def two(work, folder, *args):
    """What each of two processes found."""
    torch.multiprocessing.spawn(spawned, args=(work, str(folder), *args), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def replicated(rank, cache_rows):
    model = Model(cache_rows=cache_rows)
    bag = model.bag
    train(DistributedDataParallel(model), bag, slice(rank * BATCH // 2, (rank + 1) * BATCH // 2))
    return model.state_dict()


@pytest.mark.parametrize("cache_rows", [0, 2])
def test_two_processes_train_as_one(tmp_path, cache_rows):
    first, second = two(replicated, tmp_path, cache_rows)
    alone = Model(cache_rows=cache_rows)
    train(alone, alone.bag, slice(None))
    torch.testing.assert_close(first["bag.cores"], second["bag.cores"], rtol=0, atol=0)
    torch.testing.assert_close(first["bag.cores"], alone.bag.cores.detach(), rtol=1e-9, atol=1e-12)
    if cache_rows:
        # 7 is frequent in one half of the batches and 11 in the other: neither process alone would choose both.
        slots = [sorted(model._tables.known()[1][0][0]) for model in (alone.bag,)]
        assert slots == [[7, 11]]
        for state in (first, second):
            other = Model(cache_rows=cache_rows)
            other.load_state_dict(state)
            assert sorted(other.bag._tables.known()[1][0][0]) == [7, 11]


def fused(rank):
    said = []
    for told in (False, True):
        model = Model(fused="sgd", lr=0.1, fused_replicas=told)
        with torch.no_grad():
            model(torch.tensor([[1]]))
        try:
            model(torch.tensor([[1]])).sum().backward()
            said.append("")
        except RuntimeError as error:
            said.append(str(error))
    return {"refused": torch.tensor("fused_replicas" in said[0]), "told": torch.tensor(said[1] == "")}


def test_fused_tables_of_many_processes_are_refused(tmp_path):
    for found in two(fused, tmp_path):
        assert found["refused"] and found["told"]
