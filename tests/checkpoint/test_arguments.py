"""The arguments of `convert` in another order, or of another kind, are told apart before anything is read."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from surgeon.checkpoint import convert
from surgeon.checkpoint.arguments import source_list
from surgeon.errors import CheckpointError
from surgeon.rules import freeze, train

RULE = freeze("*")
RULES = [RULE, train("head")]
LONG = [freeze(f"layer_{number}") for number in range(9)]
MODEL = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    "given, message",
    [
        (
            (RULE, "in", "out"),
            r"^convert\(.*\): sources are .*, not .*: write convert\('in', freeze\('\*'\), 'out'\)$",
        ),
        (
            (RULES, Path("in"), Path("out")),
            r"convert\('in', \[freeze.*, train\('head'\)\], 'out'\)$",
        ),
        (
            (RULES, ["a.keras", "b.keras"], "out"),
            r"convert\(\['a.keras', 'b.keras'\], \[.*\], 'out'\)$",
        ),
        ((LONG, "in", "out"), r"not the rule freeze\('layer_0'\): write convert\('in', rules, 'out'\)$"),
        (
            ("in", "out", RULE),
            r": out is the output folder, not the rule .*: write convert\('in', freeze\('\*'\), 'out'\)$",
        ),
        (("in", "out", RULES), r"not the rules \[.*\]: write convert\('in', \[.*\], 'out'\)$"),
        (
            ("rules.yaml", "in", "out"),
            r"file 'rules.yaml': write convert\('in', 'rules.yaml', 'out'\)$",
        ),
        (
            (RULES, [Path("a.keras"), Path("b")], "out"),
            r"convert\(\['a.keras', 'b'\], \[.*\], 'out'\)$",
        ),
        ((MODEL, RULE, "out"), r"not Sequential .*convert is for files; a model in memory: rewrite\("),
        ((["a.keras", 3], RULE, "out"), r"not int 3: write convert\('folder', freeze\('\*'\), 'out'\)$"),
        ((None, RULE, "out"), r"sources are .*, not NoneType None: write convert\("),
        ((b"in", RULE, "out"), r"sources are .*, not bytes b'in': write"),
        (({"in": 1}, RULE, "out"), r"sources are .*, not dict"),
        (("in", RULE, None), r"out is the output folder, not NoneType None: write"),
        ((RULE, RULES, "out"), r"not the rule freeze\('\*'\): write convert\('folder'"),
    ],
)
def test_it_says_which_is_which(given, message):
    with pytest.raises(CheckpointError, match=message):
        convert(*given)


def test_what_it_takes():
    assert source_list("in", RULE, "out") == ["in"]
    assert source_list(Path("in"), "rules.yaml", Path("out")) == [Path("in")]
    assert source_list((one for one in ("a.keras", "b.h5")), RULES, "out") == ["a.keras", "b.h5"]
    assert source_list("model.weights.json", "rules", "out") == ["model.weights.json"]


def test_a_folder_is_no_rule_file_whatever_its_name(tmp_path):
    folder = tmp_path / "x.json"
    folder.mkdir()
    assert source_list(folder, "rules.txt", "out") == [folder]
