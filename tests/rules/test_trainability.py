"""`freeze` and `train` as values, and what they mean for one weight."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest
from hypothesis import given

import surgeon as sg
from surgeon.errors import RuleError
from surgeon.rules import freeze, train
from surgeon.select import channels, isa, name, rows
from tests.rules.cases import data_rules


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_a_rule_is_what_was_typed():
    rule = train(isa("Dense") & "block_*", "bias", kernel=channels(0.1, by="magnitude"))
    assert (rule.verb, rule.weights) == ("train", ("bias",))
    assert rule.selector == isa("Dense") & name("block_*")
    assert rule.selections == {"kernel": channels(0.1, by="magnitude")}
    assert str(rule) == "train(isa('Dense') & name('block_*'), 'bias', kernel=channels(0.1, by='magnitude'))"
    assert str(freeze("d")) == "freeze('d')"
    for odd in ("cell/kernel", "lambda", "º"):
        assert str(train("d", **{odd: rows([0])})) == f"train('d', **{{{odd!r}: rows([0])}})"


def test_a_list_of_rules_prints_as_it_was_typed():
    rules = [
        freeze("d"),
        train(isa("Dense"), kernel=channels(0.1, by="magnitude")),
        sg.remove("dropout_*"),
        sg.repeat(sg.remove("a"), at_most=3),
        sg.lora("**/query", rank=4),
    ]
    typed = [
        "freeze('d')",
        "train(isa('Dense'), kernel=channels(0.1, by='magnitude'))",
        "remove('dropout_*')",
        "repeat(remove('a'), at_most=3)",
        "lora('**/query', rank=4)",
    ]
    assert repr(rules) == f"[{', '.join(typed)}]"
    names = {
        each: getattr(sg, each) for each in ("freeze", "train", "isa", "channels", "remove", "repeat", "lora")
    }
    assert [eval(text, names) for text in typed] == rules


def test_the_origin_is_the_line_of_the_caller():
    rule, line = freeze("d"), here()
    assert rule.origin == f"tests/rules/test_trainability.py:{line}"
    rule, line = train("d"), here()
    assert rule.origin == f"tests/rules/test_trainability.py:{line}"


def test_the_origin_does_not_count_when_rules_are_compared():
    one = freeze("d", "kernel")
    other = freeze("d", "kernel")
    assert one.origin != other.origin
    assert one == other
    assert one != train("d", "kernel")
    assert one != freeze("d", "bias")
    assert freeze("d", kernel=rows([0])) != freeze("d", kernel=rows([1]))


@given(data_rules())
def test_rules_are_values(rule):
    twin = pickle.loads(pickle.dumps(rule))
    assert twin == rule == copy.deepcopy(rule)
    assert hash(twin) == hash(rule)
    assert twin.origin == rule.origin


@given(data_rules())
def test_a_rule_prints_as_it_would_be_typed(rule):
    text = str(rule)
    if "…" not in text and "<mask" not in text:
        assert eval(text, {name: getattr(sg, name) for name in sg.__all__}) == rule


@pytest.mark.parametrize("verb", [freeze, train])
def test_which_weights_a_rule_speaks_of(verb):
    assert verb("d").whole_layer
    assert verb("d").speaks_of("anything")
    rule = verb("d", "bias", kernel=rows([0]))
    assert not rule.whole_layer
    assert [rule.speaks_of(weight) for weight in ("bias", "kernel", "gamma")] == [True, True, False]


WRONG = [
    (lambda verb: verb(3), r"(freeze|train)\(\.\.\.\): 3 is not a selector"),
    (lambda verb: verb(dict), r"the class dict is not a selector: write isa\(dict\)"),
    (lambda verb: verb("a**"), r"\(\.\.\.\): the glob 'a\*\*'"),
    (
        lambda verb: verb("d", 3),
        r"\('d', \.\.\.\): 3 is not the name of a weight: write \w+\('d', 'kernel'\)",
    ),
    (lambda verb: verb("d", ""), r"'' is not the name of a weight"),
    (
        lambda verb: verb("d", ["kernel", "bias"]),
        r"\['kernel', 'bias'\] is not .*: write \w+\('d', 'kernel', 'bias'\)",
    ),
    (
        lambda verb: verb("d", rows([0])),
        r"say of which weight it is a part: \w+\('d', kernel=rows\(\[0\]\)\)",
    ),
    (
        lambda verb: verb("d", "kernel", "kernel"),
        r"names the weight 'kernel' twice: whole or in part, but once",
    ),
    (lambda verb: verb("d", "kernel", kernel=rows([0])), r"names the weight 'kernel' twice"),
    (
        lambda verb: verb("d", kernel=0.1),
        r"kernel=0\.1 is not a selection: write kernel=channels\(0\.1, by='magnitude'\)",
    ),
    (lambda verb: verb("d", kernel=8), r"write kernel=channels\(8, by='magnitude'\)"),
    (lambda verb: verb("d", kernel=[0, 3]), r"write kernel=channels\(\[0, 3\]\)"),
    (lambda verb: verb("d", kernel=slice(0, 8)), r"write kernel=channels\(slice\(0, 8, None\)\)"),
    (
        lambda verb: verb("d", kernel="all"),
        r"kernel='all' is not a selection: write kernel=channels\(\.\.\.\), rows",
    ),
    (lambda verb: verb("d", kernel=np.eye(2)), r"is not a selection: write kernel=channels\(\.\.\.\), rows"),
]


@pytest.mark.parametrize("verb", [freeze, train])
@pytest.mark.parametrize("make, message", WRONG)
def test_wrong_arguments_say_what_to_write(make, message, verb):
    with pytest.raises(RuleError, match=message):
        make(verb)


@pytest.mark.parametrize(
    "verb, value, better",
    [(freeze, True, "freeze"), (freeze, False, "train"), (train, True, "train"), (train, False, "freeze")],
)
def test_a_boolean_for_a_part_says_which_rule_it_is(verb, value, better):
    with pytest.raises(
        RuleError, match=rf"kernel={value} is not a selection: write {better}\('d', 'kernel'\)"
    ):
        verb("d", kernel=value)


def test_moving_statistics_do_not_train():
    with pytest.raises(RuleError, match=r"statistics do not train, and freeze\('d', stats=True\) holds them"):
        train("d", stats=True)  # type: ignore[arg-type]


def test_a_weight_may_be_called_selector():
    rule = freeze("d", selector=rows([0]))
    assert list(rule.selections) == ["selector"]
