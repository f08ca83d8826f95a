"""Criteria: how the best few of a weight's channels, rows or elements are chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surgeon.errors import SelectionError

MAGNITUDE = "magnitude"
RANDOM = "random"

Scores = NDArray[Any]
Positions = NDArray[np.int64]


def largest(scores: Scores, count: int) -> Positions:
    """Return the sorted positions of the `count` largest scores; of equal ones, the first.

    Example:
        >>> largest(np.array([1, 3, 3, 2, 3]), 2).tolist()
        [1, 2]
    """
    if count >= scores.size:
        return np.arange(scores.size)
    limit = np.partition(scores, scores.size - count)[scores.size - count]
    above = np.flatnonzero(scores > limit)
    level = np.flatnonzero(scores == limit)[: count - above.size]
    return np.sort(np.concatenate([above, level])).astype(np.int64)


def magnitudes(values: NDArray[Any], axis: int | None, path: str = "") -> Scores:
    """Return the L2 norm of each slice along an axis, or every element's absolute value, flat.

    Args:
        values: The whole weight.
        axis: The axis to count along; `None` counts single elements in C order.
        path: Path of the weight, for the message of an error.

    Raises:
        SelectionError: If an element is NaN or infinite: there is no order among those.
    """
    # int8 has no absolute value of -128, and float16 no square of 300.
    exact = values.astype(np.float64) if axis is not None or values.dtype.kind in "biu" else values
    # isfinite and abs keep the narrow types of elements, which spares copies of large weights.
    bad = np.flatnonzero(~np.isfinite(exact).reshape(-1))
    if bad.size:
        at = tuple(int(i) for i in np.unravel_index(bad[0], values.shape))
        raise SelectionError(
            f"{bad.size} of {values.size} values of {path!r} are NaN or infinite, the first at {at}: "
            "their magnitudes have no order. Repair the weight, or choose by='random' or by indices"
        )
    if axis is None:
        return np.asarray(np.abs(exact)).reshape(-1)
    others = tuple(other for other in range(values.ndim) if other != axis)
    return np.asarray(np.sqrt(np.square(exact).sum(axis=others)))


def random_scores(seed: int, path: str, size: int) -> Scores:
    """Return a random number for each position, the same on every machine and numpy version.

    The draw depends on the weight's path, so that weights of one shape get different ones. The
    raw numbers of PCG64 are used because numpy promises those never to change, while the methods
    of `numpy.random.Generator` may.
    """
    words = np.frombuffer(hashlib.sha256(path.encode()).digest(), dtype="<u4")
    source = np.random.PCG64(np.random.SeedSequence([seed, *words.tolist()]))
    return np.asarray(source.random_raw(size))


def summed(scores: NDArray[Any], axis: int | None, path: str = "") -> Scores:
    """Return the sum over each slice along an axis of the scores of its elements, or these, flat.

    Raises:
        SelectionError: If a score is NaN: there is no order among those.
    """
    if np.isnan(scores).any():
        raise SelectionError(
            f"{int(np.isnan(scores).sum())} of the {scores.size} scores of {path!r} are NaN: the loss on "
            "these data is not a number. Look at the data, the loss, and the weights"
        )
    if axis is None:
        return scores.reshape(-1)
    others = tuple(other for other in range(scores.ndim) if other != axis)
    return np.asarray(scores.astype(np.float64).sum(axis=others))


def scores_of(
    by: str, seed: int, path: str, size: int, axis: int | None, values: Callable[[], NDArray[Any]]
) -> Scores:
    """Return what a criterion gives each position of a weight; more is better.

    Args:
        by: `"magnitude"`, `"random"`, or a criterion that needs data.
        seed: Seed of `"random"`.
        path: Path of the weight.
        size: How many positions there are.
        axis: The axis to count along, or `None` for elements.
        values: Returns the weight, or for a criterion that needs data, the score of each of its elements;
            not called for `"random"`.

    Raises:
        SelectionError: If the values have no order.
    """
    if by == RANDOM:
        return random_scores(seed, path, size)
    return (magnitudes if by == MAGNITUDE else summed)(np.asarray(values()), axis, path)
