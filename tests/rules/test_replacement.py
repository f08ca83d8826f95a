"""The rule `replace`, and lists of rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from surgeon.errors import RuleError
from surgeon.rules import ReplaceRule, as_rules, freeze, replace, train
from surgeon.select import isa, name
from tests.select.nodes import node


class FakeLayer:
    """Looks like a Keras layer, which can be called as well."""

    name = "new"

    def __call__(self, *_: Any) -> None:
        raise AssertionError("a layer was taken for a function of the node")

    def call(self) -> None:
        """As layers have it."""

    def build(self) -> None:
        """As layers have it."""

    def get_config(self) -> dict[str, Any]:
        return {}


LAYER = FakeLayer()
NODE = node("block_1/dense", "Dense", units=3)


def test_a_layer_is_returned_as_it_is():
    rule = replace("dense", LAYER)
    assert isinstance(rule, ReplaceRule)
    assert rule.selector == name("dense")
    assert rule.make_layer(NODE) is LAYER
    assert str(rule) == "replace('dense', <FakeLayer 'new'>)"
    assert re.fullmatch(r"tests/rules/test_replacement\.py:\d+", rule.origin)


def test_a_function_gets_the_node():
    seen = []

    def make(one):
        seen.append(one)
        return LAYER if one.config["units"] == 3 else None

    rule = replace(isa("Dense"), make)
    assert rule.make_layer(NODE) is LAYER
    assert rule.make_layer(node("d", "Dense", units=4)) is None
    assert seen[0] is NODE
    assert re.fullmatch(r"replace\(isa\('Dense'\), make at tests/rules/test_replacement\.py:\d+\)", str(rule))


def test_a_keras_layer_is_a_layer():
    keras = pytest.importorskip("keras")
    layer = keras.layers.Dense(3, name="d")
    assert replace("d", layer).make_layer(NODE) is layer
    assert replace("d", lambda _: layer).make_layer(NODE) is layer


def test_what_the_function_raises_is_chained_with_rule_and_node():
    rule = replace("**", lambda one: one.config["filters"])
    with pytest.raises(RuleError) as caught:
        rule.make_layer(NODE)
    assert (
        str(caught.value) == f"{rule.origin}: {rule} failed on 'block_1/dense' (Dense): KeyError: 'filters'"
    )
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "made, message",
    [(3, "it returned int 3, not a layer or None"), (FakeLayer, "it returned the class FakeLayer")],
)
def test_a_function_that_returns_something_else_is_refused(made, message):
    with pytest.raises(
        RuleError, match=rf"test_replacement\.py:\d+: .* failed on 'block_1/dense' .*{message}"
    ):
        replace("**", lambda _: made).make_layer(NODE)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: replace("d", FakeLayer),
            r"replace\('d', FakeLayer\): this is a class; write a layer, FakeLayer\(\.\.\.\)",
        ),
        (
            lambda: replace("d", 3),
            r"replace\('d', 3\): pass a layer, or a function of the node that returns one",
        ),
        (lambda: replace("d", None), r"pass a layer, or a function"),
        (lambda: replace(3, LAYER), r"replace\(\.\.\.\): 3 is not a selector"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_say_what_to_write(make, message):
    with pytest.raises(RuleError, match=message):
        make()


def test_lists_of_rules_lie_flat_in_order():
    a, b, c = freeze("a"), train("b"), replace("c", LAYER)
    assert as_rules(a) == (a,)
    assert as_rules([a, [b, (c,)], []]) == as_rules((a, b, c)) == (a, b, c)
    assert as_rules([]) == ()


@pytest.mark.parametrize(
    "value, message",
    [
        ("block_*", r"'block_\*' is not a rule: did you mean freeze\('block_\*'\)\?"),
        (isa("Dense"), r"isa\('Dense'\) is not a rule: did you mean freeze\(isa\('Dense'\)\)\?"),
        ("rules.yaml", r"'rules\.yaml' is not a rule: did you mean load_rules\('rules\.yaml'\)\?"),
        (Path("a/rules.json"), r"did you mean load_rules\('a/rules\.json'\)\?"),
        ({"rules": []}, r"is not a rule: rules are freeze\(\.\.\.\), .*load_rules\(path\) reads a rule file"),
        (
            None,
            r"None is not a rule: write freeze\(\.\.\.\), train\(.* or a list of these",
        ),
        ([freeze("a"), ["b"]], r"'b' is not a rule: did you mean freeze\('b'\)\?"),
        (freeze, r"<function freeze at .*> is not a rule"),
    ],
)
def test_what_is_no_rule_says_what_to_write(value, message):
    with pytest.raises(RuleError, match=message):
        as_rules(value)
