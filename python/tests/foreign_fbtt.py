"""Runs the test file of ``tt_embeddings_ops``, unchanged, on ``ttcore.fbtt``::

    python python/tests/foreign_fbtt.py tt_embeddings_test.py [arguments of unittest]

The file is that of github.com/facebookresearch/FBTT-Embedding; its tests need the packages numpy and hypothesis. They ask for a
GPU. While the file is imported it therefore gets a stand-in for PyTorch that answers such questions with the CPU, and all else
as PyTorch does.
"""

import importlib.util
import sys
import types
import unittest
import warnings

import torch

import ttcore.fbtt


class OnCpu(types.ModuleType):
    """PyTorch, whose CUDA devices are the CPU."""

    cuda = types.SimpleNamespace(is_available=lambda: True, set_device=lambda device: None)

    @staticmethod
    def device(*args):
        return torch.device("cpu" if str(args[0]).startswith("cuda") else args[0])

    def __getattr__(self, name):
        return getattr(torch, name)


def load(path):
    """The tests of a file."""
    spec = importlib.util.spec_from_file_location("foreign", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tt_embeddings_ops"] = ttcore.fbtt
    sys.modules["torch"] = OnCpu("torch")
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules["torch"] = torch
    return module


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    # Deprecated in PyTorch, but not gone.
    warnings.filterwarnings("ignore", message=".*assert_allclose.*", category=FutureWarning)
    unittest.main(load(sys.argv[1]), argv=[sys.argv[0], *sys.argv[2:]], verbosity=2, warnings=False)
