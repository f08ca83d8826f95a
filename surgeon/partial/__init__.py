"""The partial weight: any part of any weight of any layer trains, the rest cannot change.

`import surgeon.partial` is all that a saved model needs to load: its classes are registered when Keras is
imported; nothing above this floor. `Part` is plain data, without Keras, which the other names import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
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
    here = vars(sys.modules[__name__])
    begun = [name for name in sys.modules if name.startswith(f"{__name__}.")]
    here["_waits"] = any(name.rpartition(".")[2] not in here for name in begun)
    # Not into the middle of an import: the classes come when it ends.
    if not here["_waits"]:
        for home in dict.fromkeys(_HOMES.values()):
            import_module(f"{__name__}.{home}")


class _Package(ModuleType):
    """This package, to which Python gives each of its modules as an attribute once it is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if vars(self).get("_waits"):
            register()


sys.modules[__name__].__class__ = _Package
