"""Tensors side by side in one memory, as native calls want the numbers of a table.

Part ``k`` is a tensor ``[tables, ..]``, of which each table has ``n_k`` numbers; the memory is ``[tables, n_1 + n_2 + ..]``.
With one table, a part may have any shape.
"""

from torch import nn


def holds(memory, parts):
    """Whether the parts are views of the memory, at their places."""
    if memory is None:
        return False
    tables, width = memory.shape
    at, end = memory.data_ptr(), memory.data_ptr() + width * memory.element_size()
    for part in parts:
        if part.numel() and (part.data_ptr() != at or part.dtype != memory.dtype):
            return False
        at += part.numel() // tables * memory.element_size()
    return at == end


def gathered(parts, tables):
    """New memory with the numbers of the parts."""
    width = sum(part.numel() for part in parts) // tables
    memory = parts[0].detach().new_empty(tables, width)
    for part, view in zip(parts, views(memory, parts)):
        view.copy_(part.detach())
    return memory


def views(memory, parts):
    """The parts of the memory, of the shapes of ``parts``."""
    out, start = [], 0
    for part in parts:
        end = start + part.numel() // memory.size(0)
        out.append(memory[:, start:end].view(part.shape))
        start = end
    return out


class CoreList(nn.ParameterList):
    """Parameters, which are saved one by one: not as parts of a memory, which some formats refuse."""

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if not keep_vars:
            _apart(self, destination, prefix)


class BufferList(nn.Module):
    """What :class:`torch.nn.ParameterList` is, for buffers; number ``i`` is saved as ``name`` followed by ``i``."""

    def __init__(self, name, buffers=None):
        super().__init__()
        self._name = name
        self.extend(buffers or ())

    def append(self, buffer):
        self.register_buffer(f"{self._name}{len(self)}", buffer)
        return self

    def extend(self, buffers):
        for buffer in buffers:
            self.append(buffer)
        return self

    def __len__(self):
        return len(self._buffers)

    def __iter__(self):
        return iter([*self._buffers.values()])

    def __getitem__(self, index):
        return [*self._buffers.values()][index]

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if not keep_vars:
            _apart(self, destination, prefix)


def _apart(module, destination, prefix):
    for name in [*module._parameters, *module._buffers]:
        destination[prefix + name] = destination[prefix + name].contiguous()
