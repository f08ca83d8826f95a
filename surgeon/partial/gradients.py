"""Functions that bring a gradient of their own, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from surgeon.errors import ModelError

Tensors = tuple[Any, ...]


def with_gradient(
    forward: Callable[..., tuple[Any, Tensors]],
    backward: Callable[[Tensors, Any], Tensors],
    inputs: Tensors,
    constants: Tensors,
) -> Any:
    """Return the first of what `forward(*inputs, *constants)` returns.

    Args:
        forward: Returns the result and the tensors that its gradient needs.
        backward: Given these tensors and the gradient of the result, returns that of each input.
        inputs: What is differentiated.
        constants: Other tensors. They have no gradient by construction, and are handed over because
            JAX cannot export a function that reads a traced tensor from outside. What is no tensor is handed
            over as it is, except on JAX.
    """
    if keras.backend.backend() == "jax":
        return _on_jax(forward, backward)(inputs, constants)
    constants = tuple(ops.stop_gradient(each) if ops.is_tensor(each) else each for each in constants)

    @ops.custom_gradient
    def call(*inputs: Any) -> Any:
        result, saved = forward(*inputs, *constants)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            # TensorFlow gives the gradient of the result alone, PyTorch by its name, after the inputs.
            return backward(saved, args[0] if upstream is None else upstream)

        return result, gradient

    return call(*inputs)


def _on_jax(forward: Any, backward: Any) -> Any:
    import jax

    @jax.custom_vjp
    def call(inputs: Tensors, constants: Tensors) -> Any:
        return forward(*inputs, *constants)[0]

    call.defvjp(
        lambda inputs, constants: forward(*inputs, *constants),
        lambda saved, upstream: (backward(saved, upstream), None),
    )
    return call


def vjp(function: Callable[[Any], Any], at: Any, upstream: Any) -> Any:
    """Return the vector-Jacobian product of a function of one tensor.

    Raises:
        ModelError: On PyTorch, if a gradient of this one is wanted.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(at)
            result = function(at)
        return tape.gradient(result, at, output_gradients=upstream)
    if backend == "jax":
        import jax

        return jax.vjp(function, at)[1](upstream)[0]
    import torch

    if torch.is_grad_enabled():  # in a backward pass only with `create_graph=True`
        raise ModelError(
            "on PyTorch, a layer that is partly frozen has no gradient of its gradient, as "
            "`create_graph=True` asks for: use `surgeon.restore(model)` first, or TensorFlow or JAX"
        )
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf, upstream)[0]
