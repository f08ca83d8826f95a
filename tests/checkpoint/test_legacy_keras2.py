"""Legacy files of Keras 2: opened with repairs that are told, and with the numbers that Keras 2 gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from surgeon.checkpoint import ConversionReport, convert
from surgeon.checkpoint.legacy_config import repaired
from surgeon.errors import RefusedError
from surgeon.rules import freeze
from tests.checkpoint.legacy import glorot, layer, write_keras2

Array = np.ndarray[Any, Any]
UNITS, STEPS, FEATURES = 4, 5, 3
RNG = np.random.default_rng(0)
SEQUENCE = RNG.normal(size=(2, STEPS, FEATURES)).astype("float32")
PICTURE = RNG.normal(size=(2, 6, 6, FEATURES)).astype("float32")


def some(*shape: int) -> Array:
    """Return random numbers of the size of trained weights."""
    return RNG.normal(scale=0.7, size=shape).astype("float32")


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def old_hard_sigmoid(x: Array) -> Array:
    """Return what Keras 2 called `hard_sigmoid` (keras/backend/tensorflow_backend.py of 2.2.4)."""
    return np.clip(0.2 * x + 0.5, 0, 1)


def run_lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, gate: Any) -> Array:
    """Return the last output of an LSTM of Keras 2: gates i, f, c, o."""
    h = c = np.zeros((len(x), UNITS))
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
    return h


def run_gru(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """Return the last output of a GRU of Keras 2 without `reset_after`: gates z, r, h."""
    h = np.zeros((len(x), UNITS))
    for step in range(x.shape[1]):
        z, r, g = np.split(x[:, step] @ kernel + bias, 3, axis=1)
        uz, ur, ug = np.split(recurrent, 3, axis=1)
        z, r = sigmoid(z + h @ uz), sigmoid(r + h @ ur)
        h = z * h + (1 - z) * np.tanh(g + (r * h) @ ug)
    return h


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    return x @ kernel + bias


def run_depthwise(x: Array, kernel: Array, bias: Array) -> Array:
    """Return a depthwise 3 × 3 convolution without padding."""
    size = x.shape[1] - 2
    out = np.zeros((len(x), size, size, x.shape[3]))
    for row in range(3):
        for column in range(3):
            out += x[:, row : row + size, column : column + size] * kernel[row, column, :, 0]
    return out + bias


class Old(NamedTuple):
    """A model of Keras 2, with what it computed and what must be told of it."""

    config: dict[str, Any]
    weights: dict[str, dict[str, Array]]
    x: Array
    expected: Array
    notes: tuple[str, ...]


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "old", "layers": list(layers)}}


def recurrent(kind: str, name: str, gates: int, **config: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a recurrent layer and its weights."""
    described = layer(
        *(kind, name),
        **{
            "units": UNITS,
            "activation": "tanh",
            "recurrent_activation": "sigmoid",
            "use_bias": True,
            "kernel_initializer": glorot(),
            "implementation": 1,
            "return_sequences": False,
            **config,
        },
    )
    shapes = {
        "kernel": (FEATURES, gates * UNITS),
        "recurrent_kernel": (UNITS, gates * UNITS),
        "bias": (gates * UNITS,),
    }
    return described, {weight: some(*shape) for weight, shape in shapes.items()}


def time_major() -> Old:
    start = layer("InputLayer", "start", batch_input_shape=[None, STEPS, FEATURES], dtype="float32")
    lstm, weights = recurrent("LSTM", "memory", 4, time_major=False, unit_forget_bias=True)
    expected = run_lstm(SEQUENCE, **_bare(weights), gate=sigmoid)
    notes = ("time_major: dropped from 'memory'",)
    return Old(sequential(start, lstm), {"memory": weights}, SEQUENCE, expected, notes)


def _bare(weights: dict[str, Array]) -> dict[str, Array]:
    return {name.removesuffix("_kernel"): value for name, value in weights.items()}


