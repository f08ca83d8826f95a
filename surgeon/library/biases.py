"""Train biases only."""

from __future__ import annotations

from surgeon.rules import TrainabilityRule, freeze, train


def bias_only() -> list[TrainabilityRule]:
    """Return the rules after which biases alone train (BitFit, Ben Zaken et al. 2021, arXiv:2106.10199).

    Example:
        >>> print(*bias_only())
        freeze('**') train('**', 'bias')
    """
    return [freeze("**"), train("**", "bias")]
