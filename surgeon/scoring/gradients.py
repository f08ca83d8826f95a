"""Gradients of a model's loss with respect to some of its weights, on each backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from surgeon.scoring.batches import Batch, map_arrays

Gradients = list[NDArray[Any]]
GradientOf = Callable[[Batch], Gradients]


def gradient_function(model: Any, variables: Sequence[Any]) -> GradientOf:
    """Return a function from a batch to the gradients of the loss, in the order of the variables.

    Args:
        model: A compiled model; it is called as at inference, and nothing in it changes.
        variables: What to differentiate by.
    """
    backend = keras.backend.backend()
    made: dict[str, Callable[[Any, Sequence[Any]], GradientOf]] = {
        "tensorflow": _on_tensorflow,
        "jax": _on_jax,
        "torch": _on_torch,
    }
    return made[backend](model, variables)


def _loss(model: Any, batch: Batch) -> Any:
    x, y, sample_weight = batch
    outputs = model(x, training=False)
    return model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=False)


def _on_tensorflow(model: Any, variables: Sequence[Any]) -> GradientOf:
    import tensorflow as tf

    # Batches of another size, such as the last, are not worth another trace for each of them.
    @tf.function(reduce_retracing=True)
    def gradients(batch: Batch) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            values = [variable.value for variable in variables]
            tape.watch(values)
            loss = _loss(model, batch)
        found = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(gradient) for gradient in found]

    return lambda batch: [np.asarray(one) for one in gradients(map_arrays(tf.constant, batch))]


def _on_jax(model: Any, variables: Sequence[Any]) -> GradientOf:
    import jax

    others = [v for v in model.variables if all(v is not variable for variable in variables)]

    def loss(wanted: Any, rest: Any, batch: Batch) -> Any:
        mapping = [*zip(variables, wanted, strict=True), *zip(others, rest, strict=True)]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
            return _loss(model, batch)

    gradients = jax.jit(jax.grad(loss))

    def of(batch: Batch) -> Gradients:
        values = [[v.value for v in some] for some in (variables, others)]
        return [np.asarray(one) for one in gradients(*values, batch)]

    return of


def _on_torch(model: Any, variables: Sequence[Any]) -> GradientOf:
    import torch

    def of(batch: Batch) -> Gradients:
        values = [variable.value for variable in variables]
        for value in values:
            value.requires_grad_()
        with torch.enable_grad():
            loss = _loss(model, map_arrays(keras.ops.convert_to_tensor, batch))
        found = torch.autograd.grad(loss, values, allow_unused=True)
        return [
            np.array(keras.ops.convert_to_numpy(torch.zeros_like(value) if gradient is None else gradient))
            for gradient, value in zip(found, values, strict=True)
        ]

    return of
