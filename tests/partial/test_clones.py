"""A clone, a part that is taken out, and a head that is put on: what was frozen is frozen in all of them."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from surgeon.partial import read_spec
from tests import zoo
from tests.helpers import assert_same_outputs, train_steps

RULES = [
    sg.freeze("**"),
    sg.train("**/stem", kernel=sg.channels([1])),
    sg.train("**/block/mix", kernel=sg.rows([0])),
    sg.train("**/head"),
]


@keras.saving.register_keras_serializable("surgeon_tests")
class Backbone(keras.Model):
    """Builds its layers from one number, as every keras_hub backbone does."""

    def __init__(self, units, **kwargs):
        vector = keras.Input((4,), name="vector")
        stem = layers.Dense(units, name="stem")(vector)
        super().__init__(vector, zoo.MixerBlock(units, 1, name="block")(stem), **kwargs)
        self.units = units

    def get_config(self):
        return {"units": self.units, "name": self.name}


@keras.saving.register_keras_serializable("surgeon_tests")
class Task(keras.Model):
    """Puts a head on a backbone and says that backbone's config in its own, as every keras_hub task does."""

    def __init__(self, backbone, calls=False, **kwargs):
        start = keras.Input((4,), name="start") if calls else backbone.input
        super().__init__(
            start, layers.Dense(2, name="head")(backbone(start) if calls else backbone.output), **kwargs
        )
        self.backbone, self.calls = backbone, calls

    def get_config(self):
        return {"backbone": keras.layers.serialize(self.backbone), "calls": self.calls, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "backbone": keras.layers.deserialize(config["backbone"])})


def task():
    """A class that calls another one as one layer."""
    return zoo.jitter(Task(Backbone(3, name="backbone"), calls=True, name="task"))


def spread():
    """A class whose graph holds the layers of another one, one by one."""
    return zoo.jitter(Task(Backbone(3, name="backbone"), name="task"))


def plain():
    """Plain functional models, two levels deep."""
    inside = keras.Input((4,), name="inside")
    stem = layers.Dense(3, name="stem")(inside)
    innermost = keras.Model(inside, zoo.MixerBlock(3, 1, name="block")(stem), name="innermost")
    middle = keras.Input((4,), name="middle")
    encoder = keras.Model(middle, layers.ReLU(name="relu")(innermost(middle)), name="encoder")
    start = keras.Input((4,), name="start")
    return zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(encoder(start)), name="outer"))


def mixed():
    """A class inside of a plain model inside of a plain model."""
    start, middle = keras.Input((4,), name="start"), keras.Input((4,), name="middle")
    encoder = keras.Model(middle, Backbone(3, name="backbone")(middle), name="encoder")
    return zoo.jitter(keras.Model(start, layers.Dense(2, name="head")(encoder(start)), name="outer"))


def plain_in_a_class():
    """A plain model, with a class inside, within a class."""
    middle = keras.Input((4,), name="middle")
    encoder = keras.Model(middle, Backbone(3, name="inner")(middle), name="backbone")
    return zoo.jitter(Task(encoder, calls=True, name="task"))


def two_of_one_path():
    """What the graph calls is named as the attribute that holds the model around it is."""
    middle = keras.Input((4,), name="middle")
    encoder = keras.Model(middle, Backbone(3, name="backbone")(middle), name="encoder")
    return zoo.jitter(Task(encoder, name="task"))


def assert_frozen_alike(tuned, other, steps=2):
    """Assert that the same elements train, toggles or not, and that no other moves a bit."""
    shapes = [tuple(v.shape) for v in tuned.trainable_variables]
    other.set_weights(tuned.get_weights())
    x = zoo.sample_inputs(tuned)
    assert_same_outputs(tuned(x), other(x))
    for model in (other, *(layer for layer in zoo.every_layer(other) if isinstance(layer, keras.Model))):
        model.trainable = False
        model.trainable = True
    assert [tuple(v.shape) for v in other.trainable_variables] == shapes
    seal, before = sg.seal(other), [np.array(v) for v in other.trainable_variables]
    assert seal.count == sg.seal(tuned).count
    train_steps(other, x, steps=steps)
    seal.verify(other)
    assert all((np.array(v) != old).any() for v, old in zip(other.trainable_variables, before, strict=True))


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("build", [task, spread, plain, mixed, plain_in_a_class, two_of_one_path])
def test_a_clone_freezes_what_lies_in_models_inside(build, recursive):
    tuned = sg.rewrite(build(), RULES)
    clone = keras.models.clone_model(tuned, recursive=recursive)
    assert [*read_spec(clone).weights.values()] == [*read_spec(tuned).weights.values()]
    assert_frozen_alike(tuned, keras.models.clone_model(clone, recursive=recursive))


