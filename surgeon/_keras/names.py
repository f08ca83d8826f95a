"""Every private name of Keras that is used, imported in one place.

A version of Keras that lacks one of them is refused here, with a clear error, and never in the
middle of surgery.
"""

from __future__ import annotations

import keras

from surgeon.errors import UnsupportedKerasError

try:
    from keras.src import api_export, backend
    from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
    from keras.src.backend.common.variables import get_autocast_scope
    from keras.src.models.functional import Functional, functional_like_constructor
    from keras.src.ops.function import make_node_key
    from keras.src.ops.node import Node as KerasNode
    from keras.src.ops.operation import Operation
    from keras.src.saving import object_registration as registration
    from keras.src.saving import serialization_lib as serialization
    from keras.src.trainers.data_adapters import get_data_adapter
    from keras.src.utils import tracking
    from keras.src.utils.tracking import DotNotTrackScope, TrackedDict, TrackedList, TrackedSet, Tracker
except ImportError as error:
    raise UnsupportedKerasError(
        f"Surgeon knows Keras 3.12 to 3.15, and this is Keras {keras.__version__}: {error}. "
        "Install a version in that range, or a newer Surgeon."
    ) from error

__all__ = [
    "DotNotTrackScope",
    "Functional",
    "KerasNode",
    "KerasVariable",
    "Operation",
    "TrackedDict",
    "TrackedList",
    "TrackedOrderedDict",
    "TrackedSet",
    "Tracker",
    "api_export",
    "backend",
    "functional_like_constructor",
    "get_autocast_scope",
    "get_data_adapter",
    "get_keras_mask",
    "make_node_key",
    "registration",
    "serialization",
    "set_keras_mask",
]

KerasVariable = backend.Variable

# Keras 3.12 has no such class, so nothing there is of it.
TrackedOrderedDict = getattr(tracking, "TrackedOrderedDict", TrackedDict)

USED = (
    (keras.layers.Layer, ("_post_untrack_variable", "_set_mask_metadata", "_track_variable")),
    (KerasVariable, ("_initialize", "_maybe_autocast")),
    (Tracker, ("lock", "track", "unlock")),
    (Operation, ("symbolic_call",)),
)
"""Methods of Keras's own classes that are called, or replaced, besides the names above."""


def check(used: tuple[tuple[type, tuple[str, ...]], ...] = USED) -> None:
    """Check that Keras has every method that is used.

    Raises:
        UnsupportedKerasError: If one is missing; names it.
    """
    missing = [
        f"{owner.__name__}.{name}" for owner, names in used for name in names if not hasattr(owner, name)
    ]
    if missing:
        raise UnsupportedKerasError(
            f"Surgeon knows Keras 3.12 to 3.15, and this is Keras {keras.__version__}, which has no "
            f"{', '.join(missing)}. Install a version in that range, or a newer Surgeon."
        )


check()
