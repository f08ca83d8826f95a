"""Variables: making, reading and describing them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from surgeon._keras.names import (
    KerasVariable,
    backend,
    get_autocast_scope,
)
from surgeon._keras.resources import read_resource


class FrozenVariable(KerasVariable):
    """A variable that was created frozen and stays so, whatever flag is set on it later.

    Attributes:
        assigned: What is called once it has another value, if anything.
        restored: What is called once it has the value of a checkpoint of TensorFlow's, which assigns nothing.
    """

    assigned: Callable[[], Any] | None = None
    restored: Callable[[], Any] | None = None

    def assign(self, value: Any) -> Any:
        """Set the variable."""
        result = super().assign(value)
        if self.assigned is not None:
            self.assigned()
        return result

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> Any:
        """Take the value of a checkpoint."""
        result = super()._restore_from_tensors(restored_tensors)
        if self.restored is not None:
            self.restored()
        return result

    @property
    def trainable(self) -> bool:
        """Always false."""
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Ignore `for variable in model.variables: variable.trainable = True`."""


class ComposedVariable(KerasVariable):
    """A variable without storage of its own: a checkpoint of TensorFlow's holds its value.

    A SavedModel holds the variables that it is composed of, too, which its functions read.
    """

    @property
    def _shared_name(self) -> str:
        return str(self.path)

    def _serialize_to_tensors(self) -> dict[str, Any]:
        return {"VARIABLE_VALUE": self.value}

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> Any:
        return self.assign(restored_tensors["VARIABLE_VALUE"])

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        if save_type != "savedmodel":
            return dict(super()._trackable_children(save_type, **kwargs))
        return {name: part for name, part in vars(self).items() if isinstance(part, KerasVariable)}

    def _export_to_saved_model_graph(
        self, object_map: Any, tensor_map: Any, options: Any, **kwargs: Any
    ) -> list[Any]:
        del tensor_map, options, kwargs
        import tensorflow as tf

        object_map[self] = tf.Module()  # it has no tensors in the graph
        return []

    def _write_object_proto(self, proto: Any, options: Any) -> None:
        del options
        # An object that its parts hang on: TensorFlow hangs nothing on a variable that it loads.
        proto.user_object.identifier = "_generic_user_object"
        proto.user_object.version.producer = proto.user_object.version.min_consumer = 1


def make_variable(
    value_of: Callable[..., Any], like: Any, *, shape: Any, dtype: str, name: str, trainable: bool
) -> Any:
    """Create a variable beside `like`: its path, its aggregation, but never cast by autocast.

    `value_of(shape, dtype)` is asked for the value when the variable is initialized, which is
    later if `like` itself is not initialized yet. A variable of the same shape lies across the
    devices of a `keras.distribution` as `like` does; any other has a copy on each.
    """
    layout = getattr(like, "_layout", None) if tuple(shape) == tuple(like.shape) else None
    placed = {} if layout is None else {"layout": layout}  # which backends know it differs between releases
    variable = (KerasVariable if trainable else FrozenVariable)(
        value_of,
        shape=tuple(shape),
        dtype=dtype,
        trainable=trainable,
        autocast=False,
        aggregation=like.aggregation,
        synchronization=like.synchronization,
        name=name,
        **placed,
    )
    variable._path = f"{like.path.rpartition('/')[0]}/{name}".lstrip("/")
    return variable


def strategy_scope(variables: Iterable[Any]) -> contextlib.AbstractContextManager[Any]:
    """Return the scope of the `tf.distribute` strategy in which these variables were made, if any.

    What is made to replace or to accompany them must be made there, too.
    """
    if keras.backend.backend() == "tensorflow":
        for variable in variables:
            strategy = getattr(getattr(variable, "_value", None), "distribute_strategy", None)
            if strategy is not None:
                return strategy.scope()  # type: ignore[no-any-return]
    return contextlib.nullcontext()


def set_path(variable: Any, path: str) -> None:
    """Give a variable another path."""
    variable._path = path


def is_traced() -> bool:
    """Whether variables are not set now, but in a function that is being traced."""
    return bool(backend.in_stateless_scope())


def is_readable(variable: Any) -> bool:
    """Whether a variable has a value here; JAX takes it away while a training step is traced."""
    if backend.in_stateless_scope() and backend.get_stateless_scope().get_current_value(variable) is not None:
        return True
    return variable._value is not None


