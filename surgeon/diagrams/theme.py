"""The colours of a picture, and the marks that carry the same meaning without colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surgeon.errors import RenderError, near_misses

State = Literal["frozen", "partial", "trainable", "state", "still", "none"]

GLYPHS: dict[State, str] = {
    "frozen": "■",
    "partial": "◧",
    "trainable": "▲",
    "state": "○",
    "still": "●",
    "none": "·",
}
WORDS: dict[State, str] = {
    "frozen": "frozen",
    "partial": "partly frozen",
    "trainable": "trainable",
    "state": "state only",
    "still": "state, held still",
    "none": "no weights",
}
FONT = "Arimo, Arial, Liberation Sans, Helvetica, sans-serif"


@dataclass(frozen=True)
class Theme:
    """One set of colours, all as `#rrggbb`.

    Blue and orange come from the palette of Okabe and Ito, which people with any of the common
    kinds of colour blindness can tell apart. Trainable areas are hatched besides, so that a
    print in grey still shows which is which.

    Attributes:
        name: What `draw(…, theme=…)` calls it.
        background: Behind everything.
        card: Inside of a card.
        chip: Inside of a card without weights.
        text: Names and figures.
        muted: Everything that is secondary.
        edge: Arrows.
        panel: Inside of a nested model.
        border: Outline of cards and nested models.
        frozen: Frozen parameters.
        trainable: Trainable parameters.
        hatch: The strokes over `trainable`.
        trainable_text: `trainable` with enough contrast for small letters.
        state: Weights that never train by design.
        still: Those of them that hold still, because their layer was frozen.
        changed: What surgery added or removed.
    """

    name: str
    background: str
    card: str
    chip: str
    text: str
    muted: str
    edge: str
    panel: str
    border: str
    frozen: str
    trainable: str
    hatch: str
    trainable_text: str
    state: str
    still: str
    changed: str

    def fill(self, state: State) -> str:
        """Return the colour of an area that shows a state."""
        fills = {"frozen": self.frozen, "trainable": self.trainable, "still": self.still}
        return fills.get(state, self.state)

    def ink(self, state: State) -> str:
        """Return the colour of the small mark for a state."""
        inks = {"frozen": self.frozen, "partial": self.frozen, "trainable": self.trainable_text}
        return inks.get(state, self.muted)


LIGHT = Theme(
    name="light",
    background="#ffffff",
    card="#ffffff",
    chip="#eef2f7",
    text="#0f172a",
    muted="#56637a",
    edge="#64748b",
    panel="#f6f8fb",
    border="#94a3b8",
    frozen="#0072b2",
    trainable="#e69f00",
    hatch="#9a5b00",
    trainable_text="#9a5b00",
    state="#c3cbd6",
    still="#8aaac4",
    changed="#c2186b",
)
DARK = Theme(
    name="dark",
    background="#0d1117",
    card="#161b22",
    chip="#21262d",
    text="#e6edf3",
    muted="#9aa7b8",
    edge="#8494a8",
    panel="#11161e",
    border="#4a5666",
    frozen="#56b4e9",
    trainable="#f0b429",
    hatch="#7a4e00",
    trainable_text="#f0b429",
    state="#3b4656",
    still="#4d7ea3",
    changed="#ff7eb6",
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def theme_named(name: str) -> Theme:
    """Return the theme of this name.

    Raises:
        RenderError: If there is none; names those that there are.
    """
    if name not in THEMES:
        known = ", ".join(map(repr, THEMES))
        raise RenderError(f"no theme {name!r}{near_misses(str(name), THEMES)}; there are {known}")
    return THEMES[name]
