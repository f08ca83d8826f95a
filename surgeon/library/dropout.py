"""Dropout after layers."""

from __future__ import annotations

from surgeon.library.making import named
from surgeon.rules import StructureRule, insert_after
from surgeon.select import Selector


def dropout_after(selector: Selector | str, rate: float, *, seed: int | None = None) -> StructureRule:
    """Return the rule that inserts a Dropout after each matched layer, named after it.

    Args:
        selector: After which layers.
        rate: Fraction of the units to drop.
        seed: Of each Dropout.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> [layer.name for layer in surgeon.rewrite(model, dropout_after("d", 0.5)).layers]
        ['d', 'd_dropout']
    """
    import keras

    made = insert_after(selector, lambda node: keras.layers.Dropout(rate, seed=seed))
    return named(made, "dropout_after", selector, rate, **({} if seed is None else {"seed": seed}))
