"""What the ready-made schedules are given."""

from __future__ import annotations

import pytest

import surgeon as sg


@pytest.mark.parametrize(
    "make",
    [
        lambda: sg.gradual_unfreezing("head"),
        lambda: sg.layer_sampling("abc", count=1, phases=1),
        lambda: sg.layer_sampling(["a", "b"], count=1, phases=1, always="head"),
    ],
)
def test_a_text_is_no_list_of_layers(make):
    with pytest.raises(sg.RuleError, match=r"the layers are a list, such as \['(head|abc)'\]"):
        make()
