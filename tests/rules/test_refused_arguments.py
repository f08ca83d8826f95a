"""Arguments of rules that make no sense, in Python and as data, and rules that no file can hold."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

import surgeon as sg
from surgeon.rules import rules_from_data, rules_to_data

BLOCK = sg.chain(a=sg.isa("Dense"), b=sg.isa("ReLU"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sg.freeze("d", stats=cast(Any, "yes")),
            r"stats is True or False, not 'yes'",
        ),
        (lambda: sg.prune(BLOCK, channels=0.5), r"prune\(\.\.\.\) takes a selector, not a pattern"),
        (lambda: sg.lora(cast(Any, BLOCK), rank=2), r"lora\(\.\.\.\) takes a selector, not a pattern"),
        (lambda: sg.filled(3, dict, []), r"filled\(\.\.\.\) takes a layer, not 3"),
        (lambda: sg.channels(0.5, by=cast(Any, sg.fisher)), r"write by=fisher\(data\)"),
        (lambda: sg.freeze("d", stat=cast(Any, True)), r"stat=True is not a selection; close: 'stats'"),
        (lambda: sg.freeze("d", cast(Any, True)), r"name the weights that are meant. freeze\('d'\) alone"),
        (lambda: sg.freeze(cast(Any, ["a", "b"])), r"as in name\('a'\) \| 'b'"),
        (lambda: sg.freeze(cast(Any, ["c1", "c2", "d"])), r"as in name\('c1'\) \| 'c2' \| 'd'"),
        (lambda: sg.isa(cast(Any, ["Conv2D", dict])), r"write isa\('Conv2D'\) \| isa\(dict\)"),
        (lambda: sg.elements(np.eye(3)), r"A mask is boolean: mask.astype\(bool\)"),
    ],
)
def test_arguments(make, message):
    with pytest.raises(sg.SurgeonError, match=message):
        make()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"freeze": "d", "stats": 3}], r"'stats' is true or false, and belongs to freeze"),
        ([{"train": "d", "stats": True}], r"'stats' is true or false, and belongs to freeze"),
        (
            [
                {
                    "insert_after": "d",
                    "layer": {"Dense": {"units": 3, "kernel_regularizer": [{"class_name": "Lambda"}]}},
                }
            ],
            r"settings of Keras's own, not 'Lambda'",
        ),
        (
            [
                {
                    "insert_after": "d",
                    "layer": {"Dense": {"units": 3, "kernel_regularizer": {"a": {"module": "os"}}}},
                }
            ],
            r"settings of Keras's own, not 'os'",
        ),
    ],
    ids=["no truth value", "with train", "in a list", "in a table"],
)
def test_data(data, message):
    with pytest.raises(sg.RuleError, match=message):
        rules_from_data(data)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (sg.prune("d", channels=slice(2)), r"cannot be written as data, because .*no word for a slice of"),
        (sg.repeat(sg.remove("d")), r"cannot be written as data: keep it in a script"),
    ],
    ids=["slice", "repeat"],
)
def test_what_no_file_can_hold(rule, message):
    with pytest.raises(sg.RuleError, match=message):
        rules_to_data([rule])


def test_settings_in_lists_come_through():
    data = [{"insert_after": "d", "layer": {"Rescaling": {"scale": [1.0, 2.0], "offset": 0.0}}}]
    assert rules_to_data(rules_from_data(data)) == data
