"""Variables of TensorFlow that are written where they lie, while a step of a model runs.

A new tensor of the size of a large weight costs memory, and on a CPU as much time as computing with it:
memory that is new is zeroed first. XLA writes into the variable's own buffer if nobody holds a tensor of
it, and makes a new one otherwise: what somebody has read never changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import keras

from surgeon._keras.compiling import LARGE, is_vectorized, xla_helps
from surgeon._keras.digest import UNKNOWN, mark
from surgeon._keras.names import backend

STEPS = ("one_step_on_data", "one_step_on_data_distributed", "multi_step_on_data")
"""The names of the graphs in which Keras traces steps of `fit`, `evaluate` and `predict`."""


def may_be_written(shape: tuple[int, ...]) -> bool:
    """Whether a variable of this shape is written in place anywhere."""
    return keras.backend.backend() in ("tensorflow", "jax") and math.prod(shape) >= LARGE


def can_write_in_place(variable: Any) -> bool:
    """Whether a variable can be written in place here: in a step that Keras makes, and in no loop within.

    Nowhere else, because a function of somebody's own may be exported, and then must not write.
    """
    return may_be_written(tuple(variable._shape)) and not backend.in_stateless_scope() and writes_in_place()


def writes_in_place() -> bool:
    """Whether XLA writes into variables of TensorFlow in what is traced here, which is a step of Keras's."""
    if not is_in_step():
        return False
    import tensorflow as tf

    return xla_helps() and not tf.distribute.has_strategy()


def is_in_step() -> bool:
    """Whether TensorFlow traces a step of `fit`, `evaluate` or `predict` here, and no loop within."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph()
    return getattr(graph, "name", "") in STEPS and not is_vectorized(graph)


def may_be_exported() -> bool:
    """Whether a function of somebody's own is traced here that no gradient is asked of: perhaps to export it.

    Other runtimes know no operation of XLA's, and have trouble with others.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf
    from tensorflow.python.eager.record import could_possibly_record

    if tf.executing_eagerly() or could_possibly_record():
        return False
    graph = tf.compat.v1.get_default_graph()
    while graph is not None and getattr(graph, "name", "") not in STEPS:
        graph = getattr(graph, "outer_graph", None)
    return graph is None


@dataclass(frozen=True)
class Exportable:
    """A tensor in a function that `may_be_exported`."""

    tensor: Any


@dataclass(frozen=True)
class Seen:
    """What tells whether a variable was given certain values already.

    Attributes:
        mark: A variable with the mark of those that it was given last (see `digest`), or `UNKNOWN`. In a step
            that trains they are others each time, and none is computed.
    """

    mark: Any

    def forget(self) -> None:
        """Say that the variable may have other values now."""
        self.mark.assign(UNKNOWN)


@dataclass(frozen=True)
class Target:
    """A variable of TensorFlow's that takes values at some of its positions.

    Attributes:
        variable: A variable of Keras's: what is written.
        seen: What tells whether it has these values already.
        places: A tensor that says where they go.
    """

    variable: Any
    seen: Seen
    places: Any

    def take(self, put: Callable[..., Any], values: Any, **options: Any) -> Any:
        """Set the variable to `put(its value, values, places, **options)`, and return that.

        Args:
            put: A module's own function, of tensors, that moves values about and computes nothing.
            values: What goes into the variable.
            **options: Hashable arguments.
        """
        import tensorflow as tf
        from tensorflow.python.eager.record import could_possibly_record

        target = self.variable.value
        kinds = tuple((tuple(each.shape), each.dtype) for each in (target, values))
        seen = self.seen.mark.value
        write = _writer(put, kinds, tuple(sorted(options.items())))
        write = partial(write, target, values, self.places, seen)

        if could_possibly_record():  # of values that are trained
            write(tf.constant(UNKNOWN))
        else:
            now = _marker(kinds[1])(values)

            def write_and_keep() -> tf.Operation:
                write(now)
                return tf.no_op()

            tf.cond(tf.reduce_any(tf.not_equal(seen, now)), write_and_keep, tf.no_op)
        return tf.convert_to_tensor(target)


@cache
def _marker(kind: Any) -> Any:
    import tensorflow as tf

    del kind  # as in `_writer`
    return tf.function(mark, jit_compile=True, autograph=False)


@cache
def _writer(put: Callable[..., Any], kinds: Any, options: Any) -> Any:
    import tensorflow as tf

    del kinds  # one for each kind of arguments: TensorFlow warns of a function that is traced for many

    # Both are set at once: of two steps at a time, the last one to write sets the two of them.
    def write(variable: Any, values: Any, places: Any, seen: Any, mark: Any) -> None:
        variable.assign(partial(put, **dict(options))(tf.convert_to_tensor(variable), values, places))
        seen.assign(mark)

    return tf.function(write, jit_compile=True, autograph=False)
