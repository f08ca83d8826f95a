"""Putting a weight together from its frozen and its trainable part, and taking it apart.

All tensors here are plain backend tensors. `index` has dtype int32 and holds sorted positions along
`axis`, or of single elements in C order where `axis` is `None`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from surgeon import _keras
from surgeon.partial.gradients import Tensors, with_gradient
from surgeon.partial.part import Part

FEW = 8
"""One of so many slices along an inner axis: as few are written one element after the other where that is in
place, while a choice goes through all of the weight."""

MOST = 2
"""One of so many single elements: where as many train or more, a choice between both for each element is
cheaper than a scatter, which moves one after the other (nine of ten of 16 million, in place: 6 and 15 ms)."""


@dataclass(frozen=True)
class Choice:
    """A whole weight as a tensor, and for each element the ordinal of what takes its place (see `Part`)."""

    base: Any
    ordinals: Any


def gather(full: Any, index: Any, axis: int | None) -> Any:
    """Return the trainable elements of a whole weight, in their compact shape."""
    if axis is None:
        return _keras.compiled_if_large(_gather_elements, full, index)
    return ops.take(full, index, axis=axis)


def scatter(base: Any, compact: Any, index: Any, axis: int | None) -> Any:
    """Return `base` with the elements at `index` overwritten by `compact`; no gradient is defined.

    Args:
        base: A tensor; or `_keras.Assembled`, which has the values already; or a `_keras.Target`, which takes
            the values itself: no other tensor is made; or a `_keras.Exportable`, for which only operations
            are used that every runtime knows.
        compact: The values, in their compact shape.
        index: Where they go.
        axis: What `index` counts along.
    """
    if isinstance(base, _keras.Assembled):
        return base.tensor
    if isinstance(base, _keras.Target):
        return base.take(overwrite_in_place, compact, axis=axis)
    if isinstance(base, _keras.Exportable):
        return _overwrite_plainly(base.tensor, compact, index, axis)
    if isinstance(base, Choice):
        return _keras.compiled_if_large(overwrite_in_place, base.base, compact, base.ordinals, axis=axis)
    if axis == 0:
        return ops.scatter_update(base, ops.expand_dims(index, 1), compact)
    return _keras.compiled_if_large(_overwrite, base, compact, index, axis=axis)


def chooses(part: Part) -> bool:
    """Whether `overwrite_in_place` is to be given the ordinals of a part, and not its index."""
    # A scatter in place is fast enough for small weights; TensorFlow's own takes 7 ns for each element.
    pays = _keras.may_be_written(part.shape) or keras.backend.backend() == "tensorflow"
    return pays and part.axis is None and MOST * part.size >= math.prod(part.shape)


def overwrite_in_place(base: Any, compact: Any, places: Any, axis: int | None) -> Any:
    """As `scatter`, of tensors, where XLA may write into what `base` lies in.

    Args:
        base: The whole weight.
        compact: The values, in their compact shape.
        places: Where they go: the index, or the ordinals (see `Part`) in the shape of `base`.
        axis: What the index counts along.
    """
    count = math.prod(base.shape)
    if axis is None and places.shape == base.shape:
        spread = _keras.take_inside(compact, ops.maximum(places, 0))
        return ops.where(places >= 0, spread, base)
    if axis and FEW * math.prod(compact.shape) <= count <= np.iinfo("int32").max:
        return _scatter_as_elements(base, compact, places, axis)
    return _overwrite(base, compact, places, axis)


def _overwrite(base: Any, compact: Any, index: Any, axis: int | None) -> Any:
    if axis is None:
        return _scatter_elements(base, compact, index)
    if axis == 0:
        return ops.scatter_update(base, ops.expand_dims(index, 1), compact)
    return _scatter_slices(base, compact, index, axis)


def _overwrite_plainly(base: Any, compact: Any, index: Any, axis: int | None) -> Any:
    """As `_overwrite`, with what the converter to LiteRT works out once and for all.

    It loses an activation that follows on a product with a matrix that is put together in each call. A choice
    is one for it, and so is a scatter whose positions are sums of tensors that are not of one shape.
    """
    if axis == 0:
        return _overwrite(base, compact, index, axis)
    if axis is None:
        return _scatter_elements(base, compact, index)
    return _scatter_as_elements(base, compact, index, axis)


def _scatter_as_elements(base: Any, compact: Any, index: Any, axis: int) -> Any:
    count, inner = base.shape[axis], math.prod(base.shape[axis + 1 :])
    firsts = np.arange(math.prod(base.shape[:axis]), dtype="int32") * (count * inner)
    starts = np.add.outer(firsts, np.arange(inner, dtype="int32"))[:, None]
    some = ops.tile(ops.reshape(index * inner, (1, -1, 1)), (len(firsts), 1, inner))
    places = ops.add(np.repeat(starts, index.shape[0], axis=1), some)
    return _scatter_elements(base, ops.reshape(compact, (-1,)), ops.reshape(places, (-1,)))


def _gather_elements(full: Any, index: Any) -> Any:
    return _keras.take_sorted(ops.reshape(full, (-1,)), index)


def _scatter_elements(base: Any, compact: Any, index: Any) -> Any:
    return ops.reshape(_keras.put_sorted(ops.reshape(base, (-1,)), index, compact), base.shape)


def _scatter_slices(base: Any, compact: Any, index: Any, axis: int) -> Any:
    """Overwrite slices along an inner axis: a scatter there is slow on TensorFlow, a choice is not.

    The choice comes last on purpose. Were it a transposition, TensorFlow's graph optimizer would fold
    it into the multiplication behind it, which then adds up in another order than the stock layer's.
    """
    trains, source = positions(index, base.shape[axis])
    # Nor is a gather along the innermost axis fast there. Elsewhere it is, and PyTorch's result would lie
    # in memory in another order, for which its multiplication takes another kernel.
    if axis == len(base.shape) - 1 and keras.backend.backend() == "tensorflow":
        rows = ops.transpose(ops.reshape(compact, (-1, index.shape[0])))
        spread = ops.reshape(ops.transpose(ops.take(rows, source, axis=0)), ops.shape(base))
    else:
        spread = ops.take(compact, source, axis=axis)
    along = [-1 if each == axis else 1 for each in range(len(base.shape))]
    return ops.where(ops.reshape(trains, along), spread, base)


def positions(index: Any, count: int) -> tuple[Any, Any]:
    """Return for each position along an axis whether it trains, and where in the compact part it lies.

    Args:
        index: The positions that train, an int32 tensor of shape `(k,)`.
        count: How many positions there are.

    Returns:
        Two tensors of shape `(count,)`; the second is 0 where the first is false.
    """
    numbers = ops.convert_to_tensor(np.arange(1, index.shape[0] + 1, dtype="int32"))
    nothing = ops.convert_to_tensor(np.zeros(count, "int32"))
    ordinal = ops.scatter_update(nothing, ops.expand_dims(index, 1), numbers)
    return ordinal > 0, ops.maximum(ordinal - 1, 0)


def assemble(base: Any, compact: Any, index: Any, axis: int | None) -> Any:
    """Return the whole weight as `scatter` does; its gradient goes to `compact` alone, as one gather."""

    def forward(compact: Any, base: Any, index: Any) -> tuple[Any, Tensors]:
        return scatter(base, compact, index, axis), (index,)

    def backward(saved: Tensors, upstream: Any) -> Tensors:
        return (gather(upstream, saved[0], axis),)

    return with_gradient(forward, backward, (compact,), (base, index))
