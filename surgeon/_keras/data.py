"""Data: whatever `fit` takes, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from surgeon._keras.names import get_data_adapter


def batches_of(data: Any, batch_size: int) -> tuple[int | None, Iterator[tuple[Any, Any, Any]]]:
    """Return how many batches there are, if that is known, and `(x, y, sample_weight)` of each, as arrays."""
    x, y, sample_weight = (
        keras.utils.unpack_x_y_sample_weight(data) if isinstance(data, tuple) else (data, None, None)
    )
    adapter = get_data_adapter(x, y, sample_weight, batch_size=batch_size, shuffle=False)
    return adapter.num_batches, _batches(adapter)


def _batches(adapter: Any) -> Iterator[tuple[Any, Any, Any]]:
    adapter.on_epoch_begin()
    try:
        for batch in adapter.get_numpy_iterator():
            yield keras.utils.unpack_x_y_sample_weight(batch)
    finally:
        adapter.on_epoch_end()