def two_dense() -> tuple[list[dict[str, Any]], dict[str, dict[str, Array]], Array]:
    weights = {
        name: {"kernel": some(rows, UNITS), "bias": some(UNITS)}
        for name, rows in (("one", FEATURES), ("two", UNITS))
    }
    layers = [
        layer("Dense", "one", units=UNITS, activation="relu", batch_input_shape=[None, FEATURES]),
        layer("Dense", "two", units=UNITS, activation="linear", kernel_initializer=glorot()),
    ]
    hidden = np.maximum(dense(SEQUENCE[:, 0], **weights["one"]), 0)
    return layers, weights, dense(hidden, **weights["two"])


def bare_list() -> Old:
    layers, weights, expected = two_dense()
    notes = (
        "Sequential config: its list of layers got a name",
        "batch_input_shape: an InputLayer was put before 'one'",
    )
    return Old({"class_name": "Sequential", "config": layers}, weights, SEQUENCE[:, 0], expected, notes)


def without_input_layer() -> Old:
    layers, weights, expected = two_dense()
    notes = ("batch_input_shape: an InputLayer was put before 'one'",)
    return Old(sequential(*layers), weights, SEQUENCE[:, 0], expected, notes)


def without_reset_after() -> Old:
    gru, weights = recurrent("GRU", "memory", 3, batch_input_shape=[None, STEPS, FEATURES])
    notes = (
        "reset_after: 'memory' has none, so the gate is applied before the product, as it was",
        "batch_input_shape: an InputLayer was put before 'memory'",
    )
    expected = run_gru(SEQUENCE, **_bare(weights))
    return Old(sequential(gru), {"memory": weights}, SEQUENCE, expected, notes)


def wrapped() -> Old:
    inner = layer("Dense", "each", units=UNITS, activation="linear", kernel_initializer=glorot())
    outer = layer("TimeDistributed", "steps", layer=inner, batch_input_shape=[None, STEPS, FEATURES])
    lstm, weights = recurrent("LSTM", "memory", 4)
    weights["kernel"] = some(UNITS, 4 * UNITS)
    both = layer("Bidirectional", "both", layer=lstm, merge_mode="concat")
    other = {name: some(*value.shape) for name, value in weights.items()}
    each = {"kernel": some(FEATURES, UNITS), "bias": some(UNITS)}
    hidden = dense(SEQUENCE, **each)
    expected = np.concatenate(
        [
            run_lstm(hidden, **_bare(weights), gate=sigmoid),
            run_lstm(hidden[:, ::-1], **_bare(other), gate=sigmoid),
        ],
        axis=1,
    )
    arrays = {f"forward/{name}": value for name, value in weights.items()}
    arrays |= {f"backward/{name}": value for name, value in other.items()}
    notes = (
        "wrapped layer: what 'steps' holds is a class of keras.layers",
        "wrapped layer: what 'both' holds is a class of keras.layers",
        "batch_input_shape: an InputLayer was put before 'steps'",
    )
    return Old(sequential(outer, both), {"steps": each, "both": arrays}, SEQUENCE, expected, notes)


def depthwise() -> Old:
    conv = layer(
        *("DepthwiseConv2D", "deep"),
        kernel_size=[3, 3],
        strides=[1, 1],
        padding="valid",
        data_format="channels_last",
        groups=1,
        depth_multiplier=1,
        depthwise_initializer=glorot(),
    )
    start = layer("InputLayer", "start", batch_input_shape=[None, 6, 6, FEATURES], dtype="float32")
    weights = {"depthwise_kernel": some(3, 3, FEATURES, 1), "bias": some(FEATURES)}
    expected = run_depthwise(PICTURE, weights["depthwise_kernel"], weights["bias"])
    notes = ("depthwise_kernel: groups dropped from 'deep'",)
    return Old(sequential(start, conv), {"deep": weights}, PICTURE, expected, notes)


def hard_sigmoid() -> Old:
    start = layer("InputLayer", "start", batch_input_shape=[None, STEPS, FEATURES], dtype="float32")
    lstm, weights = recurrent("LSTM", "memory", 4, recurrent_activation="hard_sigmoid")
    last = layer("Activation", "last", activation="hard_sigmoid")
    expected = old_hard_sigmoid(3 * run_lstm(SEQUENCE, **_bare(weights), gate=old_hard_sigmoid))
    scale = layer("Dense", "triple", units=UNITS, activation="linear")
    triple = {"kernel": 3 * np.eye(UNITS, dtype="float32"), "bias": np.zeros(UNITS, "float32")}
    notes = (
        "hard_sigmoid: 'memory' keeps the formula of Keras 2",
        "hard_sigmoid: 'last' keeps the formula of Keras 2",
    )
    weights_of_all = {"memory": weights, "triple": triple}
    return Old(sequential(start, lstm, scale, last), weights_of_all, SEQUENCE, expected, notes)


