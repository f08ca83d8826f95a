"""Products of matrices, and their gradients where a backend has a slow way of its own."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from surgeon.partial.gradients import vjp


def input_gradient(inputs: Any, kernel: Any, upstream: Any) -> Any:
    """Return the gradient of the inputs of `inputs @ kernel`.

    Args:
        inputs: Of shape `(..., inputs)`.
        kernel: A matrix `(inputs, outputs)`.
        upstream: The gradient of the product, of shape `(..., outputs)`.
    """
    if keras.backend.backend() != "tensorflow" or not inputs.dtype == kernel.dtype == upstream.dtype:
        return vjp(lambda x: ops.matmul(x, kernel), inputs, upstream)
    import tensorflow as tf

    # On a CPU, a product with a matrix that lies transposed takes TensorFlow up to three times as long.
    return tf.einsum("...o,io->...i", upstream, kernel)
