"""What Keras 2 computed in another way than Keras 3, for models that were trained with it."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("surgeon")
def hard_sigmoid_keras2(x: Any) -> Any:
    """Return `clip(0.2 * x + 0.5, 0, 1)`, which Keras 2 called `hard_sigmoid`.

    Keras 3 has `relu6(x + 3) / 6` under that name, a slope of 1/6 instead of 1/5.

    Args:
        x: A tensor of any shape.

    Example:
        >>> round(float(hard_sigmoid_keras2(keras.ops.array(1.0))), 4)
        0.7
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)
