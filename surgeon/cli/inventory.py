"""What `surgeon inspect` shows: a model's layers, at every depth, and what trains in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

import surgeon
from surgeon.cli.console import count
from surgeon.diagrams.text import shorten
from surgeon.graph import ModelGraph, Node, Weight

_STYLES = {"trainable": "green", "frozen": "blue", "state": "dim"}
_STATES = tuple(_STYLES)
_UNBOUNDED = 100_000
# Characters that a class and a layer's name may take in a narrow window, and all those between its columns.
_CLASS, _NAME, _BETWEEN = 26, 16, 9
# The least that is left of a name, and that with what is said of it.
_LEAST, _MARKED = 4, 13


@dataclass(frozen=True)
class Inventory:
    """The layers of a model, outermost first.

    Attributes:
        name: The model's name.
        class_name: The model's class.
        nodes: Its layers, those of nested models in their place.
        weights: Its weights, each once.
    """

    name: str
    class_name: str
    nodes: tuple[Node, ...]
    weights: tuple[Weight, ...]

    @classmethod
    def of(cls, model: Any) -> Inventory:
        """Read a live model."""
        graph = surgeon.to_graph(model)
        return cls(graph.name, graph.class_name, tuple(_nodes(graph)), graph.weights)

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON data."""
        return {
            "name": self.name,
            "class": self.class_name,
            "layers": [
                {
                    "path": node.path,
                    "class": node.class_name,
                    "outputs": [list(spec.shape) for spec in node.outputs],
                    "weights": [
                        {
                            "name": weight.path,
                            "shape": list(weight.shape),
                            "dtype": weight.dtype,
                            "role": weight.role,
                            "trainable": weight.trainable,
                            "frozen": weight.frozen,
                        }
                        for weight in node.weights
                    ],
                    **_totals(node.weights),
                }
                for node in self.nodes
            ],
            "totals": _totals(self.weights),
        }

    def table(self, console: Console) -> Table:
        """Return the same as a table: a column for everything, or, where that is too wide, fewer of them."""
        wide = self._wide()
        measured = Measurement.get(console, console.options.update(max_width=_UNBOUNDED), wide)
        return wide if measured.maximum <= console.width else self._narrow(console.width)

    def _wide(self) -> Table:
        table = self._empty("layer", "class", "output", "weights")
        for node in self.nodes:
            table.add_row(node.path, node.class_name, _outputs(node), _weights(node), *_counts(node.weights))
        return table

    def _narrow(self, width: int) -> Table:
        """Return the table without shapes, of weights only those that their layer's counts leave open."""
        table = self._empty("layer", "class")
        table.box, table.caption = SIMPLE_HEAD, "all weights: in a wider window, or with --json"
        table.padding, table.pad_edge, table.show_edge = (0, 1, 0, 0), False, False
        kinds = [[(node.class_name, ""), *_open(node.weights)] for node in self.nodes]
        numbers = [_STATES, _counts(self.weights), *(_counts(node.weights) for node in self.nodes)]
        taken = sum(max(map(len, column)) for column in zip(*numbers, strict=True))
        left = width - taken - _BETWEEN
        names = max((len(node.path) for node in self.nodes), default=0)
        second = min(max((len(name + mark) for lines in kinds for name, mark in lines), default=0), _CLASS)
        second = min(second, max(left - min(names, _NAME), left // 2, _MARKED))
        first = max(left - second, _LEAST)
        for node, lines in zip(self.nodes, kinds, strict=True):
            shown = "\n".join(_fitting(name, mark, second) for name, mark in lines)
            table.add_row(shorten(node.path, first), shown, *_counts(node.weights))
        return table

    def _empty(self, *columns: str) -> Table:
        table = Table(title=f"{self.name} ({self.class_name})", title_justify="left", show_footer=True)
        for number, column in enumerate(columns):
            table.add_column(column, "" if number else "total", overflow="fold")
        for state, total in zip(_STATES, _counts(self.weights), strict=True):
            table.add_column(state, total, justify="right", style=_STYLES[state], no_wrap=True)
        return table


def _nodes(graph: ModelGraph) -> Iterator[Node]:
    for node in graph:
        if node.call_index == 0 and node.inner is not None:
            yield from _nodes(node.inner)
        elif node.call_index == 0:
            yield node


def _totals(weights: Iterable[Weight]) -> dict[str, int]:
    totals = dict.fromkeys(_STATES, 0)
    for weight in weights:
        totals["trainable"] += weight.trainable
        totals["frozen"] += weight.frozen
        totals["state"] += weight.size if weight.role == "state" else 0
    return totals


def _counts(weights: Iterable[Weight]) -> tuple[str, ...]:
    return tuple(map(count, _totals(weights).values()))


def _outputs(node: Node) -> str:
    return "\n".join(_shape(spec.shape) for spec in node.outputs)


def _weights(node: Node) -> str:
    return "\n".join(map(_described, node.weights))


def _shape(shape: tuple[int | None, ...]) -> str:
    return "×".join("?" if size is None else str(size) for size in shape) or "scalar"


def _described(weight: Weight) -> str:
    return f"{weight.path} {_shape(weight.shape)}{_mark(weight)}"


def _open(weights: Iterable[Weight]) -> list[tuple[str, str]]:
    """Return the weights of which the counts of their layer do not say what trains, each with what does."""
    known = tuple(weights)
    mixed = any(weight.trainable for weight in known)
    return [(weight.path, mark) for weight in known if mixed and (mark := _mark(weight))]


def _fitting(name: str, mark: str, room: int) -> str:
    """Return a name and what is said of it in so much room; of the two the name is shortened first."""
    if len(name + mark) > room:
        mark = mark.replace(" trains", "")
    return shorten(name, max(room - len(mark), _LEAST)) + mark


def _mark(weight: Weight) -> str:
    if weight.role == "state":
        return " (still)" if weight.still else ""
    if not weight.size or weight.trainable == weight.size:
        return ""
    return f" ({weight.trainable / weight.size:.1%} trains)" if weight.trainable else " (frozen)"
