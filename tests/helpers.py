"""Checks and small steps that tests share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = dict[str, Array]


def to_numpy(tensor: Any) -> Array:
    """Return a copy of a tensor or variable as an array."""
    return np.array(keras.ops.convert_to_numpy(tensor))


def weights_of(model: Any) -> Weights:
    """Return a copy of every variable in `model.weights` by its path.

    Two variables of one path (Keras allows that) become `path` and `path#1`, in the order of `model.weights`.
    """
    found: Weights = {}
    for variable in model.weights:
        path, count = variable.path, 0
        while path in found:
            count += 1
            path = f"{variable.path}#{count}"
        found[path] = to_numpy(variable)
    return found


def same_bits(left: Array, right: Array) -> bool:
    """Whether two arrays have one shape, one dtype and the same bytes."""
    return left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes()


def assert_same_outputs(left: Any, right: Any) -> None:
    """Assert that two structures of outputs are finite and equal, bit for bit."""
    keras.tree.assert_same_structure(left, right)
    pairs = zip(keras.tree.flatten(left), keras.tree.flatten(right), strict=True)
    for number, (one, other) in enumerate(pairs):
        a, b = to_numpy(one), to_numpy(other)
        assert np.isfinite(a.astype("float64")).all(), (
            f"output {number} is not finite: comparing it proves nothing"
        )
        assert a.shape == b.shape, f"output {number}: shape {a.shape} became {b.shape}"
        assert a.dtype == b.dtype, f"output {number}: dtype {a.dtype} became {b.dtype}"
        worst = np.abs(a.astype("float64") - b.astype("float64")).max(initial=0)
        assert same_bits(a, b), f"output {number} differs by up to {worst:.3g}"


def assert_same_weights(left: Mapping[str, Array], right: Mapping[str, Array]) -> None:
    """Assert that two results of `weights_of` have the same paths in the same order, and the same bits."""
    assert list(left) == list(right)
    assert_unmoved(left, right)


def assert_unmoved(
    before: Mapping[str, Array], after: Mapping[str, Array], paths: Iterable[str] | None = None
) -> None:
    """Assert that the named weights (all, unless named) kept every bit."""
    for path in before if paths is None else paths:
        assert same_bits(before[path], after[path]), f"{path}: {_changed(before[path], after[path])}"


def assert_moved(
    before: Mapping[str, Array], after: Mapping[str, Array], paths: Iterable[str] | None = None
) -> None:
    """Assert that each of the named weights (all, unless named) changed somewhere and stayed finite."""
    for path in before if paths is None else paths:
        assert not same_bits(before[path], after[path]), f"{path} did not move"
        assert np.isfinite(after[path]).all(), f"{path} is no longer finite"


def _changed(before: Array, after: Array) -> str:
    if before.shape != after.shape:
        return f"shape {before.shape} became {after.shape}"
    return f"{int((before != after).sum())} of {before.size} elements moved"


def targets_for(model: Any, x: Any, seed: int = 0) -> Any:
    """Return random targets in the structure and shapes of the model's outputs on `x`."""
    rng = np.random.default_rng(seed)
    return keras.tree.map_structure(
        lambda output: rng.uniform(0.1, 1.0, tuple(output.shape)).astype("float32"), model(x)
    )


def train_steps(
    model: Any, x: Any, y: Any = None, optimizer: Any = None, steps: int = 5, *, loss: Any = "mse"
) -> list[float]:
    """Compile the model and take some steps on one batch.

    Args:
        model: Compiled anew here.
        x: Inputs of one batch.
        y: Targets, random ones unless given.
        optimizer: `AdamW(0.01, weight_decay=0.1)` unless given: its decay reaches every variable that
            it owns, gradient or not.
        steps: How many.
        loss: A Keras loss.

    Returns:
        The loss before each step.
    """
    if optimizer is None:
        optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    model.compile(optimizer=optimizer, loss=loss)
    y = targets_for(model, x) if y is None else y
    return [float(np.ravel(model.train_on_batch(x, y))[0]) for _ in range(steps)]


def tiers(names: Iterable[str], quick: Collection[str] = (), slow: Collection[str] = ()) -> list[Any]:
    """Return names as the parameters of a test: those that are neither quick nor slow are a sweep."""
    names = list(names)
    assert {*quick, *slow} <= {*names}, f"no such names: {sorted({*quick, *slow} - {*names})}"

    def marks(name: str) -> list[Any]:
        return [] if name in quick else [pytest.mark.slow if name in slow else pytest.mark.sweep]

    return [pytest.param(name, marks=marks(name)) for name in names]


def as_in_a_backward_pass() -> AbstractContextManager[Any]:
    """On PyTorch no gradient is recorded there, unless one of the gradient is wanted: that is refused."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    unrecorded: AbstractContextManager[Any] = torch.no_grad()
    return unrecorded
