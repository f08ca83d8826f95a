"""Memory that a step of training computes a large tensor in, and that the next step finds again.

New memory is zeroed by the system, page by page, when it is first written to. For a gradient as large as a
large kernel that takes a fifth of a step on a CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from types import FrameType
from typing import Any

import keras

from surgeon._keras.donated import are_of_a_step_of_keras
from surgeon._keras.in_place import writes_in_place


class Workspace:
    """Where one tensor lies, step after step: a variable of TensorFlow's, or a reference of JAX's.

    It is made in the first step that needs it, for each dtype, and stays as long as the weight that it is
    for: only what is in it is of no meaning behind a step. No list of a model's variables and no file has it.
    """

    def __init__(self) -> None:
        self._memory: dict[tuple[int, str], Any] = {}

    def fill(self, compute: Callable[..., Any], size: int, *tensors: Any) -> Any | None:
        """Return `compute(memory, *tensors)`, which lies in the memory until the next call.

        A tensor that this returned before stays what it was: XLA makes a copy of what is still needed.

        Args:
            compute: A function for XLA to compile. It returns what the memory holds with each element set
                anew, and differs in nothing if it held something else before.
            size: How many elements it has, in one dimension; it is of the dtype of the first tensor.
            *tensors: What else the result is computed from. No gradient flows to them.

        Returns:
            The tensor, or `None` where no memory is kept: anywhere but in a step that Keras compiles, for one
            device, and in a loop, a branch or a derivative within it.
        """
        keep = {"tensorflow": _keep_on_tensorflow, "jax": _keep_on_jax}.get(keras.backend.backend())
        kind = size, keras.backend.standardize_dtype(tensors[0].dtype)
        return None if keep is None else keep(self._memory, kind, compute, tensors)


def _keep_on_tensorflow(memory: dict[Any, Any], kind: Any, compute: Any, tensors: Any) -> Any | None:
    import tensorflow as tf
    from tensorflow.python.eager.record import could_possibly_record

    # What is written has no gradient for a tape that goes on.
    if not writes_in_place() or could_possibly_record():
        return None
    if kind not in memory:
        with tf.init_scope():
            memory[kind] = tf.Variable(tf.zeros(*kind), trainable=False)

    def write(variable: Any, *tensors: Any) -> None:
        variable.assign(compute(tf.convert_to_tensor(variable), *tensors))

    tf.function(write, jit_compile=True, autograph=False)(memory[kind], *tensors)
    return tf.convert_to_tensor(memory[kind])


def _keep_on_jax(memory: dict[Any, Any], kind: Any, compute: Any, tensors: Any) -> Any | None:
    import jax

    if not are_of_a_step_of_keras(*tensors) or not _is_run_by_keras() or not _has_references():
        return None
    # These raise after a step that gave its memory away, but no variable: that could not be trained again.
    if jax.config.values["jax_debug_nans"] or jax.config.values["jax_debug_infs"]:
        return None

    if kind not in memory:
        # A step is being traced here, and what is made in it is gone with it.
        with jax.ensure_compile_time_eval():
            memory[kind] = jax.new_ref(jax.numpy.zeros(*kind))
    result = compute(memory[kind][...], *tensors)
    memory[kind][...] = result
    return result


def _is_run_by_keras() -> bool:
    """Whether the step that is traced is one that Keras runs.

    Somebody may compile it in a function of their own, and export that: one that has memory of its own cannot
    be. (Of the bare `model.train_step`, JAX takes what it has traced for Keras, if the shapes are the same.)
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "train_step":
        frame = frame.f_back
    while frame is not None and (frame.f_code.co_name == "train_step" or _module(frame).startswith("jax.")):
        frame = frame.f_back
    return frame is not None and _module(frame) == "keras.src.backend.jax.trainer"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


@cache
def _has_references() -> bool:
    """Whether this JAX has arrays that can be written to, and one device to have them on."""
    import jax

    return hasattr(jax, "new_ref") and len(jax.devices()) == 1
