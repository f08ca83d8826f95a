"""Putting a weight together from its frozen and its trainable part, and taking it apart.

All tensors here are plain backend tensors. `index` has dtype int32 and holds positions along
`axis`, or positions of single elements in C order where `axis` is `None`. `places` has the shape of the
whole weight and dtype int32: where in the compact part an element lies, or -1 where it is frozen.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from surgeon import _keras
from surgeon.partial.gradients import Tensors, with_gradient
from surgeon.partial.part import Part


def gather(full: Any, index: Any, axis: int | None) -> Any:
    """Return the trainable elements of a whole weight, in their compact shape."""
    if axis is None:
        return _keras.compiled_if_large(_gather_elements, full, index)
    return ops.take(full, index, axis=axis)


def scatter(base: Any, compact: Any, index: Any, axis: int | None) -> Any:
    """Return `base` with the elements at `index` overwritten by `compact`; no gradient is defined."""
    if axis is None:
        return _keras.compiled_if_large(_scatter_elements, base, compact, index)
    if axis == 0:
        return ops.scatter_update(base, ops.expand_dims(index, 1), compact)
    return _keras.compiled_if_large(_scatter_slices, base, compact, index, axis=axis)


def looks_up(part: Part) -> bool:
    """Whether a part's elements are many enough that each is looked up in `places`, which costs memory.

    A scatter takes time for each element that trains, a choice for each that there is: from one half on
    it is the faster one, and where nothing is large neither is felt.
    """
    count = math.prod(part.shape)
    return part.kind == "elements" and count >= _keras.LARGE and 2 * part.size > count


def places_of(shape: tuple[int, ...], index: Any) -> Any:
    """Return a numpy array that says of each element where in the compact part it lies, or -1."""
    places = np.full(math.prod(shape), -1, "int32")
    places[index] = np.arange(len(index))
    return places.reshape(shape)


def _choose_elements(base: Any, compact: Any, places: Any) -> Any:
    return ops.where(places >= 0, ops.take(compact, ops.maximum(places, 0), axis=0), base)


def _gather_elements(full: Any, index: Any) -> Any:
    return ops.take(ops.reshape(full, (-1,)), index, axis=0)


def _scatter_elements(base: Any, compact: Any, index: Any) -> Any:
    flat = ops.scatter_update(ops.reshape(base, (-1,)), ops.expand_dims(index, 1), compact)
    return ops.reshape(flat, base.shape)


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
        spread = ops.reshape(ops.transpose(ops.take(rows, source, axis=0)), base.shape)
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


def assemble(base: Any, compact: Any, index: Any, axis: int | None, places: Any = None) -> Any:
    """Return the whole weight; its gradient goes to `compact` alone, as one gather.

    With `places`, each element is looked up there and nothing is scattered.
    """

    def forward(compact: Any, base: Any, index: Any, places: Any = None) -> tuple[Any, Tensors]:
        if places is None:
            return scatter(base, compact, index, axis), (index,)
        return _keras.compiled_if_large(_choose_elements, base, compact, places), (index,)

    def backward(saved: Tensors, upstream: Any) -> Tensors:
        return (gather(upstream, saved[0], axis),)

    constants = (base, index) if places is None else (base, index, places)
    return with_gradient(forward, backward, (compact,), constants)
