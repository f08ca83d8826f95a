"""Compiling a few operations by themselves, in a graph that is not compiled as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import keras

LARGE = 2**18
"""Elements of a tensor from which on the compilation (some 0.05 s, once) pays in a few hundred steps."""


def compiled_if_large(function: Callable[..., Any], *tensors: Any, **options: Any) -> Any:
    """Return `function(*tensors, **options)`, through XLA where TensorFlow's own kernels are slow.

    They are on a CPU: a scatter of single elements costs some 20 ns for each, in one thread, where
    XLA's costs 1. Only for functions that move values about: what is computed could differ in the
    last bit. Within a graph that XLA compiles anyway this changes nothing.

    Args:
        function: A module's own function, of tensors.
        *tensors: Tensors of shapes that are known; the first one decides what is large.
        **options: Hashable arguments.
    """
    if keras.backend.backend() != "tensorflow" or math.prod(tensors[0].shape) < LARGE or not xla_helps():
        return function(*tensors, **options)
    kinds = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
    return _compiled(function, kinds, tuple(sorted(options.items())))(*tensors)


def compiled_in_graph(function: Callable[..., Any], *tensors: Any) -> Any:
    """Return `function(*tensors)`, through XLA where it becomes a part of a graph of TensorFlow's on a CPU.

    XLA leaves out what nobody reads, and computes the gradient of a convolution's kernel in half to a
    quarter of the time. What is computed may differ in the last bit, so: for gradients alone.
    """
    if keras.backend.backend() != "tensorflow" or not xla_helps():
        return function(*tensors)
    import tensorflow as tf

    if tf.executing_eagerly():  # it would be compiled in every step
        return function(*tensors)
    return tf.function(function, jit_compile=True, autograph=False)(*tensors)


@cache
def _compiled(function: Callable[..., Any], kinds: Any, options: Any) -> Any:
    # One for each kind of arguments: TensorFlow warns of a function that is traced for many.
    import tensorflow as tf

    del kinds
    return tf.function(partial(function, **dict(options)), jit_compile=True, autograph=False)


def xla_helps() -> bool:
    """Whether to compile a part of a graph of TensorFlow's: on a CPU, where there is an XLA."""
    import tensorflow as tf
    from tensorflow.python.framework.config import is_op_determinism_enabled

    # Keras does not use XLA with deterministic operations either.
    return _runs() and not is_op_determinism_enabled() and not tf.config.list_logical_devices("GPU")


@cache
def _runs() -> bool:
    """Whether this TensorFlow has an XLA that runs here."""
    import tensorflow as tf

    try:
        with tf.init_scope():
            tf.function(lambda x: x + 1, jit_compile=True, autograph=False)(tf.constant(1))
    except (tf.errors.OpError, ValueError):
        return False
    return True
