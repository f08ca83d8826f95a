"""Train biases only."""

from __future__ import annotations

from surgeon.rules import TrainabilityRule, freeze, train


def bias_only(*, beta: bool = False) -> list[TrainabilityRule]:
    """Return the rules after which biases alone train (BitFit, Ben Zaken et al. 2021, arXiv:2106.10199).

    Args:
        beta: Whether the biases of normalizations train, too, as in BitFit; Keras calls them `beta`. A model
            must have some.

    Example:
        >>> print(*bias_only())
        freeze('**') train('**', 'bias')
        >>> print(*bias_only(beta=True))
        freeze('**') train('**', 'bias', 'beta')
    """
    return [freeze("**"), train("**", "bias", *(["beta"] if beta else []))]
