"""Freeze BatchNormalization with its statistics."""

from __future__ import annotations

from surgeon.rules import TrainabilityRule, freeze
from surgeon.select import Selector, as_selector, isa


def freeze_batch_norm(selector: Selector | str = "**") -> TrainabilityRule:
    """Return the rule that freezes BatchNormalization: gamma, beta, and the moving statistics.

    Args:
        selector: Which of them.

    Example:
        >>> print(freeze_batch_norm())
        freeze(isa('BatchNormalization') & name('**'))
    """
    return freeze(isa("BatchNormalization") & as_selector(selector))
