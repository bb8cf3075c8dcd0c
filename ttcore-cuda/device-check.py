"""Times of a step of PyTorch's dense EmbeddingBag, and of FBGEMM's table-batched one if it is installed, as JSON.

The workload of examples/device_times: 512 bags of 20 uniformly random rows of 11,000,000, 64 columns, SGD, forward and
backward with the update. Prints microseconds from launch to launch, the mean of 100 steps.
"""

import json
import sys
import time

ROWS, DIM, BAGS, LOOKUPS, STEPS, WARM = 11_000_000, 64, 512, 20, 100, 10


def timed(torch, step):
    for _ in range(WARM):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS * 1e6


def pytorch(torch, indices, offsets, grad):
    bag = torch.nn.EmbeddingBag(ROWS, DIM, mode="sum", sparse=True, device="cuda")
    optimizer = torch.optim.SGD(bag.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        bag(indices, offsets).backward(grad)
        optimizer.step()

    return timed(torch, step)


def fbgemm(torch, indices, offsets, grad):
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
    from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen

    spec = [(ROWS, DIM, EmbeddingLocation.DEVICE, ComputeDevice.CUDA)]
    bags = SplitTableBatchedEmbeddingBagsCodegen(spec, optimizer=EmbOptimType.EXACT_SGD, learning_rate=1e-3)
    ends = torch.cat([offsets, torch.tensor([indices.numel()], device="cuda")])
    return timed(torch, lambda: bags(indices, ends).backward(grad))


def main():
    import torch

    torch.manual_seed(1)
    indices = torch.randint(ROWS, (BAGS * LOOKUPS,), device="cuda")
    offsets = torch.arange(0, BAGS * LOOKUPS, LOOKUPS, device="cuda")
    grad = torch.randn(BAGS, DIM, device="cuda")
    result = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name()}
    for name, run in (("pytorch_us", pytorch), ("fbgemm_us", fbgemm)):
        try:
            result[name] = round(run(torch, indices, offsets, grad), 1)
        except ImportError as error:
            result[name] = None
            print(f"{name}: {error}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
