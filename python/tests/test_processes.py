"""Threads, forks, and a Python without PyTorch."""

import os
import subprocess
import sys
import threading

import pytest
import torch

import ttcore


def run(code, **kwargs):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **kwargs)


def test_import_without_torch():
    code = """
import sys
sys.modules["torch"] = None    # an import of it fails
import ttcore
print(ttcore.Shape.paper(1000, 8).parameters, "torch" in dir(ttcore), "TTEmbeddingBag" in dir(ttcore))
try:
    ttcore.TTEmbeddingBag
except ImportError as error:
    print("torch" in str(error))
"""
    done = run(code)
    assert done.returncode == 0 and done.stdout.split() == ["21760", "False", "True", "True"], done


def test_nothing_is_imported_before_it_is_used():
    done = run("import sys, ttcore; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done


def test_tensors_that_are_asked_by_attributes():
    # As of a PyTorch without the table of functions by which others are described.
    code = """
import torch
from ttcore import _ttcore
_ttcore.tensor_type(torch.Tensor, exchange=False)
import ttcore
bag = ttcore.TTEmbeddingBag(60, 8, mode="sum", seed=0)
values = torch.tensor([[3, 59], [7, 7]], dtype=torch.int32).t()
bag(values).square().sum().backward()
print(bag.cores.grad.norm().item())
for wrong in ([1], torch.zeros(1), values.to("meta"), values.view(1, 2, 2), values.bool()):
    try:
        bag(wrong)
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error)
"""
    done = run(code)
    lines = done.stdout.splitlines()
    bag = ttcore.TTEmbeddingBag(60, 8, mode="sum", seed=0)
    bag(torch.tensor([[3, 59], [7, 7]]).t()).square().sum().backward()
    assert float(lines[0]) == bag.cores.grad.norm().item(), done
    assert [line.split()[0] for line in lines[1:]] == ["TypeError", "TypeError", "ValueError", "ValueError", "TypeError"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    bag = ttcore.TTEmbeddingBag(5000, 16, mode="sum", seed=0, threads=2)
    values, offsets = torch.randint(5000, (4000,)), torch.arange(0, 4000, 2)
    out = bag(values, offsets)
    out.sum().backward()
    want = out.sum().item(), bag.cores.grad.norm().item()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            bag.cores.grad = None
            out = bag(values, offsets)
            # Autograd has threads of its own that are not there: the native call is what must not wait.
            status = 0 if out.sum().item() == want[0] else 2
        finally:
            os._exit(status)
    timer = threading.Timer(60, os.kill, (child, 9))
    timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    assert status == 0, "the child hung" if os.WIFSIGNALED(status) else status


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_forked_while_others_compute():
    # In a process of its own: what a child does after a fork beside threads is the system's to allow.
    code = """
import os, threading, time, torch, ttcore
torch.set_num_threads(1)
bag = ttcore.TTEmbeddingBag(20000, 32, mode="sum", tt_rank=16, seed=0, cache_rows=10, threads=2)
values, end = torch.randint(20000, (500, 20)), threading.Event()

def train():
    while not end.is_set():
        bag(values).sum().backward()

others = [threading.Thread(target=train) for _ in range(3)]
[other.start() for other in others]
time.sleep(0.2)
for _ in range(20):
    child = os.fork()
    if child == 0:
        bag.rows(values[0])
        bag.statistics()
        os._exit(0)
    late = threading.Timer(20, os.kill, (child, 9))
    late.start()
    print(os.waitpid(child, 0)[1])
    late.cancel()
end.set()
"""
    done = run(code)
    assert done.stdout.split() == ["0"] * 20, done


class Looked(torch.utils.data.Dataset):
    """What a worker looks up."""

    def __init__(self, bag):
        self.bag = bag

    def __len__(self):
        return 4

    def __getitem__(self, at):
        with torch.no_grad():
            return self.bag(torch.arange(3000).view(1000, 3) + at)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_a_data_loader(context):
    bag = ttcore.TTEmbeddingBag(5000, 16, mode="sum", seed=0, threads=2)
    data = Looked(bag)
    want = [data[at] for at in range(4)]
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=context, timeout=100)
    for got, expected in zip(loader, want):
        assert torch.equal(got, expected)


def test_many_threads_look_up_and_train():
    bag = ttcore.TTEmbeddingBag(5000, 16, mode="sum", seed=0, threads=2, dtype=torch.float64)
    calls = [torch.randint(5000, (100 * (at + 1), 3)) for at in range(8)]

    def grad(values):
        (grad,) = torch.autograd.grad(bag(values).square().sum(), bag.cores)
        return grad

    want, got = [grad(values) for values in calls], [None] * len(calls)

    def work(at):
        for _ in range(10):
            got[at] = grad(calls[at])

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(mine, other) for mine, other in zip(got, want))


def test_fused_updates_of_many_threads_come_one_by_one():
    bag = ttcore.TTEmbeddingBag(60, 8, mode="sum", seed=0, fused="sgd", lr=1e-3)
    done = []

    def work():
        while len(done) < 200:
            try:
                bag(torch.randint(60, (20, 2))).square().sum().backward()
                done.append(True)
            except RuntimeError as error:  # another was faster: what forward saved is not current
                assert "inplace" in str(error) or "changed" in str(error), error

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.isfinite(bag.cores).all() and bag._tables.session(torch.float32).steps == len(done)
