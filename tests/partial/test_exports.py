"""Files for other runtimes compute what the partly frozen model computes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests.helpers import to_numpy
from tests.zoo import jitter

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(1, 6, 6, 3)).astype("float32")


@pytest.fixture
def large():
    """Return a model with large weights, in which an activation follows a product directly.

    LiteRT loses such an activation behind a product with a matrix that is chosen by `where`.
    """
    x = start = keras.Input((512,))
    rules = []
    kinds = {"channels": sg.channels, "rows": sg.rows, "elements": sg.elements}
    for name, kind in kinds.items():
        x = layers.Dense(512, activation="relu", use_bias=False, name=name)(x)
        rules.append(sg.train(name, kernel=kind(0.1, by="random")))
    x = layers.Reshape((8, 64, 1))(x)
    x = layers.Conv2D(8, 3, activation="relu", use_bias=False, name="conv")(x)
    rules += [sg.train("conv", kernel=sg.along(1, [2])), sg.train("head", kernel=sg.channels([1]))]
    stock = keras.Model(start, layers.Dense(2, name="head")(layers.Flatten()(x)))
    return sg.rewrite(jitter(stock), rules)


LARGE = np.random.default_rng(0).normal(size=(1, 512)).astype("float32")


@pytest.fixture
def model():
    """Return a model with each way of putting a weight together."""
    start = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(start)
    x = layers.Flatten()(x)
    for name in ("channels", "rows", "elements", "most"):
        x = layers.Dense(6, activation="tanh", name=name)(x)
    stock = jitter(keras.Model(start, layers.Dense(2, name="head")(x)))
    rules = [
        sg.train("conv", kernel=sg.channels([1])),
        sg.train("channels", kernel=sg.channels([0, 4])),
        sg.train("rows", kernel=sg.rows([3])),
        sg.train("elements", kernel=sg.elements(0.2, by="random")),
        sg.train("most", kernel=sg.elements(0.8, by="random")),
        sg.freeze("head", "kernel"),
    ]
    return sg.rewrite(stock, rules)


@pytest.mark.skipif(BACKEND == "torch", reason="a format of TensorFlow's, which JAX can write")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_saved_model(model, tmp_path):
    import tensorflow as tf

    model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))  # kept, because it holds the variables
    outputs = loaded.serve(X)
    assert np.allclose(np.asarray(outputs), to_numpy(model(X)), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's own way to save")
def test_saved_model_by_tensorflow_itself(model, tmp_path):
    import tensorflow as tf

    tf.saved_model.save(model, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    (outputs,) = loaded.signatures["serving_default"](tf.constant(X)).values()
    assert np.allclose(outputs, to_numpy(model(X)), rtol=1e-5, atol=1e-6)
    # A checkpoint made after it has whole weights again, and nothing of their parts.
    path = tf.train.Checkpoint(model=model).save(tmp_path / "c")
    names = [name for name, _ in tf.train.list_variables(path)]
    assert not [name for name in names if "/base/" in name or "/compact/" in name]
    assert [name for name in names if "_kernel/.ATTRIBUTES/VARIABLE_VALUE" in name]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras writes it from TensorFlow alone")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("size, x", [("model", X), ("large", LARGE)])
def test_litert(size, x, request, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = request.getfixturevalue(size)
    model.export(tmp_path / "m.tflite", format="litert", verbose=False)
    runtime = Interpreter(str(tmp_path / "m.tflite"))
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], x)
    runtime.invoke()
    outputs = runtime.get_tensor(runtime.get_output_details()[0]["index"])
    assert np.allclose(outputs, to_numpy(model(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the other exporters are packages of their own")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("size, x", [("model", X), ("large", LARGE)])
def test_onnx(size, x, request, tmp_path):
    import onnxruntime

    model = request.getfixturevalue(size)
    model.export(tmp_path / "m.onnx", format="onnx", verbose=False)
    runtime = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (outputs,) = runtime.run(None, {runtime.get_inputs()[0].name: x})
    assert np.allclose(outputs, to_numpy(model(x)), rtol=1e-4, atol=1e-5)
