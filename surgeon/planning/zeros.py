"""What becomes of a channel that is zero: whether it is still zero after an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from surgeon.graph import Node, Ref
from surgeon.planning.attention_uses import HEADS

MERGES = frozenset(["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
"""Operations that join tensors channel by channel."""

_ALONE = (None, keras.activations.linear, keras.activations.relu)


def is_alone(node: Node) -> bool:
    """Whether a layer's activation looks at each channel alone, as a softmax does not.

    It is tried out, on numbers: an activation may be anybody's function.

    Args:
        node: A call of the layer.
    """
    activation = getattr(node.op, "activation", None)
    if activation in _ALONE or not callable(activation):
        return True
    if isinstance(activation, keras.layers.Layer) and (activation.weights or not activation.built):
        return False  # it has some for each channel, or would be built by being tried out
    shape = (*(2,) * (_rank(node) - 1), 4)
    numbers = np.linspace(-2.0, 3.0, int(np.prod(shape)), dtype="float32").reshape(shape)
    whole = _activated(activation, numbers)
    return whole.shape == shape and np.allclose(whole[..., 2:], _activated(activation, numbers[..., 2:]))


def _rank(node: Node) -> int:
    return len(node.outputs[0].shape) if node.outputs else 2


def _activated(activation: Any, numbers: Any) -> Any:
    return keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(numbers)))


def stays_zero(node: Node, zero: Sequence[bool]) -> bool:
    """Whether a channel that goes is zero in what a call puts out.

    If it is not (a sigmoid makes 0.5 of it, `x + 1` makes 1), whoever reads it would miss that value.
    A layer with a kernel whose channel goes has a kernel and a bias of zero there; BatchNormalization puts
    out zero for a channel that goes.

    Args:
        node: A call whose channels can be followed.
        zero: For each tensor that it reads, whether the channel is zero there.

    Example:
        >>> stays_zero(Node("m", "m", "m", "Multiply"), [True, False])
        True
        >>> stays_zero(Node("a", "a", "a", "Add"), [True, False])
        False
    """
    kind = node.class_name
    if kind == "Multiply":
        return any(zero)
    makes_its_own = kind in HEADS or kind == "BatchNormalization" or "Separable" in kind
    makes_its_own = makes_its_own or hasattr(node.op, "kernel")
    return (makes_its_own or all(zero)) and _zero_of_zero(node)


def _zero_of_zero(node: Node) -> bool:
    """Whether an operation makes zero of zero."""
    kind, activation = node.class_name, getattr(node.op, "activation", None)
    if kind in MERGES:
        return _is_zero_with(node)
    if kind == "Rescaling":
        return not np.any(np.asarray(node.op.offset))
    if kind == "ReLU":
        return not (node.config.get("threshold") and node.config.get("negative_slope"))
    if not is_alone(node):
        return False
    if callable(activation):
        return not np.any(_activated(activation, np.zeros((*(2,) * (_rank(node) - 1), 2), "float32")))
    return kind not in ("Sigmoid", "HardSigmoid")


def _is_zero_with(node: Node) -> bool:
    """Whether zero stays zero beside the constants that an operation is given."""
    numbers = [
        leaf for leaf in keras.tree.flatten(node.args) if not isinstance(leaf, Ref) and leaf is not None
    ]
    if node.class_name in ("Maximum", "Minimum"):
        limit = max if node.class_name == "Maximum" else min
        return all(limit(0, number) == 0 for number in numbers)
    return not any(numbers)
