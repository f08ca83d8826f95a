"""Compiling a few operations by themselves, in a graph that is not compiled as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
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
        *tensors: The first one decides what is large. Where a shape is not known, nothing is compiled: it
            would be compiled for each.
        **options: Hashable arguments.
    """
    if keras.backend.backend() != "tensorflow" or not _are_large(tensors) or not xla_helps():
        return function(*tensors, **options)
    kinds = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
    return _compiled(function, kinds, tuple(sorted(options.items())))(*tensors)


def _are_large(tensors: tuple[Any, ...]) -> bool:
    sizes = [static_size(tensor.shape) for tensor in tensors]
    return None not in sizes and (sizes[0] or 0) >= LARGE


def static_size(shape: Iterable[Any], otherwise: int | None = None) -> int | None:
    """Return how many elements there are, or `None` where that is not known while a function is traced.

    Args:
        shape: A shape.
        otherwise: The size to assume for an axis of unknown size.
    """
    if getattr(shape, "rank", 0) is None:  # not even how many axes there are, as TensorFlow says it
        return None
    sizes: list[Any] = [otherwise if size is None else size for size in shape]
    return math.prod(sizes) if all(isinstance(size, int) for size in sizes) else None


def compiled_in_graph(function: Callable[..., Any], *tensors: Any) -> Any:
    """Return `function(*tensors)`, through XLA where it becomes a part of a graph of TensorFlow's on a CPU.

    XLA leaves out what nobody reads, and computes the gradient of a convolution's kernel in half to a
    quarter of the time. What is computed may differ in the last bit, so: for gradients alone.
    """
    if not compiles_in_graph():
        return function(*tensors)
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)(*tensors)


def compiles_in_graph() -> bool:
    """Whether `compiled_in_graph` compiles what it is given here."""
    if keras.backend.backend() != "tensorflow" or not xla_helps():
        return False
    import tensorflow as tf

    # In no graph it would be compiled in every step.
    return not tf.executing_eagerly() and not is_vectorized(tf.compat.v1.get_default_graph())


def is_vectorized(graph: Any) -> bool:
    """Whether `vectorized_map` goes through what is computed in a graph here.

    Its body has no graph of its own, but a function within has. What it writes cannot be vectorized, and no
    barrier either.
    """
    while graph is not None and "loop_body" not in graph.get_name_scope():
        graph = getattr(graph, "outer_graph", None)
    return graph is not None


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

    # In a branch or the body of a loop, the gradient of what is compiled would want tensors from outside.
    if not tf.executing_eagerly() and type(tf.compat.v1.get_default_graph()).__name__ != "FuncGraph":
        return False
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


SOUND: dict[str, Any] = {"indices_are_sorted": True, "unique_indices": True, "mode": "promise_in_bounds"}
"""What JAX need not make sure of: positions count from 0, and are sorted, unique and inside."""


def take_sorted(flat: Any, index: Any) -> Any:
    """Return the elements of a flat tensor at sorted, unique positions, an int32 tensor of shape `(k,)`."""
    if keras.backend.backend() != "jax":
        return keras.ops.take(flat, index, axis=0)
    from jax import lax

    numbers = lax.GatherDimensionNumbers(offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,))
    return lax.gather(flat, index[:, None], numbers, slice_sizes=(1,), **SOUND)


def take_inside(flat: Any, index: Any) -> Any:
    """Return the elements of a flat tensor at positions that are inside, in the shape of `index`.

    For what XLA compiles: TensorFlow and JAX. `keras.ops.take` looks for positions from the end, too.
    """
    if keras.backend.backend() == "jax":
        return flat.at[index].get(mode="promise_in_bounds")
    import tensorflow as tf

    return tf.gather(flat, index)


def put_sorted(flat: Any, index: Any, values: Any) -> Any:
    """Return a flat tensor with other values at sorted, unique positions; see `take_sorted`."""
    if keras.backend.backend() != "jax":
        return keras.ops.scatter_update(flat, keras.ops.expand_dims(index, 1), values)
    from jax import lax

    numbers = lax.ScatterDimensionNumbers((), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,))
    return lax.scatter(flat, index[:, None], values, numbers, **SOUND)


def is_in_xla_for_cpu() -> bool:
    """Whether XLA compiles what is computed here, as a part of what lies around it, and for a CPU."""
    if keras.backend.backend() == "torch" or not is_for_cpu():
        return False
    if keras.backend.backend() == "jax":
        return True
    import tensorflow as tf
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    return bool(GraphOrParentsInXlaContext(graph)) and not is_vectorized(graph)


def is_for_cpu() -> bool:
    """Whether what is computed is computed on a CPU, where nobody says otherwise."""
    device: str = keras.distribution.list_devices()[0]
    return device.startswith("cpu")


def barrier(tensor: Any) -> Any:
    """Return a tensor as it is; XLA, which computes with it, does not make one operation of those around."""
    if keras.backend.backend() == "jax":
        from jax import lax

        return lax.optimization_barrier(tensor)  # type: ignore[no-untyped-call]
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.python import xla

    @tf.custom_gradient
    def call(tensor: Any) -> Any:
        (same,) = xla.optimization_barrier(tensor)
        return same, lambda upstream: upstream

    return call(tensor)
