"""Selectors that count: the first, the last, the nth, every second of the layers that match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from surgeon.errors import NoMatchError
from surgeon.select.relative import Placed, Target, found_by, positive
from surgeon.select.selector import Selector, as_selector
from surgeon.select.world import Place, World


@dataclass(frozen=True, repr=False)
class Position(Placed):
    """Some of the layers that a selector means, by their number in the graph's order."""

    word: str
    of: Selector
    start: int | None
    stop: int | None
    step: int | None
    text: str
    beside: tuple[tuple[str, int], ...] = ()

    def places(self, world: World) -> set[Place]:
        """Return the calls of the layers at these positions."""
        found = found_by(self.of, world)
        # What is inside of a nested model comes where the model is called, not after all others.
        paths = {node.path for _, node in found}
        layers = [path for path in dict.fromkeys(node.path for node in world.nodes) if path in paths]
        chosen = set(layers[slice(self.start, self.stop, self.step)])
        if not chosen:
            raise NoMatchError(f"{self}: {self.of} matches only {len(layers)} layers")
        return {place for place, node in found if node.path in chosen}

    def to_data(self) -> dict[str, Any]:
        """Return the word, what it is about and its numbers: `{"first": "conv_*", "count": 2}`."""
        return {self.word: self.of.to_data(), **dict(self.beside)}

    def __repr__(self) -> str:
        return self.text.format(self.of)


def first(target: Target, count: int = 1) -> Selector:
    """Select the first of the layers that match, in the order of the graph.

    Example:
        >>> first("conv_*", 2)
        first('conv_*', 2)
    """
    stop = positive("first", count)
    return Position("first", as_selector(target), 0, stop, None, f"first({{}}{_shown(count)})", _count(count))


def last(target: Target, count: int = 1) -> Selector:
    """Select the last of the layers that match.

    Example:
        >>> last("dense_*")
        last('dense_*')
    """
    start, text = -positive("last", count), f"last({{}}{_shown(count)})"
    return Position("last", as_selector(target), start, None, None, text, _count(count))


def nth(target: Target, position: int) -> Selector:
    """Select one of the layers that match, counted from 0; from the end, if negative.

    Example:
        >>> nth("dense_*", -2)
        nth('dense_*', -2)
    """
    stop = position + 1 if position != -1 else None
    text, beside = f"nth({{}}, {position})", (("position", position),)
    return Position("nth", as_selector(target), position, stop, None, text, beside)


def every(step: int, target: Target, start: int = 0) -> Selector:
    """Select every second, third, ... of the layers that match.

    Example:
        >>> every(2, "conv_*", start=1)
        every(2, 'conv_*', start=1)
    """
    shown = f", start={start}" if start else ""
    beside = (("step", positive("every", step)), *((("start", start),) if start else ()))
    text = f"every({step}, {{}}{shown})"
    return Position("every", as_selector(target), start, None, step, text, beside)


def _shown(count: int) -> str:
    return f", {count}" if count != 1 else ""


def _count(count: int) -> tuple[tuple[str, int], ...]:
    return (("count", count),) if count != 1 else ()
