"""Removing attention heads for real: the outputs are those of the model in which these heads are zero."""

from __future__ import annotations

import functools
import inspect

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import to_numpy
from tests.planning.attending import STEPS, attention, difference, transformer, zeroed
from tests.planning.pruned import size_of

CASES = {
    "plain": lambda: attention(layers.MultiHeadAttention(4, 3, name="mha")),
    "no bias, other value size": lambda: attention(
        layers.MultiHeadAttention(4, 3, value_dim=5, use_bias=False, name="mha")
    ),
    "other output size": lambda: attention(layers.MultiHeadAttention(4, 3, output_shape=5, name="mha")),
    "crossed": lambda: attention(layers.MultiHeadAttention(4, 3, name="mha", dropout=0.1), crossed=True),
    "over two axes": lambda: attention(layers.MultiHeadAttention(4, 3, name="mha"), rank=4),
    "over one of two axes": lambda: attention(
        layers.MultiHeadAttention(4, 3, attention_axes=(2,), name="mha"), rank=4
    ),
    "mask for all heads": lambda: attention(
        layers.MultiHeadAttention(4, 3, name="mha"), mask=np.tri(5, dtype=bool)[None, None]
    ),
}
GATES = "use_gate" in inspect.signature(layers.MultiHeadAttention.__init__).parameters  # since Keras 3.14
if GATES:
    CASES["gated"] = lambda: attention(layers.MultiHeadAttention(4, 3, use_gate=True, name="mha"))


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_zeroed_model(name):
    model = CASES[name]()
    before = [to_numpy(weight).copy() for weight in model.weights]
    pruned = sg.rewrite(model, sg.prune("mha", heads=[0, 2]))
    assert pruned.get_layer("mha").num_heads == 2
    assert difference(zeroed(model, {"mha": [0, 2]}), pruned) <= 1e-5
    assert difference(model, pruned) > 1e-3
    assert size_of(pruned) < size_of(model)
    assert all(np.array_equal(a, to_numpy(b)) for a, b in zip(before, model.weights, strict=True))


def grouped(queries, keys):
    return attention(layers.GroupQueryAttention(3, queries, keys, name="gqa"))


@pytest.mark.parametrize(
    ("queries", "keys", "gone", "left"),
    [(6, 3, [2, 3], (4, 2)), (6, 3, [0, 3, 5], (3, 3)), (6, 3, [0, 1, 2, 5], (2, 2)), (4, 1, [0, 2], (2, 1))],
)
def test_heads_that_share_key_and_value(queries, keys, gone, left):
    model = grouped(queries, keys)
    pruned = sg.rewrite(model, sg.prune("gqa", heads=gone))
    layer = pruned.get_layer("gqa")
    assert (layer.num_query_heads, layer.num_key_value_heads) == left
    assert difference(zeroed(model, {"gqa": gone}), pruned) <= 1e-5


@st.composite
def heads_to_remove(draw):
    """Return a function that makes an attention layer, and some of its heads."""
    groups, share = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    options = {"use_bias": draw(st.booleans())} | ({"use_gate": draw(st.booleans())} if GATES else {})
    if draw(st.booleans()):
        make = functools.partial(layers.GroupQueryAttention, 2, groups * share, groups, **options)
        whole = draw(st.sets(st.integers(0, groups - 1), max_size=groups - 1))
        gone = [group * share + number for group in whole for number in range(share)]
    else:
        count, sizes = groups * share + 1, {"value_dim": draw(st.integers(1, 4))}
        size = draw(st.integers(1, 4))
        make = functools.partial(layers.MultiHeadAttention, count, size, **options, **sizes)
        gone = sorted(draw(st.sets(st.integers(0, count - 1), max_size=count - 1)))
        # Keras 3.15 on TensorFlow adds a bias of shape (heads, 1) along the wrong axis where there are as
        # many time steps as heads: `ops.add` takes it for a bias of channels that come before the rest.
        narrow = options["use_bias"] and 1 in (size, *sizes.values())
        assume(not (narrow and STEPS in (count, count - len(gone))))
    return make, gone


@given(heads_to_remove())
@settings(max_examples=5)
def test_any_heads_of_any_layer(drawn):
    make, gone = drawn
    model = attention(make(name="a"), crossed=True)
    if not gone:
        with pytest.raises(sg.RuleError, match="a list holds positions"):
            sg.prune("a", heads=gone)
        return
    pruned = sg.rewrite(model, sg.prune("a", heads=gone))
    assert difference(zeroed(model, {"a": gone}), pruned) <= 1e-5
    assert size_of(pruned) < size_of(model)


def test_a_fraction_takes_the_heads_that_say_least():
    model = attention(layers.MultiHeadAttention(4, 3, name="mha"))
    norms = np.square(to_numpy(model.get_layer("mha")._output_dense.kernel)).sum((1, 2))
    weak = np.argsort(norms)[:2]
    pruned = sg.rewrite(model, sg.prune("mha", heads=0.5))
    assert difference(zeroed(model, {"mha": weak.tolist()}), pruned) <= 1e-5
    whole = sg.rewrite(grouped(6, 3), sg.prune("gqa", heads=0.3)).get_layer("gqa")
    assert (whole.num_query_heads, whole.num_key_value_heads) == (4, 2)
    single = sg.rewrite(grouped(4, 1), sg.prune("gqa", heads=0.25)).get_layer("gqa")
    assert (single.num_query_heads, single.num_key_value_heads) == (3, 1)


