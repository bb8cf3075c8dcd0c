"""Outputs by name, where TorchRec is not there to hold them."""

import itertools

import torch


class KeyedTensor:
    """The outputs of all features of a batch side by side in one tensor ``[B, sum of lengths]``: the methods of TorchRec's
    class of that name that models use.

    >>> import torch, ttcore
    >>> out = ttcore.KeyedTensor(["a", "b"], [2, 1], torch.tensor([[1.0, 2.0, 3.0]]))
    >>> out["b"], out.to_dict()["a"]
    (tensor([[3.]]), tensor([[1., 2.]]))
    """

    def __init__(self, keys, length_per_key, values):
        self._keys, self._lengths, self._values = list(keys), list(length_per_key), values
        self._offsets = [0, *itertools.accumulate(self._lengths)]

    def keys(self):
        """The names, in order."""
        return self._keys

    def values(self):
        """All outputs, ``[B, sum of lengths]``."""
        return self._values

    def key_dim(self):
        """The dimension that outputs are side by side in."""
        return 1

    def length_per_key(self):
        """Columns of each output."""
        return self._lengths

    def offset_per_key(self):
        """Where each output begins, and the end."""
        return self._offsets

    def __getitem__(self, key):
        at = self._keys.index(key) if key in self._keys else None
        if at is None:
            raise KeyError(key)
        return self._values[:, self._offsets[at] : self._offsets[at + 1]]

    def to_dict(self):
        """Each output by its name, as views."""
        return dict(zip(self._keys, self._values.split(self._lengths, dim=1)))

    @staticmethod
    def regroup(keyed_tensors, groups):
        """For each group of names one tensor with their outputs side by side."""
        every = {key: output for tensor in keyed_tensors for key, output in tensor.to_dict().items()}
        return [torch.cat([every[key] for key in group], dim=1) for group in groups]

    def __repr__(self):
        return f"KeyedTensor({dict(zip(self._keys, self._lengths))}, {self._values!r})"
