"""Native sessions beside modules: made at first use, and again where a module was copied, unpickled or cast."""

import torch

from . import _ops, _ttcore

_ttcore.tensor_type(torch.Tensor)


class Tables:
    """Tables of one module, without their numbers, which are the module's tensors.

    The native session behind it is not part of what a module is: it is left out of copies and pickles, and made from
    ``specs`` when it is next asked for. What it knows beyond them, caches and the number of updates, goes along.
    """

    def __init__(self, specs, threads=None, features=None):
        #: Arguments of ``_ttcore.Table``, for each table.
        self.specs = specs
        #: ``None`` for as many threads as PyTorch uses.
        self.threads = threads
        #: How many features look each table up.
        self.features = [1] * len(specs) if features is None else features
        self.tables = [_ttcore.Table(**spec) for spec in specs]
        #: Numbers of an output row, and what operators find these tables and their passes by.
        self.stride = sum(table.dim * count for table, count in zip(self.tables, self.features))
        self.handle, self.passes = _ops.own(self), _ops.Passes()
        self.cached = any(spec.get("cache_rows") for spec in specs)
        self._session = None
        self._double = None
        self._known = None

    def anew(self):
        """The same tables, of which nothing is known."""
        return Tables(self.specs, self.threads, self.features)

    def session(self, dtype):
        """The session for parameters of a type."""
        double = dtype == torch.float64
        if self._session is None or self._double != double:
            known = self.known()
            threads = self.threads or max(1, torch.get_num_threads())
            self._session = _ttcore.Session(self.tables, features=self.features, double=double, threads=threads)
            self._double = double
            if known is not None:
                self.set_known(*known)
        return self._session

    def known(self):
        """The number of updates, and for each table what its cache knows, or ``None`` while nothing is known."""
        if self._session is None:
            return self._known
        return self._session.steps, [self._session.cache(table) for table in range(len(self.specs))]

    def set_known(self, steps, caches):
        """Continues with what another was told to know."""
        if self._session is None:
            self._known = steps, caches
            return
        for table, cache in enumerate(caches):
            if cache is not None:
                self._session.set_cache(table, *cache)
        self._session.steps = steps

    def __getstate__(self):
        return {"specs": self.specs, "threads": self.threads, "features": self.features, "known": self.known()}

    def __setstate__(self, state):
        self.__init__(state["specs"], state["threads"], state["features"])
        self._known = state["known"]
