"""Data, batch by batch, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from surgeon import _keras
from surgeon.errors import SelectionError

Batch = tuple[Any, Any, Any]


def batches(data: Any, *, batch_size: int, limit: int | None, verbose: int, what: str) -> Iterator[Batch]:
    """Yield `(x, y, sample_weight)` as arrays, in the order of the data.

    Args:
        data: Anything that `fit` takes.
        batch_size: How arrays are cut.
        limit: The most batches that are wanted; all, unless given.
        verbose: Whether progress is shown.
        what: What the progress is of.

    Raises:
        SelectionError: If there are none, or there is no end to them.
    """
    known, found = _keras.batches_of(data, batch_size)
    if known is None and limit is None and isinstance(data, keras.utils.PyDataset):
        raise SelectionError(f"{what}: these data do not say how many batches they are: add batches=...")
    total = known if limit is None or known is None else min(known, limit)
    progress = keras.utils.Progbar(total or limit, verbose=verbose, unit_name=f"{what} batch")
    count = shown = 0
    try:
        for batch in found:
            count += 1
            yield batch
            progress.update(count)
            shown = count
            if count == limit:
                break
    finally:  # also where somebody has had enough of them
        if count and (shown < count or count != (total or limit)):
            progress.update(count, finalize=True)
    if not count:
        raise SelectionError(f"{what}: there are no data")


def map_arrays(function: Callable[[Any], Any], batch: Batch) -> Batch:
    """Return a batch with a function applied to each array in it; what is `None` stays so."""
    mapped: Batch = keras.tree.map_structure(function, batch, none_is_leaf=False)
    return mapped


def samples(found: Iterator[Batch], limit: int) -> Iterator[Batch]:
    """Yield batches of one sample each, at most so many."""
    count = 0
    for batch in found:
        size = len(keras.tree.flatten(batch[0])[0])
        for at in range(min(size, limit - count)):
            one = slice(at, at + 1)
            yield map_arrays(lambda leaf, one=one: np.asarray(leaf)[one], batch)  # type: ignore[misc]
        count += size
        if count >= limit:
            return
