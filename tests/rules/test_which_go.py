"""What `prune` takes as the channels that go, and what it says of everything else."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import keras
import numpy as np
import pytest

import surgeon as sg
from surgeon.graph import Node

prune: Any = sg.prune  # what a type checker would refuse is what is tried here
duplicate: Any = sg.duplicate
repeat: Any = sg.repeat

SELECTION = r": this is a selection, which says what of a weight trains"


@pytest.mark.parametrize(
    "given, taken",
    [
        (0.3, 0.3),
        (Fraction(1, 4), 0.25),
        (np.float32(0.5), 0.5),
        (np.array(0.5), 0.5),
        (slice(0, 2), slice(0, 2)),
        ([0, 3], [0, 3]),
        (np.array([1, 2]), [1, 2]),
        (list(np.argsort([3, 1, 2])), [1, 2, 0]),
        (np.array([True, False]), [True, False]),
        (range(2), [0, 1]),
        (keras.ops.convert_to_tensor(0.25), 0.25),
        (keras.ops.convert_to_tensor([0, 3]), [0, 3]),
    ],
)
def test_what_it_takes(given, taken):
    assert prune("a", given).options == {"channels": taken}
    assert prune("a", heads=given).options == {"heads": taken}


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: prune("a", sg.channels([0])),
            r"^prune\('a', channels=channels\(\[0\]\)\)"
            + SELECTION
            + r": write prune\('a', channels=\[0\]\)$",
        ),
        (lambda: prune("a", sg.channels(slice(2, 4))), r"prune\('a', channels=slice\(2, 4\)\)$"),
        (lambda: prune("a", sg.channels([True, False])), r"prune\('a', channels=\[True, False\]\)$"),
        (lambda: prune("a", sg.channels(range(9))), r"write prune\('a', channels=\[\.\.\.\]\)$"),
        (
            lambda: prune("a", sg.channels(0.2, by="magnitude")),
            SELECTION + r": write prune\('a', channels=0\.2\)$",
        ),
        (
            lambda: prune("a", sg.channels(0.2, by="random")),
            r", and those with the smallest kernels go, by no other criterion: write .*, channels=0\.2\)$",
        ),
        (
            lambda: prune("a", sg.channels(4, by="magnitude")),
            r", and a count is not taken: write a fraction, prune\('a', channels=0\.3\)$",
        ),
        (
            lambda: prune(sg.isa("Dense"), heads=sg.channels([1])),
            r"write prune\(isa\('Dense'\), heads=\[1\]\)$",
        ),
        (
            lambda: prune("a", sg.rows([1])),
            r"rows of a weight are no channels of a layer: channels=\[0, 3\]",
        ),
        (
            lambda: prune(sg.channels([0]), "a"),
            r"^prune\(channels\(.*\), 'a'\): the layers come first, .*: write prune\('a', channels=\[0\]\)$",
        ),
        (lambda: prune(0.3, "conv_*"), r"write prune\('conv_\*', channels=0\.3\)$"),
        (lambda: prune([0, 1], heads=sg.isa("Dense")), r"prune\(isa\('Dense'\), heads=\[0, 1\]\)$"),
        (lambda: prune(0.3, Node("d", "d", "m/d", "Dense")), r"write prune\('m/d', channels=0\.3\)$"),
        (
            lambda: prune("a", 3),
            r"channels=3\): a fraction lies between 0 and 1, a list says which ones go",
        ),
        (lambda: prune("a", np.int64(3)), r"a fraction lies between 0 and 1"),
        (lambda: prune("a", 1.5), r"a fraction lies between 0 and 1"),
        (lambda: prune("a", float("nan")), r"a fraction lies between 0 and 1"),
        (lambda: prune("a", "b"), r"channels='b'\): a fraction lies between 0 and 1"),
        (lambda: prune("a", object()), r"a fraction lies between 0 and 1"),
        (lambda: prune("a", {0: 1}), r"a fraction lies between 0 and 1"),
        (lambda: prune("a", b"ab"), r"a fraction lies between 0 and 1"),
        (lambda: prune("a", ["b"]), r"a list holds positions, or true and false for each$"),
        (lambda: prune("a", []), r"a list holds positions"),
        (lambda: prune("a", np.array([[1, 2], [3, 4]])), r"a list holds positions"),
        (lambda: prune("a", [np.array([1, 2])]), r"a list holds positions"),
        (
            lambda: duplicate("a", sg.channels([0])),
            r"times=channels\(.*\)\): a whole number, at least 1$",
        ),
        (lambda: repeat(sg.remove("a"), at_most="3"), r"at_most='3'\): a whole number, at least 1$"),
    ],
)
def test_what_it_does_not_take(make, message):
    with pytest.raises(sg.RuleError, match=message):
        make()


def test_numbers_of_numpy_count():
    assert repeat(sg.remove("a"), at_most=np.int64(3)) == repeat(sg.remove("a"), at_most=3)
    assert str(duplicate("a", np.int64(2))) == str(duplicate("a", 2))
