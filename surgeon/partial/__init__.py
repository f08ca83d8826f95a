"""The partial weight: any part of any weight of any layer trains, the rest cannot change.

`import surgeon.partial` is all that a saved model needs to load; nothing above this floor.
"""

from surgeon.partial.attach import attach, read_spec
from surgeon.partial.conv import PartialConv2D
from surgeon.partial.dense import PartialDense
from surgeon.partial.einsum import FastEinsumDense
from surgeon.partial.part import Part
from surgeon.partial.spec import Spec
from surgeon.partial.variable import PartialVariable

__all__ = [
    "FastEinsumDense",
    "Part",
    "PartialConv2D",
    "PartialDense",
    "PartialVariable",
    "Spec",
    "attach",
    "read_spec",
]
