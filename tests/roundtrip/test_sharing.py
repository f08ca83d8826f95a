"""What a model shares is shared in its copy: layers, models, variables, at whatever depth."""

from __future__ import annotations

import keras
from keras import layers

import surgeon as sg
from surgeon import _keras, paths
from tests import zoo
from tests.fidelity import check_exact
from tests.helpers import same_bits, to_numpy


def test_a_layer_and_a_model_that_are_called_twice():
    model = zoo.shared()
    check_exact(model)
    same = sg.rewrite(model, [])
    assert len(same.layers) == len(model.layers)
    assert len(same.get_layer("tower")._inbound_nodes) == 2


def three_levels():
    dense = layers.Dense(4, activation="tanh", name="dense")
    innermost = keras.Input((4,))
    inner = keras.Model(innermost, dense(innermost), name="inner")
    middle = keras.Input((4,))
    outer = keras.Model(middle, dense(inner(middle)), name="outer")
    x = keras.Input((4,), name="x")
    return zoo.jitter(keras.Model(x, dense(outer(x)))), dense


def test_one_layer_at_three_levels_of_nesting():
    model, dense = three_levels()
    check_exact(model)
    same = sg.rewrite(model, [])
    own = same.get_layer("dense")
    assert own is not dense
    assert same.get_layer("outer").get_layer("dense") is own
    assert same.get_layer("outer").get_layer("inner").get_layer("dense") is own


def test_a_graph_lists_the_weights_of_a_layer_of_several_levels_once():
    model, _ = three_levels()
    graph = sg.to_graph(model)
    assert [weight.path for weight in graph.weights] == ["dense/kernel", "dense/bias"]
    inner = graph["outer"].inner
    assert inner is not None
    assert [weight.path for weight in inner.weights] == ["dense/kernel", "dense/bias"]
    plan = sg.plan(model, sg.configure("dense", use_bias=False))
    assert plan.after is not None
    assert plan.after.weights == sg.to_graph(plan.apply(model)).weights
    assert [weight.path for weight in plan.after.weights] == ["dense/kernel"]


class Scaled(layers.Layer):
    """Registered nowhere, with a weight that can be tied."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    def call(self, inputs):
        return inputs @ self.kernel


class Transposed(layers.Layer):
    """Computes with the weight of another layer, which it holds."""

    def __init__(self, other, **kwargs):
        super().__init__(**kwargs)
        self.other = other

    def call(self, inputs):
        return inputs @ keras.ops.transpose(self.other.kernel)


def test_a_weight_tied_across_levels_of_nesting():
    first, second = Scaled(name="first"), Scaled(name="second")
    i = keras.Input((4,))
    inner = keras.Model(i, first(i), name="inner")
    x = keras.Input((4,), name="x")
    model = keras.Model(x, second(inner(x)))
    _keras.replace_variable(second, second.kernel, first.kernel)
    check_exact(zoo.jitter(model))
    same = sg.rewrite(model, [])
    assert same.get_layer("second").kernel is same.get_layer("inner").get_layer("first").kernel
    assert same.get_layer("second").kernel is not first.kernel


def test_a_layer_that_computes_with_another_layers_weight():
    scaled = Scaled(name="scaled")
    x = keras.Input((4,), name="x")
    y = scaled(x)
    model = zoo.jitter(keras.Model(x, Transposed(scaled, name="back")(y)))
    check_exact(model)
    same = sg.rewrite(model, [])
    assert same.get_layer("back").other is same.get_layer("scaled")


def test_tied_embeddings_of_a_language_model():
    from keras_hub.layers import ReversibleEmbedding

    embedding = ReversibleEmbedding(12, 4, name="embedding")
    words = keras.Input((5,), dtype="int32", name="words")
    x = layers.Dense(4, name="dense")(embedding(words))
    check_exact(zoo.jitter(keras.Model(words, embedding(x, reverse=True))))


def test_attributes_that_hold_layers_and_tensors_point_into_the_new_model():
    from tests.catalog import hub

    model = zoo.jitter(hub.backbone("LlamaBackbone", tie_word_embeddings=True))
    same = sg.rewrite(model, [])
    assert same.token_embedding in same.layers
    assert same.token_embedding is not model.token_embedding
    pyramid = sg.rewrite(hub.backbone("ResNetBackbone"), [])
    assert keras.Model(pyramid.inputs, pyramid.pyramid_outputs).count_params() > 0


def test_a_model_that_an_attribute_holds_has_its_calls_in_common():
    image = keras.Input((4,), name="image")
    encoder = keras.Model(image, layers.Dense(3, name="dense")(image), name="encoder")
    model = keras.Model(image, layers.Dense(2, name="head")(encoder.output), name="whole")
    model.encoder = encoder
    same = sg.rewrite(zoo.jitter(model), [])
    assert same.encoder is not encoder
    assert same.encoder.get_layer("dense") is same.get_layer("dense")
    assert len(same.get_layer("dense")._inbound_nodes) == 1
    assert keras.Model(same.input, same.encoder.output).count_params() == 15


def test_an_attribute_that_holds_what_is_inside_of_a_shared_layer():
    x = keras.Input((4,), name="x")
    each = layers.TimeDistributed(layers.Dense(4, name="inner"), name="each")
    y = layers.Flatten(name="flat")(each(layers.Reshape((2, 2), name="pairs")(x)))
    model = zoo.jitter(keras.Model(x, layers.Dense(2, name="head")(y)))
    model.inner = each.layer
    check_exact(model, share=True)
    shared = sg.rewrite(model, sg.freeze("head"), share=True)
    assert shared.inner is model.inner
    apart = sg.rewrite(model, [])
    assert apart.inner is apart.get_layer("each").layer is not model.inner


def _calls(model):
    return {
        path: (len(_keras.inbound_nodes(layer)), len(layer._outbound_nodes))
        for path, layer in paths.walk(model)
    }


def test_what_both_models_share_is_not_called_again():
    """Calls that both have are the same calls, up to the first that differs; the source stays as it was."""
    x = keras.Input((4,), name="x")
    common = layers.Dense(4, name="common")
    masked = layers.Dense(4, name="left")(common(x))
    joined = layers.Add(name="add")([masked, layers.Dense(4, name="right")(common(masked))])
    model = keras.Model(x, layers.Dense(2, name="head")(joined))
    before = _calls(model)
    shared = sg.rewrite(model, [], share=True)
    assert shared is not model
    assert _calls(model) == before == _calls(shared)
    assert [layer is shared.get_layer(layer.name) for layer in model.layers] == [True] * len(model.layers)

    tuned = sg.rewrite(model, sg.freeze("right", "kernel"), share=True)
    assert tuned.get_layer("right") is not model.get_layer("right")
    assert tuned.get_layer("left") is model.get_layer("left")
    more = {path: now[0] - before[path][0] for path, now in _calls(model).items()}
    assert more == {"x": 0, "common": 0, "left": 0, "right": 0, "add": 1, "head": 1}
    inputs = zoo.sample_inputs(model)
    assert same_bits(to_numpy(tuned(inputs)), to_numpy(model(inputs)))
    assert sg.validate(model, shared).ok
