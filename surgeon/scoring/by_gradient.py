"""Criteria that are made of gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from surgeon import paths
from surgeon.scoring.batches import Batch, samples
from surgeon.scoring.gradients import gradient_function
from surgeon.select import Criterion

Scores = dict[str, NDArray[Any]]


def score_by_gradient(
    criterion: Criterion, model: Any, weights: Mapping[str, Any], found: Iterator[Batch]
) -> Scores:
    """Return the score of each element of some weights.

    Args:
        criterion: Which.
        model: A compiled copy, which `movement` trains.
        weights: The copy's variables by path, of which the scores are wanted.
        found: The data.
    """
    if criterion.name == "relative_gradient_norm":
        return _relative_norms(model, weights, found)
    gradients_of = gradient_function(model, list(weights.values()))
    if criterion.name == "fisher":
        limit = criterion.options.get("samples", 256)
        return _mean(weights, ([g * g for g in gradients_of(one)] for one in samples(found, limit)))
    if criterion.name == "movement":
        rate = criterion.options.get("learning_rate", 0.01)
        return _mean(weights, _steps(gradients_of, list(weights.values()), found, rate))
    mean = _mean(weights, (gradients_of(batch) for batch in found))
    if criterion.name == "snip":
        return {path: np.abs(mean[path] * _array(variable)) for path, variable in weights.items()}
    return {path: np.abs(gradient) for path, gradient in mean.items()}


def _mean(weights: Mapping[str, Any], terms: Iterator[list[NDArray[Any]]]) -> Scores:
    total, count = {path: np.zeros(tuple(v.shape), "float32") for path, v in weights.items()}, 0
    for term in terms:
        for path, one in zip(total, term, strict=True):
            total[path] += one.astype("float32")
        count += 1
    return {path: one / np.float32(count) for path, one in total.items()}


def _steps(
    gradients_of: Any, variables: list[Any], found: Iterator[Batch], rate: float
) -> Iterator[list[NDArray[Any]]]:
    for batch in found:
        gradients = gradients_of(batch)
        values = [_array(variable) for variable in variables]
        yield [-gradient * value for gradient, value in zip(gradients, values, strict=True)]
        for variable, value, gradient in zip(variables, values, gradients, strict=True):
            variable.assign(value - rate * gradient)


def _relative_norms(model: Any, weights: Mapping[str, Any], found: Iterator[Batch]) -> Scores:
    """Return for each element the ratio of its layer, all of whose parameters count."""
    layers = {path.rpartition("/")[0] for path in weights}
    every = {
        paths.join(where, name): variable
        for where, name, _, variable in paths.weights(model)
        if where in layers and variable.trainable
    }
    gradients_of = gradient_function(model, list(every.values()))
    mean = _mean(every, (gradients_of(batch) for batch in found))
    ratios = {}
    for layer in layers:
        own = [path for path in every if path.rpartition("/")[0] == layer]
        norm = _norm([_array(every[path]) for path in own])
        ratios[layer] = _norm([mean[path] for path in own]) / norm if norm else 0.0
    return {
        path: np.full(tuple(variable.shape), ratios[path.rpartition("/")[0]])
        for path, variable in weights.items()
    }


def _norm(arrays: list[NDArray[Any]]) -> float:
    return float(np.sqrt(sum(np.square(one.astype("float64")).sum() for one in arrays)))


def _array(variable: Any) -> NDArray[Any]:
    return np.array(keras.ops.convert_to_numpy(variable.value))