@pytest.mark.parametrize("build", [task, spread, plain_in_a_class])
def test_a_backbone_that_is_saved_by_itself_is_frozen_alike(build, tmp_path):
    backbone = sg.rewrite(build(), RULES).backbone
    backbone.save(tmp_path / "backbone.keras")
    assert_frozen_alike(backbone, keras.models.load_model(tmp_path / "backbone.keras"))


def test_a_new_head_on_a_backbone_leaves_it_frozen_when_saved(tmp_path):
    backbone = sg.rewrite(task(), RULES).backbone
    x = keras.Input((4,))
    onto = keras.Model(x, layers.Dense(5, name="other")(backbone(x)))
    again = Task(backbone, name="again")
    features = keras.Model(backbone.input, backbone.get_layer("block").output)
    for name, model in {"onto": onto, "again": again, "features": features}.items():
        model.save(tmp_path / f"{name}.keras")
        assert_frozen_alike(model, keras.models.load_model(tmp_path / f"{name}.keras"), steps=1)


def test_a_task_and_its_backbone_are_described_each_by_itself_in_any_order():
    tuned = sg.rewrite(task(), RULES)
    whole, alone = tuned.to_json(), tuned.backbone.to_json()
    assert tuned.to_json() == whole
    assert tuned.backbone.to_json() == alone
    # The task says all; what stands within is the stock class's own config, which its class may read.
    assert whole.count("surgeon>Partial") == alone.count("surgeon>Partial") == 1
    assert json.loads(whole)["config"]["layer"]["config"]["backbone"]["config"] == {
        "units": 3,
        "name": "backbone",
    }


@keras.saving.register_keras_serializable("surgeon_tests")
class Unnamed(keras.Model):
    """Builds its layers from one number, and lets Keras name them."""

    def __init__(self, units, **kwargs):
        start = keras.Input((units,))
        x = start
        for _ in range(3):
            x = layers.Dense(units)(x)
        super().__init__(start, layers.LayerNormalization()(x), **kwargs)
        self.units = units

    def get_config(self):
        return {"units": self.units, "name": self.name}


@pytest.mark.parametrize("ahead", [0, 1, 7])
def test_automatic_names_may_count_from_elsewhere_when_layers_are_made_anew(ahead, tmp_path):
    model = zoo.jitter(Unnamed(4, name="unnamed"))
    first, second, third = (layer.name for layer in model.layers if isinstance(layer, layers.Dense))
    rules = [sg.freeze("**"), sg.train(second, kernel=sg.channels([1])), sg.train(third, "bias")]
    tuned = sg.rewrite(model, [*rules, sg.freeze(first)])
    tuned.save(tmp_path / "m.keras")
    expected = [tuple(v.shape) for v in tuned.trainable_variables], sg.seal(tuned).count
    keras.backend.clear_session()
    for _ in range(ahead):
        layers.Dense(1)
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.layers[1].name != first or not ahead
    kernels = [layer.kernel for layer in loaded.layers if isinstance(layer, layers.Dense)]
    assert [getattr(kernel, "part", None) is not None and kernel.part.size for kernel in kernels] == [0, 4, 0]
    assert ([tuple(v.shape) for v in loaded.trainable_variables], sg.seal(loaded).count) == expected
    assert_frozen_alike(tuned, loaded, steps=1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "name", ["BertTextClassifier", "GPT2CausalLM", "BartSeq2SeqLM", "ViTImageClassifier"]
)
def test_a_clone_of_a_keras_hub_task_freezes_what_lies_in_its_backbone(name):
    from tests.catalog import hub

    model = zoo.jitter(hub.models()[name]())
    tuned = sg.rewrite(model, [sg.freeze("**"), sg.train("**", kernel=sg.elements(0.2, by="magnitude"))])
    clone = keras.models.clone_model(tuned)
    assert [tuple(v.shape) for v in clone.trainable_variables] == [
        tuple(v.shape) for v in tuned.trainable_variables
    ]
    seal = sg.seal(clone)
    # Compiled as it comes, the task counts classes.
    train_steps(keras.Model(clone.inputs, clone.outputs), zoo.sample_inputs(clone), steps=1)
    seal.verify(clone)
