"""The update rules of ``tt_embeddings_ops``, by name."""

from enum import Enum, unique


@unique
class OptimType(Enum):
    """What backward does to the cores of a module with ``sparse=True``.

    ``SGD`` and ``EXACT_SGD`` are the same here: updates are the same bits for any number of threads. ``EXACT_ADAGRAD`` is
    Adagrad, element by element. A module refuses the others: ``tt_embeddings_ops`` has the names, but runs Adagrad under them.
    """

    SGD = "sgd"
    EXACT_SGD = "exact_sgd"
    LAMB = "lamb"
    ADAM = "adam"
    EXACT_ADAGRAD = "exact_adagrad"
    EXACT_ROWWISE_ADAGRAD = "exact_row_wise_adagrad"
    LARS_SGD = "lars_sgd"
    PARTIAL_ROWWISE_ADAM = "partial_row_wise_adam"
    PARTIAL_ROWWISE_LAMB = "partial_row_wise_lamb"

    def __str__(self):
        return self.value


#: Rules without state.
PLAIN = (OptimType.SGD, OptimType.EXACT_SGD)


def rule(optimizer, eps):
    """Arguments of a native table for a rule."""
    if optimizer in PLAIN:
        return {"rule": "sgd"}
    if optimizer is OptimType.EXACT_ADAGRAD:
        return {"rule": "adagrad", "eps": eps}
    raise ValueError(
        f"{optimizer!r} cannot be fused: tt_embeddings_ops runs Adagrad under this name. Say OptimType.EXACT_ADAGRAD for "
        "that, or sparse=False and an optimiser of PyTorch for the rule itself"
    )
