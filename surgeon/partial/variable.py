"""The variable that stands where a layer's own weight stood."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from surgeon import _keras
from surgeon.partial import assemble, calls
from surgeon.partial.part import Part


class PartialVariable(_keras.ComposedVariable):
    """A weight of which only a part trains.

    It looks like the weight that it replaces: same name, path, shape, dtype, regularizer and
    constraint; reading `value` gives the whole weight, `assign` sets all of it. Underneath lie

    * `base`: the whole weight in a variable *created* with `trainable=False`,
    * `compact`: a trainable variable with just the trainable elements, or `None`,
    * `index`: where they go, or `None`,
    * `start`: `None`, or for a `base` that is written in place, the values with which the trainable elements
      set out, in the shape of `compact`,
    * `seen`: `None`, or what tells which values `base` has at their positions,
    * `ordinals`: `None`, or what `index` says, as `Part.ordinals`.

    `owner` is the layer that holds these; a layer that is tied to the weight reads it there. `workspace` is
    where the gradient of `compact` lies, if it is worth keeping the memory for it.

    The optimizer only ever sees `compact`, so nothing that it does (weight decay, momentum,
    clipping, an average of the weights) can reach a frozen element. At the trainable positions, `base` keeps
    the values with which they set out, unless it is written in place.
    """

    def __init__(
        self, stock: Any, part: Part, owner: Any, base: Any, compact: Any, index: Any,
        start: Any = None, seen: Any = None, ordinals: Any = None,
    ) -> None:  # fmt: skip
        # The base class would create storage of its own, so its fields are set one by one.
        self._name, self._path = stock.name, stock.path
        self._dtype, self._shape, self._ndim = _keras.stored_dtype(stock), part.shape, len(part.shape)
        self._autocast = _keras.autocasts(stock)
        self._aggregation, self._synchronization = stock.aggregation, stock.synchronization
        self._regularizer, self._constraint = stock.regularizer, stock.constraint
        self._trainable, self._overwrite_with_gradient = False, False
        self._initializer = self._layout = None
        self._axis, self._kind = part.axis, part.kind
        self.owner, self.base, self.compact, self.index = owner, base, compact, index
        self.start, self.seen, self.ordinals = start, seen, ordinals
        self.workspace = _keras.Workspace()
        if seen is not None:
            base.assigned = base.restored = seen.forget
        if ordinals is not None:
            index.restored = self._count
            # On JAX each step sets all variables anew, and what holds an index there holds its ordinals, too.
            if keras.backend.backend() == "tensorflow":
                index.assigned = self._count

    @property
    def part(self) -> Part:
        """Which elements train, as they lie in `index` now."""
        shape = tuple(self._shape)
        if self.compact is None:
            return Part.none(shape)
        index = np.asarray(ops.convert_to_numpy(self.index.value))
        return Part.elements(shape, index) if self._axis is None else Part.slices(shape, self._axis, index)

    @property
    def axis(self) -> int | None:
        """The axis along which whole slices train; `None` for single elements."""
        return self._axis

    def assembled(self) -> Any:
        """Return the whole weight as a tensor in the dtype that it is stored in."""
        if self.compact is None:
            return _keras.read(self.base)
        return assemble.assemble(
            self.source(), _keras.read(self.compact), _keras.read(self.index), self._axis
        )

    def source(self) -> Any:
        """Return what the trainable elements are put into, for `assemble.scatter`."""
        if self.start is not None and _keras.can_write_in_place(self.base):
            return _keras.Target(self.base, self.seen, self._places())
        if self.start is not None:
            given = (self.base, self.seen, _keras.read(self.compact), self._places())
            assembled = _keras.put_into_state(assemble.overwrite_in_place, *given, axis=self._axis)
            if assembled is not None:
                return assembled
        base = _keras.read(self.base)
        if _keras.may_be_exported():
            return _keras.Exportable(base)
        if self.ordinals is not None and keras.backend.backend() == "tensorflow":
            return assemble.Choice(base, self._places())
        return base

    def _places(self) -> Any:
        """Return where the trainable elements go, for `assemble.overwrite_in_place`."""
        return _keras.read(self.index if self.ordinals is None else self.ordinals)

    def started(self) -> Any:
        """Return the whole weight with the values with which the trainable elements set out, as numpy."""
        whole = np.array(ops.convert_to_numpy(self.base.value))
        if self.start is not None:
            self.part.put(whole, np.asarray(ops.convert_to_numpy(self.start.value)))
        return whole

    def start_from(self, whole: Any) -> None:
        """Say with which values the trainable elements set out; nothing else changes.

        Args:
            whole: A numpy array of the weight's shape.
        """
        if self.start is None:
            self.base.assign(whole)
        else:
            self.start.assign(self.part.take(whole))

    def move(self, index: Any) -> None:
        """Let as many other positions train; no value of the whole weight changes.

        Args:
            index: The positions, a numpy array of the shape that `index` has.
        """
        whole = self.assembled()
        self.index.assign(index)
        if self.index.assigned is None:
            self._count()
        self.assign(whole)

    def _count(self) -> None:
        """Let `ordinals` say what `index` says."""
        if self.ordinals is not None:
            self.ordinals.assign(self.part.ordinals())

    @property
    def value(self) -> Any:
        """The whole weight, in the dtype of the autocast scope if there is one."""
        held = calls.assembled(self)
        return self._maybe_autocast(self.assembled() if held is None else held)

    @property
    def _value(self) -> Any:
        return self.assembled()

    @property
    def trainable(self) -> bool:
        """Always false: what trains is `compact`, which has its own flag."""
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Ignore `model.trainable = True`, which is how frozen weights come loose elsewhere."""

    def assign(self, value: Any) -> Any:
        """Set the whole weight, as loading a checkpoint does.

        From within the layer's own forward pass (a layer that normalizes its kernel as it goes)
        only the trainable elements are set: the others are frozen.
        """
        value = _keras.convert_to_tensor(value, dtype=_keras.stored_dtype(self))
        if tuple(value.shape) != tuple(self._shape):
            raise ValueError(
                f"{self.path} has shape {tuple(self._shape)}, the new value {tuple(value.shape)}"
            )
        is_whole = not calls.is_in_call(self)
        if is_whole:
            self.base.assign(value)
        if self.compact is not None:
            self.compact.assign(self._at_trainable(value))
            if is_whole and self.start is not None:
                self.start.assign(self._at_trainable(value))
            for penalty in (self.compact.constraint, self.compact.regularizer):
                if isinstance(penalty, OnWhole) and not _keras.is_traced():
                    penalty.keep()
        calls.reassemble(self)
        return value

    def _at_trainable(self, whole: Any) -> Any:
        """Return the trainable elements of a tensor or a variable of the weight's shape."""
        return assemble.gather(_keras.read(whole), _keras.read(self.index), self._axis)

    def numpy(self) -> Any:
        """Return the whole weight as a numpy array."""
        return np.array(ops.convert_to_numpy(self.value))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.numpy(), dtype)

    def __repr__(self) -> str:
        return f"<PartialVariable path={self.path}, shape={tuple(self._shape)}, trains={self.part}>"


