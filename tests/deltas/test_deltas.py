"""What a delta holds, that it fits its base alone, and that it comes off without a trace."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers
from safetensors import safe_open
from safetensors.numpy import save_file

import surgeon as sg
from surgeon.deltas import gaps, read_delta
from surgeon.deltas.files import KEY
from tests import zoo
from tests.helpers import (
    assert_same_outputs,
    assert_same_weights,
    same_bits,
    to_numpy,
    train_steps,
    weights_of,
)


@given(st.sets(st.integers(0, 200_000), min_size=1).map(sorted))
def test_gaps_are_positions(positions):
    code = gaps.encode(np.array(positions))
    assert gaps.decode(code).tolist() == positions
    assert code.nbytes <= 4 * len(positions) + 4


def tuned_of(model, *rules, steps=2, **kwargs):
    """A rewritten copy in which only what the rules say has trained for some steps."""
    tuned = sg.rewrite(model, [sg.freeze("**"), *rules], validate="none")
    train_steps(tuned, zoo.sample_inputs(tuned, **kwargs), steps=steps)
    return tuned


def some(name, part):
    return sg.train(name, kernel=part)


RULES = {
    "cnn": [some("hidden", sg.elements(0.05, by="random")), sg.train("bn_1"), sg.train("conv_2")],
    "nested": [some("encoder/conv", sg.channels([1, 4])), some("encoder/block/out", sg.rows([0, 3]))],
    "tokens": [sg.train("embedding", embeddings=sg.rows([1, 2, 3])), sg.train("lstm", "bias")],
    "shared": [some("tower/twice", sg.elements(0.3, by="magnitude")), sg.train("head")],
    "custom_inner": [sg.train("block_a")],
    "tiny_bert": [sg.train("**/_feedforward_intermediate_dense", kernel=sg.channels(0.2, by="magnitude"))],
}


SLOW = {"tokens", "custom_inner", "tiny_bert"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in RULES]
)
def test_a_delta_makes_the_base_what_was_trained_and_comes_off_without_a_trace(name, tmp_path):
    model = getattr(zoo, name)()
    tuned = tuned_of(model, *RULES[name])
    saved = sg.save_delta(tuned, tmp_path / "d.safetensors")
    before, x = weights_of(model), zoo.sample_inputs(model)
    loose = sum(int(np.prod(v.shape)) for v in tuned.trainable_variables)
    state = sum(w.part.size for path, w in saved.weights.items() if "moving" in path)
    assert saved.size == loose + state
    applied = sg.load_delta(model, tmp_path / "d.safetensors")
    assert_same_outputs(model(x), tuned(x))
    assert sg.diff(model, sg.restore(tuned)).retrained == ()
    assert sg.diff(zoo_model(name), model).retrained != ()
    applied.remove()
    assert_same_weights(before, weights_of(model))


def zoo_model(name):
    keras.backend.clear_session()
    return getattr(zoo, name)()


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_delta_goes_onto_rewritten_models_too_and_they_train_on(rewritten, tmp_path):
    tuned = tuned_of(zoo.cnn(), *RULES["cnn"])
    sg.save_delta(tuned, tmp_path / "d")
    target = sg.rewrite(zoo.cnn(), [sg.freeze("**"), *RULES["cnn"][: 1 + rewritten]])
    before = weights_of(sg.restore(target))
    with sg.load_delta(target, tmp_path / "d"):
        assert_same_outputs(target(x := zoo.sample_inputs(target)), tuned(x))
        assert len(target.trainable_variables) == (3 if rewritten else 1)
    assert_same_weights(before, weights_of(sg.restore(target)))


def test_ten_million_weights_of_which_a_hundredth_trains(tmp_path):
    model = keras.Sequential([keras.Input((3200,)), layers.Dense(3125, use_bias=False, name="d")])
    tuned = tuned_of(model, some("d", sg.elements(0.01, by="random")), steps=1)
    tuned.save(tmp_path / "m.keras")
    sg.save_delta(tuned, tmp_path / "d.safetensors")
    share = (tmp_path / "d.safetensors").stat().st_size / (tmp_path / "m.keras").stat().st_size
    assert share <= 0.015
    kernel = to_numpy(model.get_layer("d").kernel)
    applied = sg.load_delta(model, tmp_path / "d.safetensors")
    assert np.array_equal(to_numpy(model.get_layer("d").kernel), to_numpy(tuned.get_layer("d").kernel))
    applied.remove()
    assert kernel.tobytes() == to_numpy(model.get_layer("d").kernel).tobytes()


def test_a_known_base_makes_a_delta_of_what_differs_of_any_model(tmp_path):
    model, base = zoo.mlp(), zoo.mlp()
    kernel = to_numpy(model.get_layer("dense_1").kernel)
    kernel[1, 2], kernel[0, 0] = np.nan, -0.0
    base.get_layer("dense_1").kernel.assign(np.where(np.arange(48).reshape(6, 8) == 0, 0.0, 1.0))
    model.get_layer("dense_1").kernel.assign(np.where(np.arange(48).reshape(6, 8) < 11, kernel, 1.0))
    delta = sg.save_delta(model, tmp_path / "d", base=base)
    assert delta.weights["dense_1/kernel"].part.size == delta.size == 11
    before = weights_of(base)
    with sg.load_delta(base, tmp_path / "d"):
        for old, new in zip(model.weights, base.weights, strict=True):
            assert to_numpy(old).tobytes() == to_numpy(new).tobytes()
    assert_same_weights(before, weights_of(base))
    base.get_layer("dense_1").kernel.assign(np.ones((6, 8)) * 2)
    with pytest.raises(
        sg.DeltaError, match=r"not the base that .*/d was compared with: .* in dense_1/kernel"
    ):
        sg.load_delta(base, tmp_path / "d")
    with pytest.raises(sg.DeltaError, match="does not differ from its base"):
        sg.save_delta(model, tmp_path / "e", base=model)


def test_what_a_base_has_inside_of_a_delta_counts_if_the_base_was_given(tmp_path):
    tuned = tuned_of(zoo.mlp(), some("dense_1", sg.rows([0])))
    sg.save_delta(tuned, tmp_path / "a")
    sg.save_delta(tuned, tmp_path / "b", base=zoo.mlp())
    other = zoo.mlp()
    kernel = to_numpy(other.get_layer("dense_1").kernel)
    kernel[0, 0] += 1
    other.get_layer("dense_1").kernel.assign(kernel)
    with sg.load_delta(other, tmp_path / "a"):
        assert same_bits(*(to_numpy(model.get_layer("dense_1").kernel) for model in (other, tuned)))
    with pytest.raises(sg.DeltaError, match=r"not the base that .*/b was compared with"):
        sg.load_delta(other, tmp_path / "b")


def deltas(tmp_path, first=((0, 1),), second=((2, 3),)):
    """Two deltas of one base, on rows of `dense_1`, and that base."""
    for name, (rows,) in {"a": first, "b": second}.items():
        tuned = tuned_of(zoo.mlp(), some("dense_1", sg.rows(list(rows))))
        sg.save_delta(tuned, tmp_path / name)
    return zoo.mlp(), tmp_path / "a", tmp_path / "b"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_deltas_of_one_base_stack_and_come_off_in_any_order(order, tmp_path):
    model, first, second = deltas(tmp_path)
    before = weights_of(model)
    stack = [sg.load_delta(model, first), sg.load_delta(model, second)]
    moved = sg.diff(zoo_model("mlp"), model).retrained
    assert [(one.path, one.moved) for one in moved] == [("dense_1/kernel", 32)]
    for number in order:
        stack[number].remove()
    assert_same_weights(before, weights_of(model))


def test_deltas_with_elements_in_common_are_in_conflict(tmp_path):
    model, first, second = deltas(tmp_path, second=((1, 2),))
    sg.load_delta(model, first)
    before = weights_of(model)
    with pytest.raises(sg.DeltaConflictError, match=r"b and .*a, .* same elements of dense_1/kernel"):
        sg.load_delta(model, second)
    assert_same_weights(before, weights_of(model))


def test_a_delta_that_was_trained_on_top_of_another_stays_above_it(tmp_path):
    model, first, _ = deltas(tmp_path)
    applied = sg.load_delta(model, first)
    again = tuned_of(model, some("dense_1", sg.rows([1, 5])))
    sg.save_delta(again, tmp_path / "c")
    applied.remove()
    with pytest.raises(sg.DeltaError, match=r"not the base of .*c: .* in dense_1/kernel"):
        sg.load_delta(model, tmp_path / "c")
    before = weights_of(model)
    lower = sg.load_delta(model, first)
    upper = sg.load_delta(model, tmp_path / "c")
    assert_same_outputs(model(x := zoo.sample_inputs(model)), again(x))
    with pytest.raises(sg.DeltaConflictError, match=r"c was trained on top of .*a: remove that one first"):
        lower.remove()
    upper.remove()
    lower.remove()
    assert_same_weights(before, weights_of(model))


def test_a_removed_or_trained_delta_does_not_come_off(tmp_path):
    model, first, _ = deltas(tmp_path)
    applied = sg.load_delta(model, first)
    applied.remove()
    with pytest.raises(sg.DeltaError, match="it was removed already"):
        applied.remove()
    applied = sg.load_delta(model, first)
    train_steps(model, zoo.sample_inputs(model), steps=1)
    before = weights_of(model)
    with pytest.raises(sg.DeltaError, match=r"elements have changed since it was loaded: dense_1/kernel"):
        applied.remove()
    assert_same_weights(before, weights_of(model))


def test_another_model_is_refused(tmp_path):
    tuned = tuned_of(zoo.mlp(), sg.train("head"))
    sg.save_delta(tuned, tmp_path / "d")
    with pytest.raises(sg.DeltaError, match=r"'dense_1/kernel' is not in this model; close: "):
        sg.load_delta(zoo.cnn(), tmp_path / "d")
    wider = sg.rewrite(zoo.mlp(), sg.replace("head", layers.Dense(4)))
    with pytest.raises(sg.DeltaError, match=r"'head/kernel' is float32 \(8, 4\) here, and .* \(8, 3\) in"):
        sg.load_delta(wider, tmp_path / "d")
    frozen = sg.rewrite(zoo.mlp(), sg.freeze("**"))
    with pytest.raises(sg.DeltaError, match="nothing of it trains"):
        sg.save_delta(frozen, tmp_path / "e")
    with pytest.raises(sg.CheckpointError, match="exists"):
        sg.save_delta(tuned, tmp_path / "d")


def test_automatic_names_may_count_from_elsewhere(tmp_path):
    def make():
        return zoo.jitter(keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)]))

    base = make()
    tuned = sg.rewrite(base, sg.freeze(base.layers[0].name))
    sg.save_delta(tuned, tmp_path / "d")
    other = make()
    assert other.layers[0].name != base.layers[0].name
    other.set_weights(base.get_weights())
    sg.load_delta(other, tmp_path / "d").remove()


def test_narrow_types_keep_their_bits(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="d")])
    tuned = tuned_of(model, some("d", sg.channels([1])))
    sg.save_delta(tuned, tmp_path / "d")
    assert read_delta(tmp_path / "d").weights["d/kernel"].dtype == "bfloat16"
    before = weights_of(model)
    with sg.load_delta(model, tmp_path / "d"):
        assert_same_outputs(model(x := zoo.sample_inputs(model)), tuned(x))
    assert_same_weights(before, weights_of(model))


def test_one_delta_lies_on_a_model_once(tmp_path):
    model, first, second = deltas(tmp_path)
    before = weights_of(model)
    applied = sg.load_delta(model, first)
    other = sg.load_delta(model, second)
    on = weights_of(model)
    (tmp_path / "copy").write_bytes(first.read_bytes())
    for name in ("a", "copy"):
        says = rf"{name} lies on 'mlp' already, from .*a: it can lie there once"
        with pytest.raises(sg.DeltaConflictError, match=says):
            sg.load_delta(model, tmp_path / name)
    assert_same_weights(on, weights_of(model))
    applied.remove()
    sg.load_delta(model, tmp_path / "copy").remove()
    other.remove()
    assert_same_weights(before, weights_of(model))


def test_deltas_of_one_base_with_the_very_same_elements_are_in_conflict(tmp_path):
    model, first, second = deltas(tmp_path, second=((0, 1),))
    tuned = tuned_of(zoo.mlp(), some("dense_1", sg.rows([0, 1])), steps=4)
    sg.save_delta(tuned, second, overwrite=True)
    before = weights_of(model)
    applied = sg.load_delta(model, first)
    with pytest.raises(sg.DeltaConflictError, match=r"b and .*a, .* same elements of dense_1/kernel"):
        sg.load_delta(model, second)
    applied.remove()
    sg.load_delta(model, second).remove()
    assert_same_weights(before, weights_of(model))


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_that_flips_is_noticed(delta_file, data):
    path, content = delta_file
    at = data.draw(st.integers(0, 8 * len(content) - 1))
    flipped = bytearray(content)
    flipped[at // 8] ^= 1 << at % 8
    path.write_bytes(flipped)
    with pytest.raises(sg.DeltaError):
        read_delta(path)


@pytest.fixture
def delta_file(tmp_path):
    tuned = sg.rewrite(zoo.mlp(), [sg.freeze("**"), some("dense_1", sg.rows([0, 1]))], validate="none")
    sg.save_delta(tuned, tmp_path / "d")
    return tmp_path / "flipped", (tmp_path / "d").read_bytes()


def test_a_flipped_bit_of_a_value_is_noticed_and_the_model_stays(delta_file):
    path, content = delta_file
    model = zoo.mlp()
    before = weights_of(model)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(sg.DeltaError, match=r"flipped is damaged.*not what was written; get the file again"):
        sg.load_delta(model, path)
    assert_same_weights(before, weights_of(model))


def test_a_file_of_a_version_that_wrote_no_digest_loads(delta_file):
    path, content = delta_file
    path.write_bytes(content)
    with safe_open(path, framework="numpy") as opened:
        data = json.loads(opened.metadata()[KEY])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    assert len(data.pop("digest")) == 64
    save_file(tensors, path, {KEY: json.dumps(data)})
    assert sg.load_delta(zoo.mlp(), path).delta.size == 16


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "without a digest"])
def test_damaged_files_are_refused(tmp_path, digest):
    model, first, _ = deltas(tmp_path)
    with safe_open(first, framework="numpy") as opened:
        table = json.loads(opened.metadata()[KEY])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    if not digest:  # as a version wrote it that had none: each part of the file is looked at all the same
        del table["digest"]
    index, values = tensors["dense_1/kernel:index"], tensors["dense_1/kernel"]
    damage = {
        "positions": ({"dense_1/kernel": values, "dense_1/kernel:index": index + 200}, table),
        "twice": ({"dense_1/kernel": values, "dense_1/kernel:index": index * 0}, table),
        "shape": ({"dense_1/kernel": values[:, :3], "dense_1/kernel:index": index}, table),
        "dtype": ({"dense_1/kernel": values.astype("float64"), "dense_1/kernel:index": index}, table),
        "missing": ({"dense_1/kernel:index": index}, table),
        "format": (tensors, {**table, "format": 99}),
        "nothing": (tensors, None),
    }
    for name, (arrays, data) in damage.items():
        save_file(
            {k: np.ascontiguousarray(v) for k, v in arrays.items()}, tmp_path / name, {KEY: json.dumps(data)}
        )
        with pytest.raises(sg.DeltaError, match=f"{name}|delta"):
            sg.load_delta(model, tmp_path / name)
    (tmp_path / "short").write_bytes(first.read_bytes()[:-5])
    for name in ("short", "absent"):
        with pytest.raises(sg.DeltaError, match=name):
            sg.load_delta(model, tmp_path / name)


def test_a_delta_has_the_rights_that_other_files_have(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="d")])
    sg.save_delta(sg.rewrite(model, sg.freeze("d", "kernel")), tmp_path / "d.safetensors")
    (tmp_path / "usual").touch()
    assert (tmp_path / "d.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_base_that_is_none_and_a_model_that_is_none_are_refused():
    model = zoo.mlp()
    with pytest.raises(sg.ModelError, match="expected a built Keras model, not Sequential"):
        sg.save_delta(keras.Sequential([layers.Dense(2)]), "never.safetensors")
    wide = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="other")])
    with pytest.raises(sg.DeltaError, match=r"the base has no weight '.*' of shape .* and dtype float32"):
        sg.save_delta(model, "never.safetensors", base=wide)


def test_a_delta_that_was_taken_off_inside_of_its_block_is_off(tmp_path):
    model, first, _ = deltas(tmp_path)
    before = weights_of(model)
    with sg.load_delta(model, first) as applied:
        applied.remove()
        assert_same_weights(before, weights_of(model))
    assert_same_weights(before, weights_of(model))