def test_a_transformer_loses_heads_in_every_block():
    model = transformer()
    model.compile("adam", "mse")
    plan = sg.plan(model, sg.prune(sg.isa("MultiHeadAttention"), heads=[1, -1]))
    assert "4 → 2 heads" in str(plan)
    pruned = sg.Plan.from_json(plan.to_json()).apply(model)
    both = {f"attention_{number}": [1, 3] for number in range(2)}
    assert difference(zeroed(model, both), pruned) <= 1e-5
    assert np.array_equal(
        to_numpy(pruned.get_layer("attention_0")._query_dense.bias),
        to_numpy(model.get_layer("attention_0")._query_dense.bias)[[0, 2]],
    )


def test_a_layer_that_is_called_twice_loses_them_once():
    layer = layers.MultiHeadAttention(4, 3, name="mha")
    x = keras.Input((5, 8), name="x")
    model = zoo.jitter(keras.Model(x, layer(layer(x, x), x)))
    pruned = sg.rewrite(model, sg.prune("mha", heads=[3]))
    assert len([one for one in pruned.layers if "mha" in one.name]) == 1
    assert difference(zeroed(model, {"mha": [3]}), pruned) <= 1e-5


def test_what_was_frozen_stays_frozen_and_saves():
    model = attention(layers.MultiHeadAttention(4, 3, name="mha"))
    pruned = sg.rewrite(model, [sg.prune("mha", heads=[3]), sg.freeze("mha", "kernel")])
    assert difference(zeroed(model, {"mha": [3]}), pruned) <= 1e-5
    assert {w.path.rsplit("/", 1)[-1] for w in pruned.get_layer("mha").trainable_weights} == {"bias"}


def scores_read():
    return attention(layers.MultiHeadAttention(4, 3, name="mha"), scores=True)


def mask_per_head():
    mask = np.ones((1, 4, 5, 5), bool)
    return attention(layers.MultiHeadAttention(4, 3, name="mha"), mask=mask)


@pytest.mark.parametrize(
    ("make", "selector", "heads", "message"),
    [
        (CASES["plain"], "mha", [0, 1, 2, 3], r"'mha' would have no head left"),
        (CASES["plain"], "mha", [4], r"'mha' has 4 heads, .*: there is no head 4"),
        (CASES["plain"], "before", 0.5, r"Dense has no heads that can be told apart: MultiHeadAttention and"),
        (CASES["plain"], "mha", 0.1, r"10% of so few heads is none"),
        (CASES["plain"], "mha", [False] * 4, r"that is no head"),
        (lambda: grouped(6, 3), "gqa", [0], r"there would be 1 of number 0, 2 of number 1, 2 of number 2"),
        (scores_read, "mha", [0], r"attention scores of 'mha', one for each head, are an output"),
        (mask_per_head, "mha", [0], r"'mha' is given an attention mask that differs from head to head"),
    ],
)
def test_refusals_say_why(make, selector, heads, message):
    with pytest.raises(sg.RuleError, match=message):
        sg.plan(make(), sg.prune(selector, heads=heads))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"takes channels= or heads="),
        ({"channels": 0.5, "heads": 0.5}, r"takes channels= or heads="),
        ({"heads": 2}, r"heads=2\): a fraction lies between 0 and 1"),
        ({"heads": [0.5]}, r"a list holds positions"),
        ({"heads": []}, r"a list holds positions"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(sg.RuleError, match=message):
        sg.prune("mha", **arguments)


def without(model, path, gone):
    """Return a copy of a model in which some output channels of a layer are zero."""
    copy = sg.rewrite(model, [])
    layer = copy.get_layer(path)
    for variable in getattr(layer, "_output_dense", layer).weights:
        value = to_numpy(variable).copy()
        value[..., gone] = 0
        variable.assign(value)
    return copy


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("plain", "before"),
        ("plain", "mha"),
        ("no bias, other value size", "before"),
        ("other output size", "before"),
        ("other output size", "mha"),
        ("crossed", "source"),
        ("crossed", "keys"),
        *([("gated", "before")] if GATES else []),
        ("over one of two axes", "before"),
    ],
)
def test_channels_are_followed_through_attention(name, which):
    model = CASES[name]()
    pruned = sg.rewrite(model, sg.prune(which, channels=[1, 2]))
    assert difference(without(model, which, [1, 2]), pruned) <= 1e-5
    assert difference(model, pruned) > 1e-4
    assert size_of(pruned) < size_of(model)


def test_grouped_attention_makes_as_many_channels_as_it_reads():
    model = grouped(6, 3)
    pruned = sg.rewrite(model, sg.prune("before", channels=[1, 2]))
    both = without(without(model, "before", [1, 2]), "gqa", [1, 2])
    assert difference(both, pruned) <= 1e-5
    assert pruned.get_layer("after").kernel.shape == (6, 4)


def test_grouped_attention_reads_as_many_channels_in_its_value_as_in_its_query():
    model = attention(layers.GroupQueryAttention(3, 6, 3, name="gqa"), crossed=True)
    pruned = sg.rewrite(model, sg.prune("source", channels=[2, 5]))
    zero = without(without(without(model, "before", [2, 5]), "source", [2, 5]), "gqa", [2, 5])
    assert difference(zero, pruned) <= 1e-5


def test_an_output_with_two_axes_of_channels_keeps_them():
    model = attention(layers.MultiHeadAttention(4, 3, output_shape=(2, 4), name="mha"))
    pruned = sg.rewrite(model, [sg.prune("mha", heads=[1]), sg.prune("before", channels=[0])])
    assert difference(without(zeroed(model, {"mha": [1]}), "before", [0]), pruned) <= 1e-5
    with pytest.raises(sg.RuleError, match="MultiHeadAttention makes no channels that can be followed"):
        sg.plan(model, sg.prune("mha", channels=[1]))