def stored_dtype(variable: Any) -> str:
    """Return the dtype in which a variable is stored, whatever autocast makes of it."""
    return str(keras.backend.standardize_dtype(variable._dtype))


def stored_shape(variable: Any) -> tuple[int, ...]:
    """Return a variable's shape as plain numbers; the public property makes a `TensorShape` each time."""
    return tuple(map(int, variable._shape))


def autocasts(variable: Any) -> bool:
    """Whether a variable is read in the dtype of the autocast scope."""
    return bool(variable._autocast)


def initial_value(variable: Any) -> Callable[..., Any]:
    """Return a function that gives the value of `variable` when another is initialized."""
    if variable._value is None:
        return variable._initializer  # type: ignore[no-any-return]

    def current(shape: Any, dtype: Any = None) -> Any:
        del shape
        # A copy: under JAX and PyTorch a shared buffer would be changed, or given away, by training.
        return keras.ops.convert_to_tensor(np.array(keras.ops.convert_to_numpy(variable.value)), dtype=dtype)

    return current


def convert_to_tensor(value: Any, dtype: str | None = None) -> Any:
    """Return a plain tensor, never a variable."""
    return backend.convert_to_tensor(value, dtype=dtype)


def read(value: Any) -> Any:
    """Return the value of a variable as a plain tensor, and a tensor as it is.

    `keras.ops.convert_to_tensor` gives a TensorFlow variable back as itself, which a custom
    gradient under `MirroredStrategy` cannot take.
    """
    if isinstance(value, KerasVariable):
        value = value.value
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.convert_to_tensor(value)
    return value


def is_sparse(tensor: Any) -> bool:
    """Whether a tensor, symbolic or not, is sparse."""
    return bool(getattr(tensor, "sparse", False)) or type(tensor).__name__ in ("SparseTensor", "BCOO")


def autocast_dtype() -> str | None:
    """Return the dtype that float variables are read in at this moment, or `None` for their own."""
    scope = get_autocast_scope()
    return None if scope is None else scope.dtype


def view(value: Any) -> np.ndarray:
    """Return the elements of a tensor or variable as a contiguous array, without a copy where possible."""
    if isinstance(value, KerasVariable):
        value = value._value
    if keras.backend.backend() == "tensorflow":
        value = read_resource(value) if hasattr(value, "read_value") else value
        with contextlib.suppress(TypeError, ValueError, BufferError):  # strings, bfloat16, sparse tensors
            return np.asarray(memoryview(value))
    return np.ascontiguousarray(keras.ops.convert_to_numpy(value))


def is_concrete(tensor: Any) -> bool:
    """Whether a tensor has a value now, and is not part of a function that is being traced."""
    if keras.backend.backend() == "tensorflow":
        return hasattr(tensor, "numpy")
    if keras.backend.backend() == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    return True


def whole_variable(variable: Any, *, trainable: bool) -> Any:
    """Return a variable of Keras's own in the place of one that only looks like it."""
    whole = KerasVariable(
        np.array(keras.ops.convert_to_numpy(variable.value)),
        dtype=stored_dtype(variable),
        trainable=keras.backend.is_float_dtype(stored_dtype(variable)),  # may train one day: see `watched`
        autocast=autocasts(variable),
        aggregation=variable.aggregation,
        synchronization=variable.synchronization,
        name=variable.name,
    )
    whole.trainable = trainable
    whole._path = variable.path
    whole.regularizer, whole.constraint = variable.regularizer, variable.constraint
    return whole


@contextlib.contextmanager
def watched(variable: Any, *, watch: bool) -> Iterator[None]:
    """Let a variable that is initialized inside be watched by gradient tapes, whether it trains now or not.

    TensorFlow decides it for good when it makes the variable: one that is made frozen gets no gradient after
    `trainable = True`, and only a warning tells.
    """
    trains, variable._trainable = variable._trainable, watch
    try:
        yield
    finally:
        variable._trainable = trains


@contextlib.contextmanager
def without_gradients(variables: Iterable[Any]) -> Iterator[None]:
    """Let variables ask for no gradients for a while.

    PyTorch takes another kernel for a weight that asks for one, which may round in another way: a stock LSTM
    with `trainable = False` gives other last bits than the same one that trains.
    """
    values = [variable._value for variable in variables] if keras.backend.backend() == "torch" else []
    asking = [value for value in values if getattr(value, "requires_grad", False)]
    try:
        for value in asking:
            value.requires_grad_(False)
        yield
    finally:
        for value in asking:
            value.requires_grad_(True)
