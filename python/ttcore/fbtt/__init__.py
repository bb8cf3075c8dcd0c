"""The interface of the package ``tt_embeddings_ops`` (FBTT-Embedding), on the CPU.

Names, arguments, the layout of cores, names in checkpoints and the distributions cores are drawn from are those of the
package, so that a program that uses it runs after one line::

    import sys, ttcore.fbtt
    sys.modules["tt_embeddings_ops"] = ttcore.fbtt

and so does its test file, unchanged: see ``python/tests/foreign_fbtt.py``. For a new program :class:`ttcore.TTEmbeddingBag`
is the better interface: its tables begin with the right variance, and the rates of its rule are those of uncompressed ones.

Beyond ``tt_embeddings_ops``: lookups take ``per_sample_weights``, indices are checked, any ``embedding_dim`` and number of cores
will do, and all numbers are the same for any number of threads. What is different:

* Rules that ``tt_embeddings_ops`` has by name alone are refused: see :class:`OptimType`.
* The cache takes no memory before :meth:`~TTEmbeddingBag.cache_populate`. Its rows are trained by the rule of the cores, element
  by element. Those that stay when it is populated again keep what they learned. Evaluation does not count.
* A second backward after an update is refused, as it would have gradients of cores that are no more: look up once what is
  trained in one step.
* ``full_weight()`` has ``num_embeddings`` rows, cached ones as they are.
* Saved tensors of what was counted are as long as rows were. A checkpoint of ``tt_embeddings_ops`` is loaded as it is.
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
