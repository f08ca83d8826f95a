"""Rule files that change the structure: the same plans as the same rules in Python."""

from __future__ import annotations

import pytest
from keras import layers

import surgeon as sg
from tests import zoo
from tests.helpers import assert_same_outputs

TEXT = """
rules:
- replace: {isa: ReLU}
  with: {LeakyReLU: {negative_slope: 0.1}}
- replace: hidden
  with: {Dense: {activation: gelu}}
  keep: [units]
- insert_after: hidden
  layer: [{Dropout: {rate: 0.3}}, {Activation: {activation: tanh}}]
- insert_before: conv_1
  layer: {Rescaling: {scale: 0.5}}
- insert_after: conv_2
  layer:
    TimeDistributed:  # around a layer in the form in which Keras writes it
      layer: {module: keras.layers, class_name: Dense, config: {units: 8, kernel_initializer: ones}}
- remove: pool_2
  any_shape: true
- configure: {isa: Conv2D}
  set: {kernel_regularizer: l2}
- rename: predictions
  to: classes
- prune: conv_1
  channels: 0.3
- freeze: "conv_*"
- lora: classes
  rank: 2
"""


def rules():
    """The same in Python."""
    return [
        sg.replace(sg.isa("ReLU"), layers.LeakyReLU(negative_slope=0.1)),
        sg.replace("hidden", lambda node: layers.Dense(node.config["units"], "gelu")),
        sg.insert_after("hidden", [layers.Dropout(0.3), layers.Activation("tanh")]),
        sg.insert_before("conv_1", layers.Rescaling(0.5)),
        sg.insert_after("conv_2", layers.TimeDistributed(layers.Dense(8, kernel_initializer="ones"))),
        sg.remove("pool_2", any_shape=True),
        sg.configure(sg.isa("Conv2D"), kernel_regularizer="l2"),
        sg.rename("predictions", "classes"),
        sg.prune("conv_1", channels=0.3),
        sg.freeze("conv_*"),
        sg.lora("classes", rank=2),
    ]


@pytest.fixture
def load(tmp_path):
    def write(text):
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        return sg.load_rules(path)

    return write


def test_a_file_says_what_python_says(load):
    model = zoo.cnn()
    one, other = sg.plan(model, load(TEXT)), sg.plan(model, rules())
    assert [(c.kind, c.path, c.before, c.after) for c in one.journal] == [
        (c.kind, c.path, c.before, c.after) for c in other.journal
    ]
    inputs = zoo.sample_inputs(model)
    made = one.apply(model)
    assert [layer.name for layer in made.layers] == [layer.name for layer in other.apply(model).layers]
    # What is removed lets `hidden` have new values, random ones: without it, all is equal.
    short = TEXT.replace("- remove: pool_2\n  any_shape: true\n", "")
    kept = [rule for rule in rules() if getattr(rule, "verb", "") != "remove"]
    assert_same_outputs(sg.rewrite(model, load(short))(inputs), sg.rewrite(model, kept)(inputs))


AROUND = """
rules:
- freeze: {upstream_of: hidden, isa: Conv2D}
- freeze: {first: {isa: BatchNormalization}}
  weights: [gamma]
- train: {every: {isa: Conv2D}, step: 2, start: 1}
- freeze: {has_weight: kernel, shape: [null, 4]}
- freeze: {between: [conv_1, pool_1], isa: BatchNormalization, expect: 1}
- replace:
    chain: {conv: {isa: Conv2D}, norm: {isa: BatchNormalization}, act: {optional: {isa: ReLU}}}
  with: {Conv2D: {activation: relu}}
  keep: [filters, kernel_size, padding]
"""


def test_a_file_selects_by_what_is_around_and_by_patterns(load):
    model = zoo.cnn()
    convs = sg.isa("Conv2D")
    norms = sg.isa("BatchNormalization")
    block = sg.chain(conv=convs, norm=norms, act=sg.optional(sg.isa("ReLU")))
    kept = ("filters", "kernel_size", "padding")
    in_python = [
        sg.freeze(sg.upstream_of("hidden") & convs),
        sg.freeze(sg.first(norms), "gamma"),
        sg.train(sg.every(2, convs, start=1)),
        sg.freeze(sg.has_weight("kernel", (None, 4))),
        sg.freeze((sg.between("conv_1", "pool_1") & norms).expect(1)),
        sg.replace(
            block,
            lambda m: layers.Conv2D(activation="relu", **{key: m.conv.config[key] for key in kept}),
        ),
    ]
    in_file = load(AROUND)
    one, other = sg.plan(model, in_file), sg.plan(model, in_python)
    assert [outcome.matched for outcome in one.outcomes] == [outcome.matched for outcome in other.outcomes]
    assert len(one.outcomes[-1].matched) == 2
    assert one.trainable_after == other.trainable_after
    inputs = zoo.sample_inputs(model)
    assert_same_outputs(one.apply(model)(inputs), other.apply(model)(inputs))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("freeze: {first: 'conv_*', count: 0}", r"rules\.yaml:2: .*counts from 1"),
        ("freeze:\n    nth: 'conv_*'", r"rules\.yaml:3: nth needs 'position' beside it"),
        (
            "insert_after: {chain: {a: 'b'}}\n  layer: ReLU",
            r"yaml:2: insert_after takes a selector, not a pat",
        ),
        ("freeze: {chain: {a: 'b'}}", r"rules\.yaml:2: this is a pattern, which stands at replace or remove"),
        ("remove:\n    chain:\n      a: {isa: 3}", r"rules\.yaml:4: 'isa' is text, not 3"),
        ("prune: a", r"rules\.yaml:2: .*takes channels= or heads="),
        ("prune: a\n  heads: 3", r"rules\.yaml:3: 'heads' is a fraction or a list of positions, not 3"),
    ],
)
def test_wrong_selectors_are_called_by_their_line(load, rule, message):
    with pytest.raises(sg.RuleFileError, match=message):
        load(f"rules:\n- {rule}\n")


