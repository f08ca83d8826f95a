"""The partial weight: any part of any weight of any layer trains, the rest cannot change.

`import surgeon.partial` is all that a saved model needs to load: its classes are registered when Keras is
imported; nothing above this floor. `Part` is plain data, without Keras, which the other names import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from surgeon.partial.part import Part

if TYPE_CHECKING:
    from surgeon.partial.attaching import attach as attach
    from surgeon.partial.attaching import read_spec as read_spec
    from surgeon.partial.conv import PartialConv2D as PartialConv2D
    from surgeon.partial.dense import PartialDense as PartialDense
    from surgeon.partial.einsum import FastEinsumDense as FastEinsumDense
    from surgeon.partial.keras2 import hard_sigmoid_keras2 as hard_sigmoid_keras2
    from surgeon.partial.reparting import repart as repart
    from surgeon.partial.spec import Spec as Spec
    from surgeon.partial.variable import PartialVariable as PartialVariable

_HOMES = {
    "FastEinsumDense": "einsum",
    "PartialConv2D": "conv",
    "PartialDense": "dense",
    "PartialVariable": "variable",
    "Spec": "spec",
    "attach": "attaching",
    "hard_sigmoid_keras2": "keras2",
    "read_spec": "attaching",
    "repart": "reparting",
}

__all__ = ["Part", *_HOMES]  # noqa: PLE0604 - the names are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'surgeon.partial' has no attribute {name!r}")
    # First, because importing Keras calls `register`, which must not find a module half imported.
    import_module("keras")
    return getattr(import_module(f"surgeon.partial.{_HOMES[name]}"), name)


def register() -> None:
    """Make the classes known to Keras that saved models name."""
    begun = [name for name in sys.modules if name.startswith("surgeon.partial.")]
    # Not into the middle of an import: whoever is at it imports the rest.
    if begun in ([], ["surgeon.partial.part"]):
        for home in dict.fromkeys(_HOMES.values()):
            import_module(f"surgeon.partial.{home}")
