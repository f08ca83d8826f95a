"""What `surgeon inspect` shows: a model's layers, at every depth, and what trains in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table

import surgeon
from surgeon.cli.console import count
from surgeon.graph import ModelGraph, Node, Weight


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

    def table(self) -> Table:
        """Return the same as a table."""
        table = Table(title=f"{self.name} ({self.class_name})", title_justify="left", show_footer=True)
        totals = _totals(self.weights)
        table.add_column("layer", "total", overflow="fold")
        table.add_column("class", overflow="fold")
        table.add_column("output", overflow="fold")
        table.add_column("weights", overflow="fold")
        for state, style in (("trainable", "green"), ("frozen", "blue"), ("state", "dim")):
            table.add_column(state, count(totals[state]), justify="right", style=style, no_wrap=True)
        for node in self.nodes:
            table.add_row(
                node.path,
                node.class_name,
                "\n".join(_shape(spec.shape) for spec in node.outputs),
                "\n".join(_described(weight) for weight in node.weights),
                *(count(number) for number in _totals(node.weights).values()),
            )
        return table


def _nodes(graph: ModelGraph) -> Iterator[Node]:
    for node in graph:
        if node.call_index == 0 and node.inner is not None:
            yield from _nodes(node.inner)
        elif node.call_index == 0:
            yield node


def _totals(weights: Iterable[Weight]) -> dict[str, int]:
    totals = {"trainable": 0, "frozen": 0, "state": 0}
    for weight in weights:
        totals["trainable"] += weight.trainable
        totals["frozen"] += weight.frozen
        totals["state"] += weight.size if weight.role == "state" else 0
    return totals


def _shape(shape: tuple[int | None, ...]) -> str:
    return "×".join("?" if size is None else str(size) for size in shape) or "scalar"


def _described(weight: Weight) -> str:
    text = f"{weight.path} {_shape(weight.shape)}"
    partly = 0 < weight.trainable < weight.size
    return f"{text} ({weight.trainable / weight.size:.1%} trains)" if partly else text
