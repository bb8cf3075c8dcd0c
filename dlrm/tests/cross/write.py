"""Writes golden.json beside this file: a small DLRM with a low-rank cross network, in double precision. pip install torch."""

import json
import pathlib

import torch

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
BATCH, DENSE, DIM, ROWS, LAYERS, RANK = 5, 3, 2, [4, 6], 2, 3
WIDTH = DIM * (1 + len(ROWS))


def draw(*shape):
    return (torch.randn(*shape) * 0.7).requires_grad_()


params = {
    "bottom.weight": draw(DIM, DENSE),
    "bottom.bias": draw(DIM),
    "top.weight": draw(1, WIDTH),
    "top.bias": draw(1),
}
for number, rows in enumerate(ROWS):
    params[f"tables.{number}"] = draw(rows, DIM)
for layer in range(LAYERS):
    params[f"cross.{layer}.v"] = draw(RANK, WIDTH)
    params[f"cross.{layer}.w"] = draw(WIDTH, RANK)
    params[f"cross.{layer}.bias"] = draw(WIDTH)

dense = torch.rand(BATCH, DENSE)
indices = [torch.randint(rows, (BATCH,)) for rows in ROWS]
labels = torch.randint(2, (BATCH,)).double()

x = torch.relu(dense @ params["bottom.weight"].T + params["bottom.bias"])
first = torch.cat([x] + [params[f"tables.{t}"][index] for t, index in enumerate(indices)], dim=1)
crossed = first
for layer in range(LAYERS):
    low = torch.nn.functional.linear(crossed, params[f"cross.{layer}.v"])
    factor = torch.nn.functional.linear(low, params[f"cross.{layer}.w"], params[f"cross.{layer}.bias"])
    crossed = first * factor + crossed
logits = torch.nn.functional.linear(crossed, params["top.weight"], params["top.bias"]).squeeze(1)
loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
loss.backward()

out = {
    "dense": dense.flatten().tolist(),
    "indices": [index.tolist() for index in indices],
    "labels": labels.tolist(),
    "probabilities": torch.sigmoid(logits).tolist(),
    "loss": loss.item(),
    "params": {name: value.detach().flatten().tolist() for name, value in params.items()},
    "gradients": {name: value.grad.flatten().tolist() for name, value in params.items()},
}
(pathlib.Path(__file__).parent / "golden.json").write_text(json.dumps(out, indent=1) + "\n")
