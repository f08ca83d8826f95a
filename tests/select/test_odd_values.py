"""Values and options that do not fit a selection."""

from __future__ import annotations

import numpy as np
import pytest

import surgeon as sg
from surgeon.errors import SelectionError
from surgeon.graph.node import Ref, refs_in
from surgeon.rules import rules_from_data
from surgeon.select.criteria import largest


def test_all_are_largest_where_there_are_no_more():
    assert largest(np.array([3.0, 1.0]), 5).tolist() == [0, 1]
    assert largest(np.array([3.0, 1.0]), 2).tolist() == [0, 1]


def test_options_of_data_belong_to_a_criterion_that_looks_at_data():
    data = [{"train": "d", "kernel": {"channels": 0.5, "by": "magnitude", "batches": 3}}]
    with pytest.raises(sg.RuleError, match=r"batches belong to a criterion .* not to by='magnitude'"):
        rules_from_data(data)


@pytest.mark.parametrize("which", [sg.channels([0]), sg.elements([0])], ids=str)
def test_what_says_which_shares_no_budget(which):
    from surgeon.select.pooling import resolve_together

    with pytest.raises(SelectionError, match="says which, so there is nothing to share between weights"):
        resolve_together(which, [])


def test_tensors_are_found_in_mappings_of_any_kind():
    from types import MappingProxyType

    ref = Ref("x")
    assert refs_in(MappingProxyType({"a": [ref]})) == [(("a", 0), ref)]
