"""Rules as JSON data."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.errors import RuleError
from surgeon.rules import freeze, replace, rules_from_data, rules_to_data, train
from surgeon.select import channels, isa, rows, where
from tests.rules.cases import data_rules, structure_rules


@given(st.lists(data_rules() | structure_rules(), max_size=3))
def test_data_reads_back_equal(rules):
    assert rules_from_data(json.loads(json.dumps(rules_to_data(rules)))) == tuple(rules)


def test_what_the_data_looks_like():
    rules = [freeze("*"), train(isa("Dense"), "bias", kernel=channels(0.1, by="magnitude"))]
    assert rules_to_data(rules) == [
        {"freeze": "*"},
        {"train": {"isa": "Dense"}, "weights": ["bias"], "kernel": {"channels": 0.1, "by": "magnitude"}},
    ]


def test_the_origin_is_the_place_in_the_data():
    data = [{"freeze": "a"}, {"freeze": "b"}]
    assert [rule.origin for rule in rules_from_data(data, "plan.json")] == ["plan.json[0]", "plan.json[1]"]


@pytest.mark.parametrize(
    "rule, message",
    [
        (
            replace("d", lambda _: None),
            r"test_data\.py:\d+: replace\(.*\) cannot be written as data, because it is Python",
        ),
        (freeze(where(lambda _: True)), r"test_data\.py:\d+: freeze\(where\(.*because it is Python code"),
        (freeze("d" & ~where(lambda _: True)), r"because it is Python code"),
        (freeze("d", weights=rows([0])), r"cannot be written as data: 'weights' is a word of rules there"),
        (freeze("d", train=rows([0])), r"'train' is a word of rules there"),
    ],
)
def test_what_cannot_be_written_says_why(rule, message):
    with pytest.raises(RuleError, match=message):
        rules_to_data([rule])


WRONG = [
    (
        [{"freze": "a"}],
        0,
        r"a rule says freeze or train, or replace, .*; this one has only 'freze'; close: 'freeze'",
        "freze",
    ),
    ([{"weights": ["a"]}], 0, r"a rule says freeze or train, .*; this one has only 'weights'$", None),
    ([{"freeze": "a", "train": "b"}], 0, r"a rule is either freeze or train: make it two rules", "train"),
    ([{"replace": "a"}], 0, r"replace needs 'with' beside it, as in with: \{Dropout", "replace"),
    ([{"remove": "a", "freeze": "b"}], 0, r"a rule is either freeze or remove: make it two", "remove"),
    (
        [{"remove": "a", "weights": ["b"]}],
        0,
        r"a rule that says remove has no key 'weights'; its keys are remove, keep, any_shape, scope",
        "weights",
    ),
    ([{"replace": "a", "with": 3}], 0, r"a layer is a mapping with at least one key, not 3", "with"),
    (
        [{"replace": "a", "with": {"Dense": {}, "ReLU": {}}}],
        0,
        r"a layer is its class and its settings: layer: \{Dropout",
        "with",
    ),
    (
        [{"replace": "a", "with": "ReLU", "keep": 1}],
        0,
        r"replace keeps settings, as in keep: \[units\]",
        None,
    ),
    ([{"insert_after": "a", "layer": []}], 0, r"layers must be a list with at least one entry", "layer"),
    ([{"rename": "a", "to": 3}], 0, r"'to' is text, not 3", "to"),
    ([{"remove": "a", "any_shape": 1}], 0, r"'any_shape' is true or false, not 1", "any_shape"),
    ([{"duplicate": "a", "times": True}], 0, r"'times' is a number, not True", "times"),
    ([{"duplicate": "a", "times": 0}], 0, r"at least 1", None),
    ([{"remove": "a", "scope": "node"}], 0, r"a scope is 'layer' or 'call'", None),
    ([{"prune": "a", "channels": "mean"}], 0, r"a fraction lies between 0 and 1", None),
    ([{"prune": "a", "channels": 1.5}], 0, r"a fraction lies between 0 and 1", None),
    ([{"configure": "a", "set": {}}], 0, r"say what to set", None),
    ([{"lora": "a", "rank": 0}], 0, r"a rank is a whole number, at least 1", None),
    ([{"change_input": "a", "shape": [4], "channels": "max"}], 0, r"channels is 'mean', 'repeat'", None),
    ([{"freeze": "a"}, {}], 1, r"a rule is a mapping with at least one key, not \{\}", None),
    ([{"freeze": "a"}, "b"], 1, r"a rule is a mapping with at least one key, not 'b'", None),
    (
        [{"freeze": "a", "weigths": ["b"]}],
        0,
        r"'weigths' is no key of a rule; close: 'weights'\. If",
        "weigths",
    ),
    (
        [{"freeze": "a", "kernel": 0.1}],
        0,
        r"write kernel: \{channels: 0\.1, by: magnitude\}, not 0\.1",
        "kernel",
    ),
    (
        [{"freeze": "a", "weights": "b"}],
        0,
        r"'weights' must be a list with at least one entry, not 'b'",
        "weights",
    ),
    (
        [{"freeze": "a", "weights": []}],
        0,
        r"'weights' must be a list with at least one entry, not \[\]",
        "weights",
    ),
    (
        [{"freeze": "a", "weights": [1]}],
        0,
        r"the name of a weight is text, not 1: put it in quotes",
        "weights[0]",
    ),
    ([{"freeze": "a", "weights": ["b", "b"]}], 0, r"freeze\('a', \.\.\.\) names the weight 'b' twice", None),
    ([{"freeze": "a", "weights": ["b"], "b": {"rows": [0]}}], 0, r"names the weight 'b' twice", None),
    ([{"freeze": 12}], 0, r"a selector is a glob or a mapping, not 12: put a path in quotes", "freeze"),
    ([{"freeze": {"iza": "a"}}], 0, r"a selector has no key 'iza'; close: 'isa'", "freeze.iza"),
    (
        [{"train": "a", "k": {"chanels": 1}}],
        0,
        r"a selection has no key 'chanels'; close: 'channels'",
        "k.chanels",
    ),
    (
        [{"train": "a", "k": {"rows": 1, "by": "radnom"}}],
        0,
        r"no criterion 'radnom'; close: 'random'",
        "k.by",
    ),
    (
        [{"train": "a", "k": {"rows": {"form": 1}}}],
        0,
        r"a slice of rows has no key 'form'; close: 'from'",
        "k.rows.form",
    ),
]


@pytest.mark.parametrize("data, index, message, place", WRONG)
def test_wrong_data_says_where_and_what(data, index, message, place):
    where_ = f"rules[{index}]" + (f".{place}" if place else "")
    with pytest.raises(RuleError, match=message) as caught:
        rules_from_data(data)
    assert str(caught.value).startswith(f"{where_}: ")


@pytest.mark.parametrize("data", [{}, None, "freeze", {"rules": []}, 3])
def test_rules_are_a_list(data):
    with pytest.raises(RuleError, match=r"^rules: the rules must be a list with at least one entry, not "):
        rules_from_data(data)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "*", "random", "a**", "["]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "freeze",
                    "train",
                    "weights",
                    "kernel",
                    "isa",
                    "any",
                    "not",
                    "regex",
                    "rows",
                    "elements",
                    "by",
                    "seed",
                    "from",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.lists(JUNK, min_size=1, max_size=2))
def test_no_data_gets_through_as_another_exception(data):
    with contextlib.suppress(RuleError):
        rules_from_data(data)
