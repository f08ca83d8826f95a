"""Which channels or heads a `prune` rule removes: what was typed, checked."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from surgeon.errors import RuleError
from surgeon.graph import Node
from surgeon.select import Selection, Selector
from surgeon.select.choice import Amount, Listed, Masked, Sliced
from surgeon.select.criteria import MAGNITUDE

_SHOWN = 8
"""How many positions a message shows."""


def which_go(selector: Any, word: str, given: Any) -> Any:
    """Return a fraction, a slice, or a list of positions or of true and false.

    Args:
        selector: What was typed as the layers.
        word: `"channels"` or `"heads"`.
        given: What was typed as those that go.

    Raises:
        RuleError: If it is none of these; says what to write instead.
    """
    if isinstance(given, str | Selector | Node) and _is_amount(selector):
        raise RuleError(
            f"prune({selector!r}, {_layers(given)}): the layers come first, then which {word} go: write "
            f"prune({_layers(given)}, {word}={_typed(selector)})"
        )
    typed = f"prune({_layers(selector)}, {word}={given!r})"
    if isinstance(given, Selection):
        raise RuleError(f"{typed}: {_about_selection(selector, word, given)}")
    given = _plain(given)
    if isinstance(given, slice):
        return given
    if isinstance(given, Real) and not isinstance(given, Integral) and 0 < float(given) < 1:
        return float(given)
    if isinstance(given, Real | str | bytes | dict | Selector | Node) or not hasattr(given, "__iter__"):
        raise RuleError(
            f"{typed}: a fraction lies between 0 and 1, a list says which ones go, and a count is not taken"
        )
    places = [_plain(one) for one in given]
    if not places or not all(isinstance(one, int) for one in places):
        raise RuleError(f"{typed}: a list holds positions, or true and false for each")
    return places


def _plain(value: Any) -> Any:
    """Return a single number of NumPy, or of a backend, as one of Python's; anything else as it is."""
    is_single = getattr(value, "shape", None) == () and hasattr(value, "__array__")
    return np.asarray(value).item() if is_single else value


def _is_amount(value: Any) -> bool:
    return isinstance(value, Real | slice | list | tuple | Selection) or hasattr(value, "__array__")


def _layers(selector: Any) -> str:
    return (
        repr(selector.path)
        if isinstance(selector, Node)
        else str(selector if isinstance(selector, Selector) else repr(selector))
    )


def _about_selection(selector: Any, word: str, given: Selection) -> str:
    """Return why a selection is not taken, and the argument that says the same."""
    what = "this is a selection, which says what of a weight trains"
    if given.kind != "channels":
        return (
            f"{what}, and {given.kind} of a weight are no {word} of a layer: {word}=[0, 3] says which ones go"
        )
    if isinstance(given.choice, Amount) and not given.choice.is_fraction:
        return f"{what}, and a count is not taken: write a fraction, prune({_layers(selector)}, {word}=0.3)"
    norm = isinstance(given.choice, Amount) and given.choice.by != MAGNITUDE
    weakest = ", and those with the smallest kernels go, by no other criterion" if norm else ""
    return f"{what}{weakest}: write prune({_layers(selector)}, {word}={_typed(given)})"


def _typed(given: Any) -> str:
    """Return what `prune` takes and says the same as a selection; anything else as it was typed."""
    choice = given.choice if isinstance(given, Selection) else None
    if isinstance(choice, Amount):
        return str(choice.amount) if choice.is_fraction else "0.3"
    if isinstance(choice, Listed):
        return str(choice.index.tolist()) if len(choice.index) <= _SHOWN else "[...]"
    if isinstance(choice, Masked):
        return str(choice.mask.tolist()) if choice.mask.size <= _SHOWN else "mask"
    return str(choice) if isinstance(choice, Sliced) else repr(given)
