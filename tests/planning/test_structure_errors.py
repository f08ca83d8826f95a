"""Every use that makes no sense is an error that names the thing and the next step."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from keras import layers

import surgeon as sg
from tests import zoo


def raises_zero(node):
    return 1 / 0


@sg.rule("hidden")
def grows(node):
    return [sg.insert_after(node, layers.Dropout(0.1))]


CASES = {
    "shape": (
        sg.remove("hidden"),
        sg.GraphError,
        r"errors.py:\d+: remove\('hidden'\): 'hidden' \(Dense\) turns \(None, 72\) into \(None, 10\), which",
    ),
    "no call": (
        sg.insert_after("flatten", layers.Conv2D(2, 3)),
        sg.GraphError,
        r"cannot be called in the place of",
    ),
    "cycle": (sg.rewire("conv_1", "conv_2"), sg.GraphError, r"'conv_1' cannot read 'conv_2': .* a cycle"),
    "nowhere": (sg.rewire("conv_2", "pol_1"), sg.GraphError, r"no node 'pol_1' in 'cnn'; close: 'pool_1'"),
    "input removed": (
        sg.remove("image"),
        sg.NoMatchError,
        r"only inputs of the model, which cannot be removed",
    ),
    "input wrapped": (sg.wrap("image", lambda layer: layer), sg.NoMatchError, r"only inputs"),
    "nothing": (
        sg.insert_before("hiden", layers.ReLU()),
        sg.NoMatchError,
        r"no layer matches 'hiden'; close: 'hidden'",
    ),
    "pattern": (
        sg.replace(sg.chain(c=sg.isa("Conv2D"), d=sg.isa("Dense")), lambda m: None),
        sg.NoMatchError,
        r"the pattern c=.* is nowhere; 2 x c: wanted isa\('Conv2D'\)",
    ),
    "loop": (
        sg.repeat(grows, at_most=3),
        sg.RuleError,
        r"grows at .* still finds something to change after 3 passes",
    ),
    "predicate": (
        sg.remove(sg.where(raises_zero)),
        sg.RuleError,
        r"remove\(where\(raises_zero at .*\)\): where\(.*\) failed on 'image' .*: ZeroDivisionError",
    ),
    "maker": (
        sg.insert_after("hidden", raises_zero),
        sg.RuleError,
        r"failed on 'hidden' \(Dense\): ZeroDivisionError",
    ),
    "class": (sg.insert_after("hidden", lambda n: layers.ReLU), sg.RuleError, r"returned the class ReLU"),
    "name": (sg.rename("hidden", "conv_1"), sg.GraphError, r"2 layers of 'cnn' would have the name 'conv_1'"),
    "slash": (sg.rename("hidden", "a/b"), sg.GraphError, r"cannot be the name of a layer"),
    "wrapper": (
        sg.wrap("hidden", lambda layer: layers.ReLU()),
        sg.RuleError,
        r"does not hold the one it was given",
    ),
    "share": (sg.share("conv_1"), sg.RuleError, r"alone: there is nothing to share it with"),
    "share kinds": (
        sg.share("conv_?"),
        sg.GraphError,
        r"cannot be one layer: Conv2D with kernel \(3, 3, 3, 6\)",
    ),
    "count": (
        sg.remove(sg.isa("ReLU").expect(3)),
        sg.RuleError,
        r"expected to match 3 layers, and matches 2: relu_1",
    ),
    "position": (sg.remove(sg.nth(sg.isa("ReLU"), 5)), sg.NoMatchError, r"matches only 2 layers"),
    "upstream": (
        sg.remove(sg.upstream_of("hiden")),
        sg.NoMatchError,
        r"no layer matches 'hiden'; close: 'hidden'",
    ),
    "filled": (
        sg.replace(
            "hidden", lambda n: sg.filled(layers.Dense(3), lambda old: {"kernel": old["kernel"]}, [n])
        ),
        sg.RuleError,
        r"'hidden' was to get kernel of shape \(72, 10\); it has kernel of shape \(72, 3\)",
    ),
    "computation": (
        sg.replace("hidden", lambda n: sg.filled(layers.Dense(3), lambda old: {"kernel": 1 / 0}, [n])),
        sg.RuleError,
        r"computing the weights of 'hidden' by <lambda> failed: ZeroDivisionError",
    ),
    "settings": (
        sg.configure("hidden", activation="gellu"),
        sg.RuleError,
        r"configure\('hidden', activation='gellu'\) failed on 'hidden' \(Dense\): TypeError: [^{]*gellu",
    ),
    "argument": (
        sg.insert_before("hidden", layers.ReLU(), argument=3),
        sg.GraphError,
        r"'hidden' reads no tensor 3: 0 from 'flatten'",
    ),
    "output": (
        sg.insert_after("hidden", layers.ReLU(), output=2),
        sg.GraphError,
        r"'hidden' has no output 2: it has 1",
    ),
    "before input": (sg.insert_before("image", layers.ReLU()), sg.NoMatchError, r"only inputs of the model"),
    "input replaced": (sg.replace("image", layers.ReLU()), sg.NoMatchError, r"which cannot be replaced"),
    "input rewired": (sg.rewire("image", "hidden"), sg.NoMatchError, r"only inputs of the model"),
    "no input": (
        sg.change_input((4,), selector="hidden"),
        sg.NoMatchError,
        r"matches no input of the model, only 'hidden' \(Dense\); its inputs: 'image'",
    ),
    "no model": (
        sg.inline("hidden"),
        sg.GraphError,
        r"'hidden' \(Dense\) is no nested model with a graph: there is nothing to inline",
    ),
    "no adapter": (
        sg.lora("pool_1", rank=2),
        sg.NoMatchError,
        r"matches no layer that takes an adapter: 'pool_1': MaxPooling2D takes no adapter",
    ),
    "number as name": (
        sg.rename("hidden", lambda node: 3),  # type: ignore[arg-type, return-value]
        sg.RuleError,
        r"failed on 'hidden' \(Dense\): a name is text, not 3",
    ),
    "pattern inserted": (
        sg.insert_after(sg.chain(c=sg.isa("Conv2D"), b=sg.isa("BatchNormalization")), layers.ReLU()),
        sg.RuleError,
        r"insert_after takes a selector, not a pattern: write @rule\(pattern\) and return insert_after\(",
    ),
    "predicate in a pattern": (
        sg.replace(sg.chain(c=sg.isa("Conv2D"), b=sg.where(raises_zero)), lambda match: None),
        sg.RuleError,
        r"where\(.*\) failed on '\w+' .*: ZeroDivisionError",
    ),
    "condition of a pattern": (
        sg.replace(sg.chain(c=sg.isa("Conv2D")).where(raises_zero), lambda match: None),
        sg.RuleError,
        r"raises_zero at .* failed on c='conv_1'.*: ZeroDivisionError",
    ),
    "predicate around": (
        sg.remove(sg.downstream_of(sg.where(raises_zero))),
        sg.RuleError,
        r"where\(.*\) failed on 'image' .*: ZeroDivisionError",
    ),
    "nothing around": (
        sg.remove(sg.consumers_of("predictions")),
        sg.NoMatchError,
        r"no layer matches consumers_of\('predictions'\)",
    ),
    "mixed": (
        sg.rule("hidden")(lambda node: [sg.remove(node), layers.ReLU()]),
        sg.RuleError,
        r"returned <.*ReLU.*> among rules: return rules about single nodes alone",
    ),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_messages(case):
    rule, error, message = CASES[case]
    with pytest.raises(error, match=message):
        sg.rewrite(zoo.cnn(), rule)


def test_what_lies_in_different_models_cannot_be_joined():
    model = zoo.nested()
    with pytest.raises(
        sg.GraphError, match=r"'head' cannot read 'encoder/pool': they lie in different models"
    ):
        sg.rewrite(model, sg.rewire("head", "encoder/pool"))
    inner = sg.rewrite(model, sg.replace("head", layers.Dense(7)))
    with pytest.raises(sg.GraphError, match=r"cannot be one layer: "):
        sg.rewrite(inner, sg.share(sg.name("head") | "encoder/block/dense"))


def test_one_of_several_inputs_must_be_named():
    with pytest.raises(sg.RuleError, match=r"matches several inputs: say which, with selector="):
        sg.rewrite(zoo.multi_io(), sg.change_input((8, 8, 3)))
    with pytest.raises(sg.GraphError, match=r"ops|outputs: it is not clear what would replace them"):
        sg.rewrite(zoo.ops_model(), sg.remove("split"))


@pytest.mark.parametrize("number", [0, 1])
def test_a_layer_that_is_called_on_several_shapes_fits_only_one_of_them(number):
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    dense = layers.Dense(2, name="dense")
    model = keras.Model([left, right], layers.Add()([dense(left), dense(right)]))
    one = sg.name("dense") & sg.where(lambda node: node.call_index == number)
    with pytest.raises(sg.GraphError, match=r"'dense' is called on tensors of several shapes"):
        sg.rewrite(model, sg.insert_before(one, layers.Dense(3), scope="call"))


def test_parts_that_cannot_be_cut_out():
    model = zoo.multi_io()
    with pytest.raises(sg.GraphError, match=r"no layer 'trunc' in 'multi_io'; close: 'trunk'"):
        sg.extract(model, end="trunc")
    with pytest.raises(sg.GraphError, match=r"depend on the input 'extra', which the start does not cut off"):
        sg.extract(model, start="conv")
    cnn = zoo.cnn()
    with pytest.raises(sg.GraphError, match=r"nothing comes after 'predictions': there is no second model"):
        sg.split(cnn, "predictions")
    with pytest.raises(sg.GraphError, match=r"'cnn' does not take what 'mlp' returns"):
        sg.join(zoo.mlp(), cnn)
    with pytest.raises(sg.GraphError, match=r"'split' has 2 outputs: cut at a layer that has one"):
        sg.extract(zoo.ops_model(), end="split")


def test_merges_must_say_which_of_their_inputs_is_meant():
    model = zoo.residual()
    reads = r"'block_1_add' reads 2 tensors \(0 from 'stem', 1 from 'block_1_conv_2'\): say which"
    with pytest.raises(sg.GraphError, match=reads):
        sg.rewrite(model, sg.remove("block_1_add"))
    with pytest.raises(sg.GraphError, match=reads + r", with insert_before\(\.\.\., argument=0\)"):
        sg.rewrite(model, sg.insert_before("block_1_add", layers.Dropout(0.5)))
    tuned = sg.rewrite(model, sg.remove("block_1_add", keep=0))
    assert not [layer.name for layer in tuned.layers if layer.name.startswith("block_1")]


def test_no_setting_of_that_name_is_an_error_where_it_would_change_nothing():
    which = sg.isa("Dense") | sg.isa("ReLU")
    with pytest.raises(
        sg.RuleError,
        match=r"can be configured so: 'hidden': Dense has no setting 'activaton'; close: 'activation'",
    ):
        sg.plan(zoo.cnn(), sg.configure(which, activaton="gelu"))
    some = sg.plan(zoo.cnn(), sg.configure(which, activation="gelu"))
    assert "skips 2: ReLU has no setting 'activation' (relu_1, relu_2)\n" in str(some)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sg.insert_after("d", layers.Dense), r"this is a class; write a layer, Dense\(\.\.\.\)"),
        (lambda: sg.insert_after("d", 3), r"pass a layer, or a function of the node"),
        (lambda: sg.remove("d", scope="node"), r"a scope is 'layer' or 'call'"),  # type: ignore[arg-type]
        (lambda: sg.configure("d"), r"say what to set, as in configure\('d', rate=0.5\)"),
        (lambda: sg.duplicate("d", times=0), r"at least 1"),
        (lambda: sg.repeat(sg.freeze("d")), r"takes rules that change the structure"),
        (lambda: sg.repeat(sg.remove("d"), at_most=0), r"at least 1"),
        (lambda: sg.filled(layers.ReLU, dict, []), r"filled\(\.\.\.\) takes a layer"),
        (lambda: sg.first("d", 0), r"first\(\.\.\.\) counts from 1"),
        (sg.chain, r"needs a node that must be there"),
        (lambda: sg.node("a b", "d"), r"write it like a variable"),
        (sg.pattern, r"takes the nodes that the block ends in"),
        (lambda: sg.wrap("d", 3), r"pass a function of the layer"),  # type: ignore[arg-type]
        (lambda: sg.change_input((4,), channels="median"), r"channels is 'mean', 'repeat' or 'zero'"),
        (
            lambda: sg.new_head(7),
            r"make is the new head, .*, not 7: write new_head\(keras\.layers\.Dense\(7, name='head'\)\)",
        ),
        (lambda: sg.new_head(layers.Dense), r"not the class Dense: write new_head\(keras\.layers\.Dense\(10"),
        (lambda: sg.new_head([]), r"make is the new head, .*, not \[\]: write"),
        (lambda: sg.new_head("softmax"), r"make is the new head, .*, not 'softmax': write"),
        (lambda: sg.lora("d", rank=0), r"a rank is a whole number, at least 1"),
        (lambda: sg.remove(layers.Dense), r"remove\(\.\.\.\): .* write isa\(Dense\)"),
        (lambda: sg.chain(a="x").where(3), r"takes a function of the match, not 3"),  # type: ignore[arg-type]
    ],
)
def test_arguments(make, message):
    with pytest.raises(sg.RuleError, match=message):
        make()


def test_a_bert_that_would_rebuild_its_layers_becomes_plain(tmp_path):
    model = zoo.tiny_bert()
    tuned = sg.rewrite(model, sg.insert_after("embeddings_layer_norm", layers.Dense(16, name="adapter")))
    assert type(tuned).__name__ == "Functional"
    tuned.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert re.search("adapter", " ".join(layer.name for layer in loaded.layers))


def fixed_numbers(mean):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Normalization(mean=mean, variance=[2.0] * np.size(mean), name="scale")(image)
    return keras.Model(image, layers.Conv2D(4, 3, name="conv")(x))


def test_numbers_that_were_given_for_three_channels_do_not_fit_twenty():
    rule = sg.change_input((8, 8, 20))
    message = r"'scale' was given a mean of shape \(3,\), which does not fit the \(20,\) that it would read"
    with pytest.raises(sg.GraphError, match=message):
        sg.plan(fixed_numbers([0.1, 0.2, 0.3]), rule)
    wider = sg.rewrite(fixed_numbers([0.5]), rule)
    pictures = np.ones((2, 8, 8, 20), "float32")
    assert np.allclose(sg.extract(wider, end="scale")(pictures), 0.5 / 2**0.5)
    taller = sg.rewrite(fixed_numbers([0.1, 0.2, 0.3]), sg.change_input((9, 9, 3)))
    assert taller(pictures[:, :, :, :3].repeat(2, 1)[:, :9].repeat(2, 2)[:, :, :9]).shape == (2, 7, 7, 4)


def test_what_has_none_of_the_named_weights_is_said():
    plan = sg.plan(zoo.cnn(), sg.freeze("*", "gamma"))
    assert "skips 4: no gamma (" in str(plan)
    assert "conv_1, " in str(plan).partition("no gamma (")[2]
    assert ("conv_1", "no gamma") in plan.outcomes[0].skipped
    both = sg.plan(zoo.cnn(), sg.freeze("conv_*", "kernel", "bias"))
    assert both.outcomes[0].skipped == ()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("encodr", r"no layer 'encodr' in 'nested'; close: 'encoder'"),
        ("conv", r"no layer 'conv' in 'nested'; close: 'encoder/conv'"),
        ("encoder/con", r"no layer 'encoder/con' in 'nested'; close: 'encoder/conv'"),
        ("encodr/block/out", r"no layer 'encodr/block/out' in 'nested'; close: 'encoder/block/out'"),
        (
            "block/ot",
            r"no layer 'block/ot' in 'nested'; close: .*'encoder/block/out'.* `surgeon inspect` lists",
        ),
        ("encoder/*", r"in 'nested', for a path is wanted here and no glob; close: 'encoder'"),
    ],
)
def test_parts_of_a_path_that_is_nearly_right(path, message):
    for cut in (
        lambda: sg.extract(zoo.nested(), end=path),
        lambda: sg.extract(zoo.nested(), start=["encoder", path]),
        lambda: sg.split(zoo.nested(), path),
    ):
        with pytest.raises(sg.GraphError, match=message):
            cut()


def test_layers_that_no_graph_calls_are_said_to_be_such():
    model = zoo.custom_inner()
    inner = "block_a/mix"
    with pytest.raises(sg.GraphError, match=rf"'{inner}' \(.*\) is a part of 'block_a', .* Cut at 'block_a'"):
        sg.extract(model, end=inner)
    for rule in (sg.prune(inner, channels=0.5), sg.replace(f"**/{inner[8:]}", layers.Dense(3))):
        with pytest.raises(
            sg.NoMatchError,
            match=r"which is a part of MixerBlock 'block_a'. .*: write the rule about 'block_a'. freeze",
        ):
            sg.plan(model, rule)
    with pytest.raises(
        sg.RuleError, match=r"MixerBlock makes no channels .*: it calls the layers inside of it"
    ):
        sg.plan(model, sg.prune("block_a", channels=0.5))
