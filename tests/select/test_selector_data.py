"""Selectors as JSON data."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given

from surgeon.errors import RuleError
from surgeon.select import isa, name, selector_from_data, where
from tests.select.nodes import AROUND, Dense


@given(AROUND)
def test_data_reads_back_equal(selector):
    data = json.loads(json.dumps(selector.to_data(), sort_keys=True))
    assert selector_from_data(data) == selector


@pytest.mark.parametrize(
    "flags", [0, re.IGNORECASE, re.IGNORECASE | re.DOTALL, re.ASCII | re.VERBOSE | re.MULTILINE]
)
@pytest.mark.parametrize("pattern", [r"block_\d+", r"(?i)a"])
def test_regular_expressions_keep_their_flags(pattern, flags):
    selector = name(re.compile(pattern, flags))
    assert selector_from_data(json.loads(json.dumps(selector.to_data()))) == selector


def test_what_the_data_looks_like():
    selector = isa(Dense) & "block_*" & ~(name(re.compile("a")) | isa("keras.layers.Dense"))
    assert selector.to_data() == {
        "all": [
            {"isa": "Dense"},
            "block_*",
            {"not": {"any": [{"regex": "a"}, {"isa": "keras.layers.Dense"}]}},
        ]
    }


def test_several_keys_must_all_match():
    assert selector_from_data({"isa": "Dense", "name": "block_*", "not": "block_1"}) == (
        isa("Dense") & "block_*" & ~name("block_1")
    )
    assert selector_from_data({"any": ["a"]}) == name("a")


@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: ~one, lambda one: one & "a", lambda one: isa("Dense") | one]
)
def test_predicates_refuse_with_the_reason(wrap):
    with pytest.raises(RuleError, match=r"where\(.*\) cannot be written as data, because it is Python code"):
        wrap(where(lambda _: True)).to_data()


@pytest.mark.parametrize(
    "data, message",
    [
        ({"iza": "Dense"}, r"iza: a selector has no key 'iza'; close: 'isa'; its keys are name, regex"),
        ({"any": ["a", {"isa": "Conv*"}]}, r"^any\[1\]\.isa: 'Conv\*' is not the name of a class"),
        ({"any": "a"}, r"^any: 'any' must be a list with at least one entry, not 'a'"),
        ({"all": []}, r"^all: 'all' must be a list with at least one entry, not \[\]"),
        ({"not": 3}, r"^not: a selector is a glob or a mapping, not 3"),
        ({}, r"^a selector is a mapping with at least one key"),
        ([], r"^a selector is a glob or a mapping, not \[\]"),
        (None, r"^a selector is a glob or a mapping, not nothing"),
        ({"isa": 3}, r"^isa: 'isa' is text, not 3: put it in quotes"),
        ({"isa": ["Dense"]}, r"^isa: 'isa' is text, not \['Dense'\]$"),
        ({3: "a"}, r"the key 3 is not text"),
        ({"regex": "("}, r"^regex: '\(' is not a regular expression: "),
        ({"regex": "a", "flags": "ig"}, r"there is no flag 'g'.*a, i, m, s, x"),
        ({"flags": "i"}, r"^flags: 'flags' belongs to regex"),
        ("a**", r"inside a part"),
        ({"firts": "a"}, r"a selector has no key 'firts'; close: 'first'"),
        ({"first": "a", "count": 0}, r"^first: first\(\.\.\.\) counts from 1, it was given 0"),
        ({"first": "a", "count": "2"}, r"^count: 'count' is a number, not '2'"),
        ({"isa": "Dense", "count": 2}, r"^count: 'count' belongs to first or last"),
        (
            {"first": "a", "last": "a", "count": 2},
            r"'count' could belong to first or to last",
        ),
        ({"nth": "a"}, r"^nth: nth needs 'position' beside it"),
        ({"nth": "a", "position": True}, r"^position: 'position' is a number, not True"),
        ({"every": "a", "step": 0}, r"every\(\.\.\.\) counts from 1"),
        ({"upstream_of": {"iza": "a"}}, r"^upstream_of\.iza: a selector has no key 'iza'"),
        ({"between": ["a"]}, r"^between: between lies what is on a way from one selector to another, not 1"),
        ({"between": "a"}, r"^between: 'between' must be a list"),
        ({"depth": "3"}, r"^depth: 'depth' is a number, not '3'"),
        ({"depth": 3, "from_output": 1}, r"^from_output: 'from_output' is true or false, not 1"),
        ({"ends": False}, r"^ends: ends is true or not there at all, not False"),
        ({"has_weight": "kernel", "shape": ["a"]}, r"^shape\[0\]: a size is a number, not 'a'"),
        ({"inside": 3}, r"^inside: 'inside' is text, not 3"),
        ({"expect": 3}, r"^expect: expect counts what other keys select"),
        ({"isa": "Dense", "expect": "3"}, r"^expect: 'expect' is a number, not '3'"),
        ({"chain": {"a": "b"}}, r"^chain: this is a pattern, which stands at replace or remove only"),
    ],
)
def test_wrong_data_says_where_and_what(data, message):
    with pytest.raises(RuleError, match=message):
        selector_from_data(data)
