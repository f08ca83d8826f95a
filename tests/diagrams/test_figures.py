"""Counts, words and sizes."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.diagrams.cards import bar_widths
from surgeon.diagrams.figures import Figures, human, percent
from surgeon.diagrams.text import clean, escape, fit, width
from surgeon.graph import Weight

COUNTS = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"), (999, "999"), (1000, "1K"), (1284, "1.28K"), (55_296, "55.3K"), (142_000, "142K"),
        (999_400, "999K"), (999_600, "1M"), (19_000_000, "19M"), (3 * 10**9, "3B"), (2 * 10**12, "2T"),
    ],
)  # fmt: skip
def test_human_counts(count, text):
    assert human(count) == text


@given(COUNTS)
def test_a_human_count_is_near_the_count(count):
    units = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    text = human(count)
    value = float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text)
    assert value == pytest.approx(count, rel=0.0051)


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_share_is_never_rounded_to_all_or_nothing(part, rest):
    text = percent(part, part + rest)
    assert (text == "0%") == (part == 0)
    assert text != "100%"


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_share_is_the_nearest_and_a_half_goes_up(part, rest):
    text = percent(part, part + rest)
    if text[0] not in "<>":
        assert -1 < 2 * (100 * part / (part + rest) - int(text[:-1])) < 1 + 1e-9


def test_an_eighth():
    assert (percent(1, 8), percent(3, 8), percent(0, 0)) == ("13%", "38%", "0%")


@pytest.mark.parametrize(
    ("weights", "state", "share", "amount"),
    [
        ([], "none", "no weights", "0 params"),
        ([Weight("w", (2, 5))], "frozen", "frozen", "10 params"),
        ([Weight("w", (2, 5), trainable=10)], "trainable", "trainable", "10 params"),
        ([Weight("w", (2, 5), trainable=5)], "partial", "50% frozen", "10 params"),
        ([Weight("w", (10,)), Weight("v", (30,), trainable=30)], "partial", "25% frozen", "40 params"),
        ([Weight("s", (7,), role="state")], "state", "state only", "7 state"),
        ([Weight("w", (10,)), Weight("s", (7,), role="state")], "frozen", "frozen", "10 params + 7 state"),
        ([Weight("w", (0, 3))], "none", "no weights", "0 params"),
    ],
)
def test_the_state_of_some_weights(weights, state, share, amount):
    figures = Figures.of(weights)
    assert (figures.freeze, figures.share, figures.amount) == (state, share, amount)


@given(COUNTS, COUNTS, COUNTS, st.integers(100, 330))
def test_a_bar_is_full_and_shows_every_state_that_there_is(frozen, trainable, state, wide):
    figures = Figures(frozen, trainable, state)
    widths = bar_widths(figures, wide)
    counts = {"frozen": frozen, "trainable": trainable, "state": state}
    assert set(widths) == {key for key, count in counts.items() if count}
    if widths:
        assert sum(widths.values()) == wide
    for key, points in widths.items():
        assert points >= 3
        # Three points at least for each of the others may cost the largest six.
        assert points == pytest.approx(wide * counts[key] / figures.total, abs=7)


@given(st.text(max_size=600), st.integers(20, 300), st.sampled_from((9.0, 12.0)), st.booleans())
def test_a_shortened_text_fits(text, limit, size, bold):
    short = fit(text, limit, size, bold)
    assert width(short, size, bold) <= limit
    if short != text:
        assert "…" in short


def test_a_short_text_stays():
    assert fit("conv2_block1", 200, 12) == "conv2_block1"


@given(st.text(alphabet=st.characters(), max_size=80))
def test_clean_text_is_fit_for_xml(text):
    assert ET.fromstring(f"<a>{escape(text)}</a>").text in (clean(text), None)
