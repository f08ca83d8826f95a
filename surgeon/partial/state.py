"""Where the tensors of a partly trainable layer live."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from surgeon import _keras
from surgeon.partial import assemble
from surgeon.partial.part import Part
from surgeon.partial.variable import PartialVariable, carry_penalties


@keras.saving.register_keras_serializable(package="surgeon")
class PartialState(keras.layers.Layer):
    """Child of a partly trainable layer; holds bases, compact parts and indices.

    On disk the layer itself looks like a stock layer: the same arrays in the same order. The
    indices lie in this child's group, which a stock model does not look at. A file without the
    group, which is what a stock model writes, leaves the indices as they are.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._held: dict[str, PartialVariable] = {}
        self.built = True

    def hold(self, owner: Any, name: str, stock: Any, part: Part) -> PartialVariable:
        """Split a weight and return the variable that takes its place.

        Args:
            owner: The layer that this state belongs to.
            name: The weight's name in its layer.
            stock: The layer's own variable; only its value is used.
            part: Which elements train; not all of them.
        """

        def make(name: str, value_of: Any, *, listed: bool = True, **how: Any) -> Any:
            usual = {"dtype": _keras.stored_dtype(stock), "shape": part.compact_shape, "trainable": False}
            made = _keras.make_variable(value_of, like=stock, name=name, **{**usual, **how})
            if listed:
                _keras.track_variable(self, made)
            return made

        base = make(f"{name}_frozen", _keras.initial_value(stock), shape=part.shape)
        compact = index = start = seen = ordinals = None
        if not part.is_none:
            positions = part.index.astype("int32")
            index = make(f"{name}_index", _constant(positions), shape=positions.shape, dtype="int32")

            def taken(*_: Any, **__: Any) -> Any:
                return assemble.gather(_keras.read(base), _keras.read(index), part.axis)

            compact = make(stock.name, taken, trainable=True)
            # Legacy `.h5` files name their datasets by path, and the whole weight has that of the stock one.
            _keras.set_path(compact, f"{stock.path}_trainable")
            if _keras.may_be_written(part.shape):
                start = make(f"{name}_start", taken, listed=False)  # no step reads it, so none is handed it
                mark = _keras.UNKNOWN
                mark = make(f"{name}_seen", _constant(mark), shape=mark.shape, dtype="int32")
                seen = _keras.Seen(mark)
            if assemble.chooses(part):
                given = _constant(part.ordinals())
                ordinals = make(f"{name}_ordinals", given, shape=part.shape, dtype="int32")
        variable = PartialVariable(stock, part, owner, base, compact, index, start, seen, ordinals)
        carry_penalties(variable)
        self.held[name] = variable
        return variable

    @property
    def held(self) -> dict[str, PartialVariable]:
        """The partial weights of the layer, by name."""
        return self._held

    @property
    def weights(self) -> list[Any]:
        """Only the compact parts: the whole weights are listed by the layer, as in a stock one."""
        return [variable.compact for variable in self.held.values() if variable.compact is not None]

    def save_own_variables(self, store: Any) -> None:
        """Save the indices; all values are in the arrays of the layer."""
        for name, variable in self.held.items():
            if variable.index is not None:
                store[name] = np.asarray(keras.ops.convert_to_numpy(variable.index.value))

    def load_own_variables(self, store: Any) -> None:
        """Load the indices, and take the trainable elements anew from the whole weights.

        Raises:
            ValueError: If the file selects another number of elements than this layer does, or none that
                there are.
        """
        for name in set(store.keys()) & set(self.held):
            self._move(self.held[name], np.asarray(store[name]))

    def _move(self, variable: PartialVariable, index: np.ndarray) -> None:
        if variable.index is None:
            return  # frozen here as a whole: it takes the file's values, wherever they trained
        if tuple(variable.index.shape) != index.shape:
            raise ValueError(
                f"{variable.path} trains {variable.index.shape[0]} positions here, and {len(index)} in the "
                "file: surgeon.restore(model), which is all stock, takes the weights of either"
            )
        count = math.prod(variable.shape) if variable.axis is None else variable.shape[variable.axis]
        is_sound = np.issubdtype(index.dtype, np.integer) and (np.diff(index, prepend=-1) > 0).all()
        if not is_sound or index[-1] >= count:
            raise ValueError(f"{variable.path}: the file's positions of what trains are damaged")
        variable.move(index)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Refuse, in words that a model shows as a warning: it asks every layer that has none inside.

        Raises:
            NotImplementedError: Always.
        """
        del args, kwargs
        names = sorted({variable.owner.name for variable in self.held.values()})
        raise NotImplementedError(
            f"{', '.join(map(repr, names))}: frozen by Surgeon, wholly or in part, and not quantized. "
            "surgeon.restore(model).quantize(...) takes all layers"
        )

    def get_config(self) -> Mapping[str, Any]:
        """Return the stock config; what is held is said by the layer around it."""
        config: Mapping[str, Any] = super().get_config()
        return config


def _constant(value: Any) -> Any:
    """Return what gives a variable its first value."""
    return lambda _, dtype=None: _keras.convert_to_tensor(value, dtype=dtype)
