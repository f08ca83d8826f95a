"""Strip what matters in training only."""

from __future__ import annotations

from surgeon.graph import Node
from surgeon.library.making import named
from surgeon.rules import StructureRule, remove
from surgeon.select import isa, where

_NOISE = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout",
          "GaussianNoise", "AlphaDropout", "ActivityRegularization")  # fmt: skip


def is_augmentation(node: Node) -> bool:
    """Whether a layer changes pictures at random, and keeps their shape."""
    return node.class_name.startswith("Random") and node.class_name != "RandomCrop"


def strip_training_only() -> StructureRule:
    """Return the rule that removes layers which do nothing at inference.

    These are the dropouts, noise, activity regularization, and random augmentation
    (`RandomFlip`, ...) that keeps shapes.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5, name="drop"),
        ...     keras.layers.Dense(2, name="d")])
        >>> [layer.name for layer in surgeon.rewrite(model, strip_training_only()).layers]
        ['d']
    """
    which = where(is_augmentation)
    for name in _NOISE:
        which = which | isa(name)
    return named(remove(which), "strip_training_only")
