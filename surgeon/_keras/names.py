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
    from keras.src.ops.node import Node as KerasNode
    from keras.src.ops.operation import Operation
    from keras.src.saving import object_registration as registration
    from keras.src.saving import serialization_lib as serialization
    from keras.src.utils.tracking import TrackedDict, TrackedList, TrackedOrderedDict, TrackedSet, Tracker
except ImportError as error:
    raise UnsupportedKerasError(
        f"Surgeon knows Keras 3.12 to 3.15, and this is Keras {keras.__version__}: {error}. "
        "Install a version in that range, or a newer Surgeon."
    ) from error

__all__ = [
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
    "get_keras_mask",
    "registration",
    "serialization",
    "set_keras_mask",
]

KerasVariable = backend.Variable