class OnWhole:
    """A constraint or a regularizer of the whole weight, for its compact part to carry."""

    def __init__(self, variable: PartialVariable) -> None:
        self.variable = variable
        self._kept: tuple[Any, Any] | None = None
        self._is_in_traces = False
        self.keep()

    def keep(self) -> None:
        """Keep a copy of the frozen part: under JAX, an optimizer's update cannot read variables.

        The copy becomes a constant of each step that is traced, so a step with another one is forgotten.
        """
        parts = (self.variable.base, self.variable.index)
        if keras.backend.backend() == "jax" and all(map(_keras.is_readable, parts)):
            first, second = (np.array(ops.convert_to_numpy(part.value)) for part in parts)
            kept, self._kept = self._kept, (first, second)
            if self._is_in_traces and not all(map(np.array_equal, kept or (), self._kept)):
                _keras.forget_traces()
                self._is_in_traces = False

    def frozen(self) -> tuple[Any, Any]:
        """Return `base` and `index` as tensors: the variables' own where they can be read."""
        parts = (self.variable.base, self.variable.index)
        if self._kept is not None and not all(map(_keras.is_readable, parts)):
            self._is_in_traces = True
            return ops.convert_to_tensor(self._kept[0]), ops.convert_to_tensor(self._kept[1])
        return _keras.read(parts[0]), _keras.read(parts[1])

    def whole(self, compact: Any) -> Any:
        """Return the whole weight with these values at the trainable elements."""
        base, index = self.frozen()
        return assemble.assemble(base, _keras.read(compact), index, self.variable.axis)


class GatheredConstraint(OnWhole, keras.constraints.Constraint):
    """Constrain the whole weight and keep the trainable elements of the result.

    A norm along an axis is the norm of all of that axis, frozen elements included.
    """

    def __call__(self, compact: Any) -> Any:
        """Return the constrained compact tensor."""
        constrained = self.variable.constraint(self.whole(compact))
        return assemble.gather(constrained, self.frozen()[1], self.variable.axis)


class AssembledRegularizer(OnWhole, keras.regularizers.Regularizer):
    """Penalize the whole weight; only the trainable elements feel the gradient."""

    def __call__(self, compact: Any) -> Any:
        """Return the penalty, a scalar."""
        return self.variable.regularizer(self.whole(compact))


def carry_penalties(variable: PartialVariable) -> None:
    """Give the compact part what the whole weight's regularizer and constraint mean for it.

    A penalty that is a sum over elements counts the trainable ones alone, as stock Keras drops
    the penalty of a frozen variable; any other penalty is that of the whole weight.
    """
    if variable.compact is None:
        return
    elementwise = (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)
    regularizer, constraint = variable.regularizer, variable.constraint
    if regularizer is not None:
        alone = type(regularizer) in elementwise
        variable.compact.regularizer = regularizer if alone else AssembledRegularizer(variable)
    if constraint is not None:
        alone = type(constraint) is keras.constraints.NonNeg
        variable.compact.constraint = constraint if alone else GatheredConstraint(variable)
