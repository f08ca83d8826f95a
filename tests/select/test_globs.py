"""Globs over paths, against a matcher that is slow and plain."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from surgeon.errors import RuleError
from surgeon.select.globs import glob_matches, letters_off

PARTS = st.text(alphabet="ab1_", min_size=1, max_size=4)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
GLOB_PARTS = st.one_of(
    st.just("**"),
    st.lists(st.sampled_from(["a", "b", "1", "_", "*", "?", "[a-b]", "[!a]", "[]a]"]), min_size=1, max_size=4)
    .map("".join)
    .map(lambda part: part.replace("**", "*a*").replace("**", "*")),
)
GLOBS = st.lists(GLOB_PARTS, min_size=1, max_size=4).map("/".join)


def part_matches(glob: str, text: str) -> bool:
    """Reference: one part, character by character, by backtracking."""
    if not glob:
        return not text
    if glob[0] == "*":
        return part_matches(glob[1:], text) or (bool(text) and part_matches(glob, text[1:]))
    if not text:
        return False
    if glob[0] != "[":
        return glob[0] in ("?", text[0]) and part_matches(glob[1:], text[1:])
    meaning = {"[a-b]": text[0] in "ab", "[!a]": text[0] != "a", "[]a]": text[0] in "]a"}
    bracket = next(one for one in meaning if glob.startswith(one))
    return meaning[bracket] and part_matches(glob[len(bracket) :], text[1:])


def reference(globs: list[str], parts: list[str]) -> bool:
    if not globs:
        return not parts
    if globs[0] == "**":
        return reference(globs[1:], parts) or (bool(parts) and reference(globs, parts[1:]))
    return bool(parts) and part_matches(globs[0], parts[0]) and reference(globs[1:], parts[1:])


@settings(max_examples=300)
@given(GLOBS, PATHS)
@example("**/**/a", "a")
@example("a/**/**", "a")
@example("**/a/**/b/**", "a/b")
def test_globs_agree_with_the_reference(glob, path):
    assert glob_matches(glob, path) == reference(glob.split("/"), path.split("/"))


@settings(max_examples=300)
@given(GLOBS, PATHS)
def test_what_matches_is_no_letter_off(glob, path):
    if glob_matches(glob, path):  # the slash before a `**` at the end counts as a letter
        assert letters_off(glob, path) <= (glob.endswith("/**"))


@pytest.mark.parametrize(
    "glob, path, off",
    [
        ("blok_*", "block_1_conv", 1),
        ("*_cnov", "block_1_conv", 2),
        ("block_[12]", "block_3", 1),
        ("block_?", "block_", 1),
        ("encodr/**/conv", "encoder/a/b/conv", 1),
        ("encoder/*", "encoder/a/b", 1),
    ],
)
def test_letters_that_a_glob_is_off(glob, path, off):
    assert letters_off(glob, path) == off


@given(PATHS)
def test_every_path_matches_itself_and_any_depth(path):
    for glob in (path, "**", f"**/{path}", f"{path}/**", f"**/{path.rsplit('/', 1)[-1]}"):
        assert glob_matches(glob, path), glob
    assert glob_matches("*", path) == ("/" not in path)


@pytest.mark.parametrize(
    "glob, path, expected",
    [
        ("block_[1-9]", "block_7", True),
        ("block_[1-9]", "block_0", False),
        ("block_[!1]", "block_2", True),
        ("block_1?_*", "block_12_conv", True),
        ("block_1?_*", "block_1_conv", False),
        ("Conv", "conv", False),
        ("encoder/*", "encoder/block/conv", False),
        ("encoder/**", "encoder", True),
        ("*[1-9]*", "block_1_conv", True),
        ("a.b", "axb", False),
        ("a[[]0]", "a[0]", True),
        ("a\n", "a", False),
        ("a", "a\n", False),
    ],
)
def test_what_globs_mean(glob, path, expected):
    assert glob_matches(glob, path) is expected


@pytest.mark.parametrize(
    "glob, message",
    [
        ("", r"the glob '' is empty: write the layer's path"),
        ("/a", r"'/a' has an empty part"),
        ("a//b", r"'a//b' has an empty part"),
        ("a/", r"'a/' has an empty part"),
        ("a**", r"'a\*\*' has '\*\*' inside a part.*'\*\*/conv_1'"),
        ("***", r"inside a part"),
        ("a[1", r"'a\[1' has a '\[' that its part never closes: a bracket itself is '\[\[\]'"),
        ("a[x/y]", r"never closes"),
        ("a[]", r"never closes"),
    ],
)
def test_malformed_globs_say_what_to_write(glob, message):
    with pytest.raises(RuleError, match=message):
        glob_matches(glob, "a")


def test_no_glob_takes_long():
    start = time.perf_counter()
    assert not glob_matches("/".join(["**", "*a*a*a*a*b"] * 20), "/".join(["a" * 50] * 60))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("glob", ["block_[1-20]_*", "block_[10-16]", "a/[!1-12]", "[10-2]x"])
def test_a_range_of_numbers_is_refused(glob):
    with pytest.raises(RuleError, match=r"is one character and no range of numbers: .*'1\[0-6\]'"):
        glob_matches(glob, "block_1_conv")
    assert glob_matches("block_1[0-6]_*", "block_12_conv")
    assert glob_matches("x[0-9a-f]", "xb")
