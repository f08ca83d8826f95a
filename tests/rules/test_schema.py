"""The JSON Schema for editors agrees with what the reader accepts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from surgeon.errors import RuleError
from surgeon.rules import rule_file_schema, rules_from_data, rules_to_data
from surgeon.rules.schema import RuleFile
from surgeon.select.selection_data import _MAKERS, SELECTION_KEYS
from tests.rules.cases import data_rules, structure_rules
from tests.rules.test_data import JUNK, WRONG


def accepts(rules):
    try:
        RuleFile.model_validate_json(json.dumps({"rules": rules}))
    except ValidationError:
        return False
    return True


@given(st.lists(data_rules() | structure_rules(), min_size=1, max_size=3))
def test_the_schema_accepts_every_rule_that_can_be_written(rules):
    assert accepts(rules_to_data(rules))


@given(st.lists(st.dictionaries(st.sampled_from(["freeze", "kernel", "weights"]), JUNK), min_size=1))
def test_what_the_reader_accepts_the_schema_accepts(data):
    try:
        rules_from_data(data)
    except RuleError:
        return
    assert accepts(data)


# What a schema cannot say: that the values of two keys do not go together.
BEYOND = ("twice",)


@pytest.mark.parametrize(
    "data, index, message, place", [case for case in WRONG if not any(b in case[2] for b in BEYOND)]
)
def test_the_schema_refuses_what_the_reader_refuses(data, index, message, place):
    assert not accepts(data)


def test_the_schema_says_what_is_required_and_what_else_a_rule_may_have():
    schema = rule_file_schema()
    json.dumps(schema)
    assert schema["required"] == ["rules"]
    assert schema["additionalProperties"] is False
    train = schema["$defs"]["TrainForm"]
    assert train["required"] == ["train"]
    assert train["additionalProperties"] == {"$ref": "#/$defs/SelectionForm"}
    selection = schema["$defs"]["SelectionForm"]
    assert set(selection["properties"]) == {*SELECTION_KEYS}
    assert selection["oneOf"] == [{"required": [kind]} for kind in _MAKERS]
