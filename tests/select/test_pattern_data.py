"""Patterns as JSON data."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from surgeon.checkpoint.packing import digest_rules
from surgeon.errors import RuleError
from surgeon.rules import remove
from surgeon.select import any_tensor, chain, either, isa, node, optional, pattern
from surgeon.select.cursor import Cursor
from surgeon.select.pattern_data import read_target, target_to_data
from tests.select.nodes import PATTERNS


def read(data):
    return read_target(Cursor(data))


@given(PATTERNS)
def test_data_reads_back_equal(block):
    assert read(json.loads(json.dumps(target_to_data(block)))) == block


def test_what_the_data_looks_like():
    links = chain(conv=isa("Conv2D"), act=optional("relu_*"))
    assert target_to_data(links) == {"chain": {"conv": {"isa": "Conv2D"}, "act": {"optional": "relu_*"}}}
    x = any_tensor("x")
    add = node("add", isa("Add"), commutative=True)(node("conv", "conv_*")(x), x)
    assert target_to_data(pattern(add)) == {
        "pattern": [
            {
                "node": "add",
                "selector": {"isa": "Add"},
                "reads": [
                    {"node": "conv", "selector": "conv_*", "reads": [{"any_tensor": "x"}]},
                    {"any_tensor": "x"},
                ],
                "commutative": True,
            }
        ]
    }


def test_a_node_that_came_before_is_called_by_its_name():
    stem = node("stem", "stem")
    both = pattern(node("a", "a")(stem), node("b", "b")(stem))
    data = target_to_data(both)
    assert data["pattern"][1] == {"node": "b", "selector": "b", "reads": [{"node": "stem"}]}
    assert read(data) == both


def test_alternatives_that_share_a_name_stay_apart():
    def ends_in(second):
        act = either(node("act", isa("ReLU")), node("act", isa(second)))
        return pattern(node("add", isa("Add"))(act, node("act", isa("ReLU"))))

    for block in (ends_in("Dense"), ends_in("ReLU")):
        assert read(json.loads(json.dumps(target_to_data(block)))) == block
    assert digest_rules([remove(ends_in("Dense"))]) != digest_rules([remove(ends_in("ELU"))])


def test_converters_tell_chains_in_another_order_apart():
    there = digest_rules([remove(chain(a="x", b="y"))])
    assert there != digest_rules([remove(chain(b="y", a="x"))])
    assert there == digest_rules([remove(chain(a="x", b="y"))])


def test_conditions_are_python():
    with pytest.raises(RuleError, match="its pattern has a condition, which is Python code"):
        target_to_data(chain(a="a").where(lambda match: True))


@pytest.mark.parametrize(
    "data, message",
    [
        ({"chain": {}}, r"^chain: a chain is a mapping with at least one key, not \{\}"),
        ({"chain": ["a"]}, r"^chain: a chain is a mapping"),
        ({"chain": {"a": "b"}, "isa": "c"}, r"^isa: a chain has no key 'isa'"),
        ({"chain": {"a-b": "c"}}, r"^chain: 'a-b' cannot be the name of a node"),
        ({"chain": {"a": {"iza": "c"}}}, r"^chain\.a\.iza: a selector has no key 'iza'; close: 'isa'"),
        ({"chain": {"a": {"optional": "c"}}}, r"^chain: chain\(\.\.\.\) needs a node that must be there"),
        ({"chain": {"a": {"optional": "c", "isa": "d"}}}, r"an optional layer has no key 'isa'"),
        ({"pattern": []}, r"^pattern: 'pattern' must be a list with at least one entry"),
        ({"pattern": [{"isa": "Add"}]}, r"^pattern\[0\]: what a pattern is made of says node"),
        ({"pattern": [{"any_tensor": "x"}]}, r"^pattern\[0\]: what a pattern is made of says node"),
        ({"pattern": ["add"]}, r"^pattern\[0\]: what a pattern is made of says node, .*; this is 'add'"),
        ({"pattern": [{"node": "a", "reads": ["b"]}]}, r"^pattern\[0\]\.node: the node 'a' needs a selector"),
        (
            {"pattern": [{"node": "a", "selector": "b", "red": []}]},
            r"^pattern\[0\]\.red: a node of a pattern has no key 'red'; close: 'reads'",
        ),
        (
            {"pattern": [{"node": "a", "selector": "b", "reads": [{"node": "c"}]}]},
            r"^pattern\[0\]\.reads\[0\]: no node before this one is called 'c': it needs a selector",
        ),
        (
            {"pattern": [{"node": "a", "selector": "b", "reads": [{"node": "a", "selector": "c"}]}]},
            r"two nodes of the pattern are called 'a'",
        ),
        ({"pattern": [{"node": "a b", "selector": "b"}]}, r"^pattern\[0\]: 'a b' cannot be the name"),
        (
            {"pattern": [{"node": "a", "selector": "b"}], "exclusive": 1},
            r"'exclusive' is true or",
        ),
    ],
)
def test_wrong_data_says_where_and_what(data, message):
    with pytest.raises(RuleError, match=message):
        read(data)
