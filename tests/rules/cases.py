"""Random rules that can be written as data."""

from __future__ import annotations

from hypothesis import strategies as st

from surgeon.rules import TrainabilityRule, freeze, train
from surgeon.rules.data import RESERVED
from tests.select.nodes import SELECTORS
from tests.select.test_selections import fitting_selections

# Words that YAML 1.1 takes for booleans, numbers, dates or structure, beside the usual names.
ODD = [
    "on",
    "no",
    "null",
    "~",
    "010",
    "1e5",
    "1e-1",
    ".5",
    "2024-01-01",
    "0x1f",
    "1_000",
    "- a",
    "a: b",
    "#a",
    "=",
    "<<",
]
WEIGHTS = (
    st.sampled_from(["kernel", "bias", "cell/kernel", "gamma:1", *ODD])
    | st.text(st.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0xD7FF), min_size=1, max_size=6)
).filter(lambda weight: weight not in RESERVED)


@st.composite
def data_rules(draw: st.DrawFn) -> TrainabilityRule:
    """A rule of `freeze` or `train`, without Python code."""
    verb = draw(st.sampled_from([freeze, train]))
    names = draw(st.lists(WEIGHTS, unique=True, max_size=4))
    cut = draw(st.integers(0, len(names)))
    selections = {name: draw(fitting_selections())[0] for name in names[cut:]}
    if verb is freeze and draw(st.booleans()):
        return freeze(draw(SELECTORS), *names[:cut], stats=True, **selections)
    return verb(draw(SELECTORS), *names[:cut], **selections)  # type: ignore[operator, no-any-return]