OLD = {
    make.__name__: make
    for make in (
        *(time_major, bare_list, without_input_layer, without_reset_after, wrapped, depthwise, hard_sigmoid),
    )
}


class Run(NamedTuple):
    out: Path
    models: dict[str, Old]
    report: ConversionReport


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    base = tmp_path_factory.mktemp("legacy")
    models = {name: make() for name, make in OLD.items()}
    for name, old in models.items():
        write_keras2(base / "in" / f"{name}.h5", old.config, old.weights)
    return Run(base / "out", models, convert(base / "in", [freeze("*")], base / "out"))


@pytest.mark.parametrize("name", list(OLD))
def test_the_numbers_are_those_of_keras_2(run, name):
    old = run.models[name]
    assert run.report.failed == ()
    model = keras.saving.load_model(run.out / f"{name}.keras")
    np.testing.assert_allclose(model.predict(old.x, verbose=0), old.expected, atol=2e-5)
    assert np.ptp(old.expected) > 0.1


@pytest.mark.parametrize("name", list(OLD))
def test_each_repair_is_told(run, name):
    done = next(done for done in run.report.converted if Path(done.source).stem == name)
    assert tuple(note for note in done.notes if note.startswith("repaired")) == tuple(
        f"repaired: {note}" for note in run.models[name].notes
    )


def test_the_old_formula_matters(run):
    old = run.models["hard_sigmoid"]
    model = keras.saving.load_model(run.out / "hard_sigmoid.keras")
    for each in model.layers:
        if hasattr(each, "activation") and "hard_sigmoid" in str(each.activation):
            each.activation = keras.activations.hard_sigmoid
    assert np.abs(keras.ops.convert_to_numpy(model(old.x)) - old.expected).max() > 0.01


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"time_major": True}, "time_major=True"),
        ({"activation": "<lambda>"}, "its activation is a lambda"),
        ({"recurrent_activation": {"class_name": "__lambda__", "config": {}}}, "recurrent_activation is a"),
        (
            {"activation": {"class_name": "function", "config": ["code", None, None]}},
            "activation is a lambda",
        ),
    ],
)
def test_what_cannot_be_repaired_is_refused(changed, reason):
    lstm, _ = recurrent("LSTM", "memory", 4, **changed)
    model = sequential(lstm)
    before = json.dumps(model)
    with pytest.raises(RefusedError, match=reason):
        repaired(model)
    assert json.dumps(model) == before


def test_a_model_that_needs_none_is_left_alone():
    start = layer("InputLayer", "start", batch_input_shape=[None, 3], dtype="float32")
    model = sequential(start, layer("Dense", "one", units=2, activation="relu"))
    assert repaired(model) == (model, ())


def test_repairs_that_touch_nothing_else():
    """Groups of a depthwise layer are its own; an axis of one number is a number."""
    model = sequential(
        layer("DepthwiseConv2D", "deep", batch_input_shape=[None, 8, 8, 2], filters=3, groups=2),
        layer("BatchNormalization", "norm", axis=[3]),
        layer("BatchNormalization", "both", axis=[1, 2]),
    )
    model["config"]["layers"].append({"class_name": "Custom", "config": None})
    new, notes = repaired(model)
    entry, deep, norm, both, custom = new["config"]["layers"]
    assert entry["config"]["batch_shape"] == [None, 8, 8, 2]
    assert (deep["config"]["groups"], "filters" in deep["config"]) == (2, False)
    assert (norm["config"]["axis"], both["config"]["axis"]) == (3, [1, 2])
    assert custom == {"class_name": "Custom", "config": None}
    assert notes == (
        "depthwise_kernel: filters dropped from 'deep'",
        "axis: a list became a number in 'norm'",
        "batch_input_shape: an InputLayer was put before 'deep'",
    )
