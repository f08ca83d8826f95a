"""The gradient of single elements of a large matrix where XLA computes it, without one of the whole matrix.

That would be new memory of the matrix's size. If it is much, that costs as much time on a CPU as computing
it: the system zeroes it page by page. So a few rows of it are computed at a time, and what trains is picked
out of these while they lie in the cache.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

from surgeon import _keras
from surgeon.partial.gradients import Tensors, with_gradient

BLOCK, STRIDE = 2**20, 2**16
"""Elements of the gradient that are computed at a time, and that are picked out at a time."""

MUCH = 2**25
"""Bytes from which on the C library of Linux hands out new memory for each step, and below which what it had
before: `DEFAULT_MMAP_THRESHOLD_MAX` of glibc. Less is not worth a loop."""


def pays(inputs: Any, kernel: Any, index: Any, upstream: Any) -> bool:
    """Whether to compute the gradient of the elements of a kernel at `index` in blocks."""
    if not (_keras.is_in_xla_for_cpu() or _is_compiled_in_step(inputs)):
        return False
    if keras.backend.backend() == "jax" and not _keras.static_size(inputs.shape):
        return False
    kinds = {keras.backend.standardize_dtype(each.dtype) for each in (inputs, kernel, upstream)}
    size = math.prod(kernel.shape) + index.shape[0]
    return len(kinds) == 1 and size * np.dtype(*kinds).itemsize > MUCH


def _is_compiled_in_step(inputs: Any) -> bool:
    # A function of somebody's own may be converted, for a runtime that knows nothing of XLA's. And each size
    # is compiled anew: those of batches are few, the lengths of sequences many.
    return _keras.is_in_step() and _keras.compiles_in_graph() and None not in inputs.shape[1:]


def gradient_of_elements(
    inputs: Any, kernel: Any, index: Any, upstream: Any, workspace: _keras.Workspace | None = None
) -> Any:
    """Return the elements at `index` of the gradient of the kernel of `inputs @ kernel`.

    Args:
        inputs: Of shape `(..., inputs)`.
        kernel: A matrix `(inputs, outputs)`.
        index: Sorted positions in it, in C order, an int32 tensor of shape `(k,)`.
        upstream: The gradient of the product, of shape `(..., outputs)`.
        workspace: Where the result lies from step to step, if it can.
    """
    # A step can be traced for tensors of which nothing is known.
    rows, results = ops.reshape(inputs, (-1, kernel.shape[0])), ops.reshape(upstream, (-1, kernel.shape[1]))
    tensors = rows, results, index
    if keras.backend.backend() == "jax":
        kept = _kept(workspace, *tensors)
        return _on_jax()(*tensors) if kept is None else kept

    def forward(rows: Any, results: Any, index: Any) -> tuple[Any, Tensors]:
        # A tape that records gradients would ask for that of the loop, too, which is not wanted: see `_back`.
        alone = *map(ops.stop_gradient, (rows, results)), index
        kept = _kept(workspace, *alone)
        picked = _keras.compiled_in_graph(pick_in_blocks, *alone) if kept is None else kept
        return picked, (rows, results, index)

    return with_gradient(forward, _back, tensors[:2], tensors[2:])


def _kept(workspace: _keras.Workspace | None, rows: Any, results: Any, index: Any) -> Any | None:
    return workspace and workspace.fill(_pick_into, index.shape[0], rows, results, index)


def _back(saved: Tensors, upstream: Any) -> Tensors:
    """Return the gradient of a gradient. A loop of as many rounds as there turn out to be has none."""
    rows, results, index = saved
    whole = ops.zeros((rows.shape[1] * results.shape[1],), upstream.dtype)
    whole = ops.reshape(_keras.put_sorted(whole, index, upstream), (rows.shape[1], results.shape[1]))
    return ops.matmul(results, ops.transpose(whole)), ops.matmul(rows, whole)


@cache
def _on_jax() -> Any:
    import jax

    # Compiled by itself, or without a function around each call would be compiled anew.
    picked = jax.custom_jvp(jax.jit(pick_in_blocks))

    @picked.defjvp
    def along(values: Any, tangents: Any) -> Any:
        # Linear in both.
        rows, results, index = values
        return picked(*values), _pick(tangents[0], results, index) + _pick(rows, tangents[1], index)

    return picked


def _pick(rows: Any, results: Any, index: Any) -> Any:
    return _keras.take_sorted(ops.reshape(ops.matmul(ops.transpose(rows), results), (-1,)), index)


def pick_in_blocks(rows: Any, results: Any, index: Any) -> Any:
    """Return the elements at `index` of `transposed rows @ results`, bit for bit; no gradient is defined."""
    return _pick_into(ops.zeros((index.shape[0],), rows.dtype), rows, results, index)


def _pick_into(picked: Any, rows: Any, results: Any, index: Any) -> Any:
    """As `pick_in_blocks`, where XLA may write into what `picked` lies in, of which each element is set."""
    inputs, outputs, trains = rows.shape[1], results.shape[1], index.shape[0]
    count = ops.shape(rows)[0]  # how many is not always known before XLA compiles
    height = max(1, min(inputs, BLOCK // outputs))
    stride = min(STRIDE, trains)
    firsts = np.arange(0, inputs, height, dtype="int32")
    # Where in `index` each block begins, and where the last one ends.
    begins = ops.append(_places(index, firsts * outputs), np.array([trains], "int32"))
    blocks, firsts = len(firsts), ops.convert_to_tensor(np.minimum(firsts, inputs - height))

    def one_block(block: Any, picked: Any) -> Any:
        first, end = ops.take(firsts, block), ops.take(begins, block + 1)
        some = ops.slice(rows, (np.int32(0), first), (count, height))
        # Laid out by rows first: see `products`.
        some = ops.reshape(ops.matmul(_keras.barrier(ops.transpose(some)), results), (-1,))

        def one_stride(begin: Any, picked: Any) -> Any:
            at = ops.minimum(begin, trains - stride)
            places = ops.slice(index, (at,), (stride,)) - first * outputs
            # Behind the end of the block comes what the next one overwrites, and before its begin what is
            # there already.
            new = ops.take(some, ops.clip(places, 0, height * outputs - 1))
            old = ops.slice(picked, (at,), (stride,))
            is_old = at + np.arange(stride, dtype="int32") < begin
            return begin + stride, ops.slice_update(picked, (at,), ops.where(is_old, old, new))

        state = (ops.take(begins, block), picked)
        return ops.while_loop(lambda begin, _: begin < end, one_stride, state)[1]

    return ops.fori_loop(0, blocks, one_block, picked)


def _places(index: Any, bounds: Any) -> Any:
    """Return how many of the sorted positions lie below each bound, by halving."""

    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        middle = (low + high) // 2
        is_below = ops.take(index, ops.minimum(middle, index.shape[0] - 1)) < bounds
        go_on = low < high
        low_now = ops.where(ops.logical_and(go_on, is_below), middle + 1, low)
        return low_now, ops.where(ops.logical_and(go_on, ops.logical_not(is_below)), middle, high)

    low, high = (ops.convert_to_tensor(np.full(len(bounds), end, "int32")) for end in (0, index.shape[0]))
    return ops.fori_loop(0, int(index.shape[0]).bit_length() + 1, halve, (low, high))[0]
