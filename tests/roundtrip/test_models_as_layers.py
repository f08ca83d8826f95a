"""Models in models, and classes of models."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

import surgeon as sg
from tests import zoo
from tests.fidelity import check_exact


class Backbone(keras.Model):
    """A Functional subclass that builds its layers from one number, as every keras_hub backbone does."""

    def __init__(self, units, **kwargs):
        vector = keras.Input((4,), name="vector")
        stem = layers.Dense(units, name="stem")
        super().__init__(vector, layers.ReLU(name="relu")(stem(vector)), **kwargs)
        self.units, self.stem = units, stem

    def describe(self):
        return f"{self.units} units"

    def get_config(self):
        return {"units": self.units, "name": self.name}


def test_a_functional_subclass_keeps_class_attributes_and_methods():
    model = zoo.jitter(Backbone(3, name="backbone"))
    check_exact(model)
    same = sg.rewrite(model, [])
    assert type(same) is Backbone
    assert same.describe() == "3 units"
    assert same.stem is same.get_layer("stem")


def test_a_functional_subclass_inside_another_model():
    x = keras.Input((4,), name="x")
    model = zoo.jitter(keras.Model(x, layers.Dense(2, name="head")(Backbone(3, name="backbone")(x))))
    check_exact(model)
    assert type(sg.rewrite(model, []).get_layer("backbone")) is Backbone


def test_a_frozen_model_and_a_frozen_model_inside():
    x = keras.Input((4,), name="x")
    inner = keras.Model(x, layers.Dense(3, name="dense")(x), name="inner", trainable=False)
    y = keras.Input((4,), name="y")
    outer = zoo.jitter(keras.Model(y, layers.Dense(2, name="head")(inner(y))))
    for model in (inner, outer):
        check_exact(model)
    same = sg.rewrite(outer, [])
    assert not same.get_layer("inner").trainable
    for one in (outer, same):
        one.get_layer("inner").trainable = True  # TensorFlow ignores a flag that is set to what it is
        one.get_layer("inner").trainable = False
    assert len(same.trainable_variables) == len(outer.trainable_variables) == 2


def test_sequential_models_in_sequential_models():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")], name="inner")
    middle = keras.Sequential([inner, layers.ReLU(name="relu")], name="middle")
    model = zoo.jitter(keras.Sequential([keras.Input((4,), name="x"), middle, layers.Dense(2, name="head")]))
    check_exact(model)
    assert type(sg.rewrite(model, []).layers[0]) is keras.Sequential


def test_a_sequential_that_was_built_by_its_first_call():
    model = keras.Sequential([layers.Dense(3, name="dense"), layers.Dense(2, name="head")])
    model(np.ones((1, 4), "float32"))
    check_exact(zoo.jitter(model))


def test_a_sequential_of_one_layer_held_by_a_custom_layer():
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.stack = keras.Sequential(
                [layers.Dense(4, name="one"), layers.Dense(4, name="two")], name="stack"
            )

        def build(self, shape):
            self.stack.build(shape)

        def call(self, inputs):
            return self.stack(inputs)

    x = keras.Input((4,), name="x")
    check_exact(zoo.jitter(keras.Model(x, layers.Dense(2, name="head")(Block(name="block")(x)))))
