"""The interface of the package ``tt_embeddings_ops`` (FBTT-Embedding), on the CPU.

Names, arguments, the layout of cores, names in checkpoints and the distributions cores are drawn from are those of the
package, so that a program that uses it runs after one line::

    import sys, ttcore.fbtt
    sys.modules["tt_embeddings_ops"] = ttcore.fbtt

and so does its test file, unchanged: ``python python/tests/foreign_fbtt.py tt_embeddings_test.py`` runs it. For a new program
:class:`ttcore.TTEmbeddingBag` is the better interface: its tables begin with the variance of uncompressed ones.

Beyond ``tt_embeddings_ops``, lookups take ``per_sample_weights``, indices are checked, any ``embedding_dim`` and any number of
cores will do, and all numbers are the same for any number of threads. What is different:

* Rules that ``tt_embeddings_ops`` has by name alone are refused: see :class:`OptimType`.
* The cache takes no memory before :meth:`~TTEmbeddingBag.cache_populate`, but for counts. Its rows are trained by the rule of
  the cores, element by element. Those that stay when it is populated again keep what they learned. Evaluation does not count.
* A second backward after an update is refused, as it would have gradients of cores that are no more: look up once what is
  trained in one step.
* ``full_weight()`` has ``num_embeddings`` rows, cached ones as they are.
* Checkpoints of ``tt_embeddings_ops`` are loaded as they are. Those written here hold what was counted in fewer numbers, so
  ``tt_embeddings_ops`` loads them if they are of modules without a cache.
* Random numbers come from PyTorch's generator alone.
"""

from ._bag import TableBatchedTTEmbeddingBag, TTEmbeddingBag
from ._memory import BufferList
from ._optim import OptimType
from ._shapes import suggested_tt_shapes, tt_matrix_to_full

__all__ = [
    "BufferList",
    "OptimType",
    "TTEmbeddingBag",
    "TableBatchedTTEmbeddingBag",
    "suggested_tt_shapes",
    "tt_matrix_to_full",
]
