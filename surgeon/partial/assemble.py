"""Putting a weight together from its frozen and its trainable part, and taking it apart.

All tensors here are plain backend tensors. `index` has dtype int32 and holds positions along
`axis`, or positions of single elements in C order where `axis` is `None`.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def gather(full: Any, index: Any, axis: int | None) -> Any:
    """Return the trainable elements of a whole weight, in their compact shape."""
    return (
        ops.take(ops.reshape(full, (-1,)), index, axis=0)
        if axis is None
        else ops.take(full, index, axis=axis)
    )


def scatter(base: Any, compact: Any, index: Any, axis: int | None) -> Any:
    """Return `base` with the elements at `index` overwritten by `compact`; no gradient is defined."""
    if axis is None:
        flat = ops.scatter_update(ops.reshape(base, (-1,)), ops.expand_dims(index, 1), compact)
        return ops.reshape(flat, base.shape)
    if axis == 0:
        return ops.scatter_update(base, ops.expand_dims(index, 1), compact)
    # A scatter along an inner axis is slow on TensorFlow, and so is a gather; two transpositions are not.
    first = scatter(ops.moveaxis(base, axis, 0), ops.moveaxis(compact, axis, 0), index, 0)
    return ops.moveaxis(first, 0, axis)


def assemble(base: Any, compact: Any, index: Any, axis: int | None) -> Any:
    """Return the whole weight; its gradient goes to `compact` alone, as one gather.

    `base` gets no gradient by construction: it is not an argument of the differentiated function.
    """
    base = ops.stop_gradient(base)

    @ops.custom_gradient
    def whole(compact: Any) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            return gather(args[0] if upstream is None else upstream, index, axis)

        return scatter(base, compact, index, axis), gradient

    return whole(compact)