def test_what_is_not_there_is_called_by_its_line(load):
    with pytest.raises(sg.NoMatchError, match=r"rules\.yaml:2: .*upstream_of\('heed'\)|close: 'head'"):
        sg.plan(zoo.mlp(), load("rules:\n- freeze: {upstream_of: heed}\n"))
    with pytest.raises(sg.RuleError, match=r"rules\.yaml:2: .*expected to match 3 layers, and matches 2"):
        sg.plan(zoo.mlp(), load("rules:\n- freeze: {name: 'dense_*', expect: 3}\n"))
    with pytest.raises(sg.NoMatchError, match=r"rules\.yaml:2: remove\(.*the pattern .* is nowhere"):
        sg.plan(zoo.mlp(), load("rules:\n- remove: {chain: {a: {isa: Conv2D}, b: {isa: ReLU}}}\n"))


def test_a_selection_that_does_not_fit_is_called_by_its_line(load):
    with pytest.raises(sg.SelectionError, match=r"rules\.yaml:3: train\('head', .*: .*head/kernel"):
        sg.plan(zoo.mlp(), load("rules:\n\n- train: head\n  kernel: {channels: [99]}\n"))


def test_rules_of_a_file_are_called_by_their_line(load):
    with pytest.raises(sg.NoMatchError, match=r"rules\.yaml:4: remove\('hiden'\): .*close: 'hidden'"):
        sg.plan(zoo.cnn(), load("rules:\n- freeze: 'conv_1'\n\n- remove: hiden\n"))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("{Dens: {units: 3}}", r"rules\.yaml:2: .*no layer 'Dens' to make from a rule file; close: 'Dense'"),
        ("{Lambda: {function: x}}", r"no layer 'Lambda' to make from a rule file"),
        ("{Dense: {unit: 3}}", r"Dense has no setting 'unit'; close: 'units'; it has: units, activation"),
        ("{Dense: {nam: x, units: 3}}", r"Dense has no setting 'nam'; close: 'name'"),
        ("Dense", r"Dense needs 'units'"),
        ("{Dense: {units: 3, activation: reluu}}", r"ValueError: .*reluu"),
    ],
)
def test_layers_that_cannot_be_made(load, layer, message):
    steps = load(f"rules:\n- replace: hidden\n  with: {layer}\n")
    with pytest.raises(sg.RuleFileError, match=message):
        sg.plan(zoo.cnn(), steps)


def test_settings_that_no_matched_layer_has(load):
    typed = "configure: '{}'\n  set: {{activatoin: gelu}}"
    with pytest.raises(
        sg.RuleFileError, match=r"rules\.yaml:2: .*'pool_1': MaxPooling2D has no setting 'activatoin'"
    ):
        sg.plan(zoo.cnn(), load(f"rules:\n- {typed.format('pool_*')}\n"))
    with pytest.raises(
        sg.RuleError, match=r"'hidden': Dense has no setting 'activatoin'; close: 'activation'"
    ):
        sg.plan(zoo.cnn(), sg.configure("hidden", activatoin="gelu"))
    some = sg.plan(zoo.cnn(), sg.configure("*_1", activation="gelu"))  # a few have it: the others are skipped
    assert "skips" in str(some)


@pytest.mark.parametrize(
    "rule",
    [
        "replace: hidden\n  with: {Dense: {activation: {module: os, class_name: system, config: ls}}}",
        "configure: hidden\n  set: {activation: {class_name: __lambda__, config: {value: eA==}}}",
        "insert_after: hidden\n  layer: {TimeDistributed: {layer: {class_name: Lambda, config: {}}}}",
    ],
)
def test_a_rule_file_is_data(load, rule):
    with pytest.raises(sg.RuleFileError, match=r"rules\.yaml:3: a rule file holds settings of Keras's own"):
        load(f"rules:\n- {rule}\n")
