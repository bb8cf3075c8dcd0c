"""Rows held as they are: those looked up most."""

import operator

import torch
from torch import nn

from .._tables import Tables
from . import _counts

#: What is counted, by ascending row: row numbers, how often each was looked up, which row of ``cache_weight`` holds it or -1.
_NAMES = ("hashtbl", "cache_freq", "cache_state")


class Cached:
    """The part of a module of one table that counts lookups and holds the most frequent rows.

    Lookups count in training: with gradients enabled and not after ``eval()``. What was counted are buffers, of as many numbers
    as rows were seen.
    """

    def _init_cache(self, use_cache, cache_size, hashtbl_size, stateful):
        self.use_cache = bool(use_cache)
        if self.use_cache and self.num_tables != 1:
            raise ValueError(f"a cache is of one table, not of {self.num_tables}")
        rows, dim = self.num_embeddings, self.embedding_dim
        self.cache_size = min(operator.index(cache_size), rows) if cache_size > 0 else max(rows // 10, 1)
        self.hashtbl_size = operator.index(hashtbl_size) if hashtbl_size > 0 else max(2 * self.cache_size, 1024)
        if self.use_cache and self.hashtbl_size < self.cache_size:
            raise ValueError(f"hashtbl_size, {self.hashtbl_size}, is smaller than cache_size, {self.cache_size}")
        #: Lookups not counted yet, and their number.
        self._pending, self._waiting = [], 0
        for name, tensor in zip(_NAMES, _counts.empty()):
            if self.use_cache or name != "cache_freq":
                self.register_buffer(name, tensor)
        state = torch.zeros(0, dim, device="cpu", dtype=torch.float32) if self.use_cache and stateful else None
        self.register_buffer("cache_optimizer_state", state)
        # There from the first, so that optimisers know it.
        weight = torch.zeros(0, dim, device="cpu", dtype=torch.float32)
        self.register_parameter("cache_weight", nn.Parameter(weight) if self.use_cache else None)

    def update_cache(self, indices):
        """Counts lookups that were not, such as those of a trace.

        Raises:
            IndexError: a row number is not one, with its position.
        """
        if not self.use_cache:
            return
        indices = indices.detach().reshape(-1).long()
        wrong = ((indices < 0) | (indices >= self.num_embeddings)).nonzero()
        if wrong.numel():
            at = wrong[0].item()
            raise IndexError(f"index {indices[at]} at position {at} is not a row of a table with {self.num_embeddings} rows")
        self._see(indices)

    def cache_populate(self):
        """Chooses the cached rows anew: those looked up most. They are loaded from the cores, with new state; rows that stay
        keep what they learned, that of others is lost. Then all counts halve.

        The first time, :attr:`cache_weight` gets its numbers. An optimiser that has state for it by then, as Adagrad has from
        the first, is to be made anew.

        Raises:
            RuntimeError: in a process group of several, which would choose other rows: see :attr:`fused_replicas`.
        """
        if not self.use_cache:
            return
        if not self.sparse:
            what, instead = "caches rows by the lookups of one process", "ttcore.TTEmbeddingBag, or use_cache=False"
            self._same_in_all_processes(what, instead)
        self._count_seen()
        known = self._known()
        counts = _counts.top(known, self.cache_size)
        if not counts:
            return
        self._allocate(True)
        self._gather()
        session = self._tables.session(self._memory.dtype)
        session.set_cache(0, _counts.cached(known, self.cache_size), counts)
        states = self._state_rows() if self.sparse else (self._memory.new_empty(0),)
        session.refresh(self._memory.unbind(0), states)
        torch.autograd.graph.increment_version(self._parts())
        slots, _ = session.cache(0)
        self._know(_counts.halve(_counts.with_slots(known, slots)))

    def reset_cache(self):
        """Forgets what was counted, and holds no rows."""
        if self.use_cache:
            self._forget()
            self._know(_counts.empty())
            self._allocate(False)

    def _seen(self, indices):
        if self.use_cache and self.training:
            self._see(indices.detach().reshape(-1).long())

    def _see(self, indices):
        # A copy: the caller may fill the tensor anew.
        self._pending.append(indices.clone())
        self._waiting += indices.numel()
        if self._waiting > max(_counts.PENDING, self.hashtbl.numel()):
            self._count_seen()

    def _count_seen(self):
        if self._pending:
            self._know(_counts.add(self._known(), self._pending, self.hashtbl_size))
            self._forget()

    def _forget(self):
        self._pending, self._waiting = [], 0

    def _known(self):
        return tuple(getattr(self, name) for name in _NAMES)

    def _know(self, known):
        for name, tensor in zip(_NAMES, known):
            setattr(self, name, tensor)

    @torch.no_grad()
    def _allocate(self, there):
        """Memory for the cached rows, or none."""
        rows = self.cache_size if there else 0
        if not self.use_cache or self.cache_weight.size(0) == rows:
            return
        for part in self.cache_weight, self.cache_optimizer_state:
            if part is not None:
                part.data = part.new_zeros(rows, self.embedding_dim)
        self.cache_weight.grad = None
        # Counting is done here, so the least the native counter can do is enough.
        spec = {**self._spec, "cache_rows": rows, "max_counted": 1} if rows else self._spec
        self._tables = Tables([spec], self._tables.threads)
        self._gather()
        torch.autograd.graph.increment_version(self._parts())

    def _with_cached_rows(self, table):
        if self.cache_weight is None or self.cache_weight.size(0) == 0:
            return table
        there = self.cache_state >= 0
        return table.index_copy(0, self.hashtbl[there], self.cache_weight[self.cache_state[there].long()])

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        self._count_seen()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _prepare_cache(self, state_dict, prefix, errors):
        """Makes room for what is to be loaded, and leaves out of it what is not needed: free entries, and rows of a cache that
        holds none."""
        keys = [prefix + name for name in _NAMES]
        if not self.use_cache or any(key not in state_dict for key in keys):
            return
        try:
            known = _counts.check([state_dict[key] for key in keys], self.num_embeddings, self.cache_size)
        except ValueError as error:
            errors.append(str(error))
            # All stays as it is.
            state_dict.update((key, getattr(self, name)) for key, name in zip(keys, _NAMES))
            return
        there = bool((known[2] >= 0).any())
        self._forget()
        self._allocate(there)
        for key, name, tensor in zip(keys, _NAMES, known):
            state_dict[key] = tensor
            setattr(self, name, torch.empty_like(tensor))
        if not there:
            for name in "cache_weight", "cache_optimizer_state":
                part = getattr(self, name)
                if part is not None and prefix + name in state_dict:
                    state_dict[prefix + name] = part.detach().clone()

    def _tell_slots(self):
        """Lets the native tables know which rows are cached, after they were loaded."""
        if self.use_cache and self.cache_weight.size(0):
            self._tables.set_known(0, [(_counts.cached(self._known(), self.cache_size), [])])
