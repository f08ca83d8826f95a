"""What a picture shows: cards and links, made from a `ModelGraph`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from surgeon.diagrams.figures import Figures
from surgeon.graph import ModelGraph, Node, Weight
from surgeon.graph.node import refs_in

Shape = tuple[int | None, ...]
Kind = Literal["input", "layer", "shared", "block"]


@dataclass(frozen=True)
class Row:
    """One weight on a card.

    Attributes:
        path: Path of the weight from the outermost model; names it in both of two models.
        label: What the card calls it.
        weight: The weight.
        other: The same weight in the model that this one is compared with, or `None`.
    """

    path: str
    label: str
    weight: Weight
    other: Weight | None = None

    def led(self, prefix: str) -> Row:
        """Return the row with a label that begins with `prefix`."""
        return Row(self.path, prefix + self.label, self.weight, self.other)


@dataclass(frozen=True)
class Card:
    """One box: a call, or several calls that were folded into one box.

    Attributes:
        key: Unique in its view.
        name: The name in the title.
        classes: Class names, in the order in which the data passes them.
        members: Keys of the calls that this card stands for.
        kind: `"shared"` is a later call of a layer that is drawn elsewhere.
        rows: The weights, each weight of the model on one card only.
        shape: Shape of the first output, batch dimension included.
        last: The last name of a run of repeats, or `""`.
        repeats: How many equal cards this one stands for.
        parts: The cards inside a block.
        inner: The view of a nested model that is drawn open.
        path: Path of the (first) layer from the outermost model.
        origin: For a shared call: the key of the first call.
        fresh: The members that the compared model does not have.
        was: The class that this layer has in the compared model, if it has another one.
        also: Names of what it reads besides, where an arrow would be too long to follow.
        kinds: What it is made of, where an overview tells it: `"Conv2D ×13, Dense ×3"`.
        ends: Shapes of the model's inputs and outputs on it, likewise: `"224×224×3 → 1000"`.
    """

    key: str
    name: str
    classes: tuple[str, ...]
    members: tuple[str, ...]
    kind: Kind = "layer"
    rows: tuple[Row, ...] = ()
    shape: Shape | None = None
    last: str = ""
    repeats: int = 1
    parts: tuple[Card, ...] = ()
    inner: View | None = None
    path: str = ""
    origin: str = ""
    fresh: tuple[str, ...] = ()
    was: str = ""
    also: tuple[str, ...] = ()
    kinds: str = ""
    ends: str = ""

    @cached_property
    def figures(self) -> Figures:
        """The elements of all weights on this card."""
        return Figures.of(row.weight for row in self.rows)

    @property
    def layers(self) -> int:
        """How many calls it stands for, those inside blocks and closed nested models included."""
        return sum(part.layers for part in self.parts) if self.parts else len(self.members)


@dataclass(frozen=True)
class Link:
    """One arrow: output `port` of a card to input `slot` of another, with the tensor's shape.

    `mask` tells that the tensor only says which steps count.
    """

    source: str
    target: str
    shape: Shape | None = None
    port: int = 0
    slot: int = 0
    mask: bool = False


@dataclass(frozen=True)
class View:
    """The cards of one model.

    Attributes:
        name: Name of the model.
        class_name: Class of the model.
        cards: Producers before consumers.
        links: The arrows.
        inputs: Card of each input, in the model's order.
        outputs: Card and port of each output, in the model's order.
        gives: Shapes of the outputs, in the same order.
    """

    name: str
    class_name: str
    cards: Mapping[str, Card]
    links: tuple[Link, ...]
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]
    gives: tuple[Shape | None, ...] = ()

    @property
    def figures(self) -> Figures:
        """The elements of all weights of the model."""
        return sum((card.figures for card in self.cards.values()), Figures())

    @property
    def size(self) -> int:
        """Number of cards, those of open nested models included."""
        return sum(1 + (card.inner.size if card.inner else 0) for card in self.cards.values())

    @property
    def layers(self) -> int:
        """Number of calls, a nested model as one."""
        return sum(card.layers for card in self.cards.values())

    def predecessors(self) -> dict[str, list[str]]:
        """Return for each card those that it reads from, without duplicates."""
        found: dict[str, dict[str, None]] = {key: {} for key in self.cards}
        for link in self.links:
            found[link.target][link.source] = None
        return {key: list(sources) for key, sources in found.items()}

    def successors(self) -> dict[str, list[str]]:
        """Return for each card those that read from it, without duplicates."""
        found: dict[str, dict[str, None]] = {key: {} for key in self.cards}
        for link in self.links:
            found[link.source][link.target] = None
        return {key: list(targets) for key, targets in found.items()}

    def walk(self) -> Iterator[Card]:
        """Yield every card, those of open nested models included."""
        for card in self.cards.values():
            yield card
            if card.inner:
                yield from card.inner.walk()


def view_of(graph: ModelGraph) -> View:
    """Return one card for each call of the graph, nested models open."""
    links: dict[tuple[str, int, str, int], Link] = {}
    for node in graph:
        for slot, (path, ref) in enumerate(refs_in((node.args, dict(node.kwargs)))):
            end = (ref.node, ref.index, node.key, slot if node.inner else 0)
            mask = "mask" in str(path[1]) if path[0] == 1 else False
            link = Link(end[0], end[2], graph.spec(ref).shape, end[1], end[3], mask)
            # What a call reads both as data and as a mask is data.
            if end not in links or links[end].mask:
                links[end] = link
    return View(
        name=graph.name,
        class_name=graph.class_name,
        cards={node.key: _card_of(node, graph) for node in graph},
        links=tuple(links.values()),
        inputs=tuple(ref.node for _, ref in refs_in(graph.inputs)),
        outputs=tuple((ref.node, ref.index) for _, ref in refs_in(graph.outputs)),
        gives=tuple(graph.spec(ref).shape for _, ref in refs_in(graph.outputs)),
    )


def _card_of(node: Node, graph: ModelGraph) -> Card:
    kind: Kind = "input" if node.is_input else "layer"
    path, origin, inner = node.path or node.name, "", None
    rows: tuple[Row, ...] = ()
    if node.call_index > 0 and (node.weights or node.inner):
        first = next((other.key for other in graph if other.name == node.name), "")
        kind, origin = "shared", first if first != node.key else ""
    elif kind == "layer":
        rows = tuple(Row(f"{path}/{weight.path}", weight.path, weight) for weight in node.weights)
        inner = view_of(node.inner) if node.inner else None
    return Card(
        key=node.key,
        name=node.name,
        classes=(node.class_name,),
        members=(node.key,),
        kind=kind,
        rows=rows,
        shape=node.outputs[0].shape if node.outputs else None,
        inner=inner,
        path=path,
        origin=origin,
    )


def text_of_shape(shape: Shape | None) -> str:
    """Return a shape without its batch dimension: `"224×224×3"`, `"scalar"`, `""` if unknown."""
    if shape is None:
        return ""
    return "×".join("?" if size is None else str(size) for size in shape[1:]) or "scalar"


def text_of_weight(shape: tuple[int, ...]) -> str:
    """Return the shape of a weight, which has no batch dimension."""
    return "×".join(map(str, shape)) or "scalar"
