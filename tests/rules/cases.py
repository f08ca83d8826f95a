"""Random rules that can be written as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

import surgeon as sg
from surgeon.rules import StructureRule, TrainabilityRule, freeze, train
from surgeon.rules.adapters import LoraRule
from surgeon.rules.data import RESERVED
from surgeon.rules.described import LayerSpec, LayerSpecs
from surgeon.rules.replacement import Scope
from tests.select.nodes import AROUND, PATTERNS
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


LAYERS = st.builds(
    LayerSpec,
    st.sampled_from(["Dense", "ReLU"]),
    st.dictionaries(st.sampled_from(["units", "name"]), st.integers()),
)
SCOPES: st.SearchStrategy[Scope] = st.sampled_from(("layer", "call"))
CHANNELS: st.SearchStrategy[Any] = st.sampled_from([0.3, [0, 2], [True, False]])


@st.composite
def structure_rules(draw: st.DrawFn) -> StructureRule | LoraRule:
    """A rule that changes the structure, without Python code."""
    selector = draw(AROUND)
    block = draw(st.one_of(AROUND, PATTERNS))
    specs = draw(st.lists(LAYERS, min_size=1, max_size=2))
    number, scope = draw(st.integers(1, 3)), draw(SCOPES)
    keep = tuple(draw(st.lists(st.sampled_from(["units", "rate"]), max_size=2)))
    kept = LayerSpecs(tuple(replace(spec, keep=keep) for spec in specs))
    made = LayerSpecs(tuple(specs))
    rules: list[StructureRule | LoraRule] = [
        sg.replace(block, kept, scope=scope),
        sg.insert_before(selector, made, argument=number, scope=scope),
        sg.insert_after(selector, made, output=number, scope=scope),
        sg.remove(block, keep=number, any_shape=draw(st.booleans()), scope=scope),
        sg.configure(selector, rate=0.5, name="on"),
        sg.rename(selector, draw(st.sampled_from(["a", "no", "1e5"]))),
        sg.rewire(selector, "a/b", argument=number, scope=scope),
        sg.duplicate(selector, times=number),
        sg.share(selector),
        sg.unshare(selector),
        sg.inline(selector),
        sg.change_input((None, number), channels="zero", selector=selector),
        sg.prune(selector, channels=draw(CHANNELS)),
        sg.prune(selector, heads=draw(CHANNELS)),
        sg.lora(selector, rank=number, alpha=draw(st.sampled_from([None, 2.0]))),
    ]
    return draw(st.sampled_from(rules))


@st.composite
def data_rules(draw: st.DrawFn) -> TrainabilityRule:
    """A rule of `freeze` or `train`, without Python code."""
    verb = draw(st.sampled_from([freeze, train]))
    names = draw(st.lists(WEIGHTS, unique=True, max_size=4))
    cut = draw(st.integers(0, len(names)))
    selections = {name: draw(fitting_selections())[0] for name in names[cut:]}
    if verb is freeze and draw(st.booleans()):
        return freeze(draw(AROUND), *names[:cut], stats=True, **selections)
    return verb(draw(AROUND), *names[:cut], **selections)  # type: ignore[operator, no-any-return]
