"""Every use that makes no sense is an error that names the thing and the next step."""

from __future__ import annotations

import re

import keras
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
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_messages(case):
    rule, error, message = CASES[case]
    with pytest.raises(error, match=message):
        sg.rewrite(zoo.cnn(), rule)


def test_merges_must_say_which_of_their_inputs_is_meant():
    model = zoo.residual()
    reads = r"'block_1_add' reads 2 tensors \(0 from 'stem', 1 from 'block_1_conv_2'\): say which"
    with pytest.raises(sg.GraphError, match=reads):
        sg.rewrite(model, sg.remove("block_1_add"))
    with pytest.raises(sg.GraphError, match=reads + r", with insert_before\(\.\.\., argument=0\)"):
        sg.rewrite(model, sg.insert_before("block_1_add", layers.Dropout(0.5)))
    tuned = sg.rewrite(model, sg.remove("block_1_add", keep=0))
    assert not [layer.name for layer in tuned.layers if layer.name.startswith("block_1")]


def test_no_setting_of_that_name_is_said_in_the_plan():
    plan = sg.plan(zoo.cnn(), sg.configure(sg.isa("Dense") | sg.isa("ReLU"), activaton="gelu"))
    assert "skips 2: Dense has no setting 'activaton'; close: 'activation'" in str(plan)


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
    ],
)
def test_arguments(make, message):
    with pytest.raises(sg.RuleError, match=message):
        make()


def test_a_subclass_that_would_rebuild_its_layers_becomes_plain(tmp_path):
    model = zoo.tiny_bert()
    tuned = sg.rewrite(model, sg.insert_after("embeddings_layer_norm", layers.Dense(16, name="adapter")))
    assert type(tuned).__name__ == "Functional"
    tuned.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert re.search("adapter", " ".join(layer.name for layer in loaded.layers))
