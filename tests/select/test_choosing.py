"""Selections that make no sense for any weight are refused as they are written."""

from __future__ import annotations

import numpy as np
import pytest

from surgeon.errors import SelectionError
from surgeon.select import along, blocks, channels, elements, fisher, rows


@pytest.mark.parametrize(
    "which, options, message",
    [
        (0.1, {}, r"channels\(0\.1\) does not say which: add by='magnitude' or by='random'$"),
        (3, {}, r"channels\(3\) does not say which: .*, or channels\(\[3\]\) for number 3 alone"),
        (0.0, {"by": "random"}, r"channels\(0\.0\): a fraction is above 0 and at most 1"),
        (1.5, {"by": "random"}, r"channels\(1\.5\): a fraction is above 0 and at most 1$"),
        (8.0, {"by": "random"}, r"at most 1; a count is a whole number: channels\(8, \.\.\.\)"),
        (float("nan"), {"by": "random"}, r"a fraction is above 0"),
        (float("inf"), {"by": "random"}, r"a fraction is above 0"),
        (0, {"by": "random"}, r"channels\(0\): a count is at least 1\. Nothing trains with freeze"),
        (-2, {"by": "random"}, r"a count is at least 1"),
        (
            2,
            {"by": "magnitud"},
            r"channels\(2\): no criterion 'magnitud'; close: 'magnitude'; there are magnitude, random",
        ),
        (2, {"by": 3}, r"no criterion 3; there are"),
        (2, {"by": "magnitude", "seed": 1}, r"seed=1 belongs to by='random', not to by='magnitude'"),
        (2, {"by": "random", "seed": -1}, r"a seed is a whole number from 0 up, not -1"),
        (2, {"by": "random", "seed": True}, r"a seed is a whole number from 0 up, not True"),
        (2, {"by": "random", "seed": 0.5}, r"a seed is a whole number from 0 up, not 0\.5"),
        ("10%", {"by": "magnitude"}, r"a fraction, a count, .* not '10%'"),
        ([0], {"by": "random"}, r"has by='random', but it already says which"),
        ([0], {"seed": 3}, r"has seed=3, but it already says which"),
        (slice(2), {"by": "random"}, r"has by='random', but it already says which"),
        (np.array([True]), {"by": "random"}, r"has by='random', but it already says which"),
        ([], {}, r"of an empty list selects nothing"),
        ([False, False], {}, r"of a mask that is nowhere true selects nothing"),
        ([0.5], {}, r"positions are a flat list of whole numbers, not float64 of shape \(1,\)"),
        ([[0, 1]], {}, r"positions are a flat list of whole numbers, not int64 of shape \(1, 2\)"),
        ([0, True], {}, r"not numbers mixed with True and False"),
        ([[0], [1, 2]], {}, r"this is no regular array"),
        (["a"], {}, r"positions are a flat list of whole numbers"),
        (np.array([2**63], dtype="uint64"), {}, r"9223372036854775808 is no position in any weight"),
        ("0.1", {}, r"takes a fraction, a count, positions, a slice or a boolean mask, not '0\.1'"),
        (True, {}, r"not True"),
        (True, {"by": "random"}, r"takes a fraction, .* or a boolean mask, not True$"),
        (
            None,
            {},
            r"not None: say how many, .*\(0\.1, by=.*\) or .*\(8, by=.*\), or .*, channels\(\[0, 3\]\)$",
        ),
        (None, {"by": "random", "seed": 3}, r"not None: say how many, channels\(0\.1, by='random'\) or"),
        ("150%", {}, r"not '150%'$"),
        ("0", {}, r"not '0'$"),
        ("10%", {}, r"not '10%': write channels\(0\.1, by='magnitude'\)$"),
        ("8", {"by": "random"}, r"not '8': write channels\(8, by='random'\)$"),
        ("random", {}, r"not 'random', which ranks them: say how many, too, channels\(0\.1, by='random'\)$"),
        (
            "head",
            {"by": "random"},
            r"not 'head', which is text\. .*: train\('head', kernel=channels\(0\.1",
        ),
        (fisher(), {}, r"not fisher\(.*\), which ranks them: .*, too, channels\(0\.1, by=fisher\("),
        (
            along(0, [1]),
            {"keep": 0.5},
            r"not along\(0, \[1\]\), which is a selection already: pass it",
        ),
        ({3, 0}, {"by": "random"}, r"not \{0, 3\}: write channels\(\[0, 3\]\)$"),
        ({"a"}, {}, r"boolean mask, not \{'a'\}$"),
        (int, {"by": "random"}, r"boolean mask, not <class 'int'>$"),
        (2j, {}, r"boolean mask, not 2j$"),
        ([0], {"by": np.array([1, 2])}, r"it already says which"),
        ({0: 1}, {}, r"not \{0: 1\}"),
        (slice(0, 2.5), {}, r"a slice has whole numbers, not 2\.5"),
        (slice(True, 2), {}, r"a slice has whole numbers, not True"),
        (slice(0, 4, 0), {}, r"the step of a slice is not 0"),
        (
            np.ones((2, 2), bool),
            {},
            r"one entry for each of the channels, not the shape \(2, 2\): .*elements\(mask\)",
        ),
    ],
)
def test_nonsense_is_refused_at_once(which, options, message):
    with pytest.raises(SelectionError, match=message):
        channels(which, **options)
    if "elements" not in message:
        for make in (rows, elements):
            with pytest.raises(SelectionError, match=message.replace("channels", make.__name__)):
                make(which, **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: along(0, None),  # type: ignore[arg-type]
            r"many, along\(axis, 0\.1, by='magnitude'\) or .*, along\(axis, \[0, 3\]\)",
        ),
        (lambda: blocks("5%", of=4), r"not '5%': write blocks\(0\.05, of=\.\.\., by='magnitude'\)"),
    ],
)
def test_other_arguments_are_not_left_out(make, message):
    with pytest.raises(SelectionError, match=message):
        make()
