"""What is told of tensors of which not all is known."""

from __future__ import annotations

import keras
import pytest

from surgeon import _keras


@pytest.mark.parametrize(
    ("shape", "otherwise", "size"),
    [((2, 3), None, 6), ((), None, 1), ((None, 3), None, None), ((None, 3), 4, 12), ((0, None), 4, 0)],
)
def test_the_size_of_what_is_traced(shape, otherwise, size):
    assert _keras.static_size(shape, otherwise) == size


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere a tensor has known axes")
@pytest.mark.parametrize("otherwise", [None, 4])
def test_of_unknown_axes_there_is_no_size(otherwise):
    import tensorflow as tf

    assert _keras.static_size(tf.TensorShape(None), otherwise) is None
