"""Views as DOT, built with pydot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydot

from surgeon.diagrams.arrows import told_in_words
from surgeon.diagrams.cards import Note, chip, edge_label, header, layer_card, legend
from surgeon.diagrams.figures import plural
from surgeon.diagrams.outline import sentence
from surgeon.diagrams.theme import State, Theme
from surgeon.diagrams.view import Card, Link, View, text_of_shape

_LARGE = 150  # cards or arrows from which Graphviz gets the cheap options
# Measured on 1000 nodes with random skips: 57 s without these, 6 s with them.
_CHEAP = {"nslimit": "1", "nslimit1": "1", "mclimit": "0.2", "splines": "line"}
_NO_SHAPES = 400  # arrows from which they have no labels: each label doubles the work of its arrow
_NO_NOTE = Note()


@dataclass(frozen=True)
class Panel:
    """One model in a picture.

    Attributes:
        view: Its cards.
        title: The heading; none where it is empty.
        notes: What surgery did, by card key with those of the nested models before it.
        boxed: Whether a box is drawn around it.
    """

    view: View
    title: str = ""
    notes: Mapping[str, Note] = field(default_factory=dict)
    boxed: bool = False


@dataclass(frozen=True)
class Source:
    """DOT text, and for each of its ids what a reader should see when pointing at it.

    `members` tells for each id the calls that it stands for, by key led by those of the nested
    models around them.
    """

    text: str
    tips: tuple[tuple[str, str], ...]
    members: tuple[tuple[str, tuple[str, ...]], ...]


class _Writer:
    """Collects one graph. Ids are counted: the same views give the same text."""

    def __init__(self, theme: Theme, rows: bool, shapes: bool) -> None:
        self.theme, self.rows, self.shapes = theme, rows, shapes
        self.tips: dict[str, str] = {}
        self.members: dict[str, tuple[str, ...]] = {}
        self.clusters = 0

    def node_id(self, card: Card, prefix: str) -> str:
        name = f"n{len(self.tips)}"
        self.tips[name] = sentence(card)
        self.members[name] = tuple(prefix + member for member in card.members)
        return name

    def cluster(self, **attributes: Any) -> pydot.Subgraph:
        self.clusters += 1
        name = f"c{self.clusters}"
        return pydot.Subgraph(f"cluster_{name}", id=name, fontcolor=_quoted(self.theme.text), **attributes)


def write(panels: Sequence[Panel], theme: Theme, rows: bool, *, explained: bool = True) -> Source:
    """Return the DOT text of one or more models side by side.

    Args:
        panels: The models, from left to right.
        theme: The colours.
        rows: Whether each weight has a row of its own.
        explained: Whether there is a legend below.
    """
    cards = [card for panel in panels for card in panel.view.walk()]
    links = sum(map(_count_links, panels))
    large = len(cards) > _LARGE or links > 2 * _LARGE
    partly = any(row.weight.trainable and row.weight.frozen for card in cards for row in card.rows) or any(
        card.figures.freeze == "partial" for card in cards
    )
    still = any(card.figures.still for card in cards)
    changed = any(note.framed for panel in panels for note in panel.notes.values())
    graph = pydot.Dot(
        "surgeon",
        graph_type="digraph",
        charset=_quoted("UTF-8"),
        bgcolor=_quoted(theme.background),
        rankdir="TB",
        pad="0.25",
        nodesep="0.28",
        ranksep="0.3",
        fontname="Arial",
        labelloc="b",
        labeljust="l",
        **({"label": legend(theme, partly=partly, still=still, changed=changed)} if explained else {}),
        **(_CHEAP if large else {}),
    )
    graph.set_node_defaults(shape="plain", fontname="Arial", fontsize="10")
    graph.set_edge_defaults(
        fontname="Arial", fontsize="9", color=_quoted(theme.edge), arrowsize="0.55", penwidth="1.1"
    )
    writer = _Writer(theme, rows, shapes=links < _NO_SHAPES)
    for panel in panels:
        _add_panel(graph, panel, writer)
    return Source(graph.to_string(), tuple(writer.tips.items()), tuple(writer.members.items()))


def _class(state: State) -> dict[str, Any]:
    return {"class": state}  # a keyword of Python


def _quoted(text: str) -> str:
    return f'"{text}"'


def _count_links(panel: Panel) -> int:
    return len(panel.view.links) + sum(len(card.inner.links) for card in panel.view.walk() if card.inner)


def _add_panel(graph: pydot.Dot, panel: Panel, writer: _Writer) -> None:
    theme, view = writer.theme, panel.view
    target: pydot.Graph = graph
    if panel.title or panel.boxed:
        look = {"peripheries": "0"} if not panel.boxed else _box(theme)
        target = writer.cluster(**look, margin="14", labelloc="t", labeljust="l")
        below = f"{view.class_name}, {plural(view.layers, 'layer')}, {view.figures.summary}"
        target.set("label", header(panel.title, below, view.figures, theme, 16))
        graph.add_subgraph(target)
    if not view.cards:
        view = View("", "", {"": Card("", "", ("no layers",), ())}, (), (), ())
    _add_view(target, view, panel.notes, writer, "")


def _box(theme: Theme) -> dict[str, str]:
    return {
        "style": _quoted("rounded,filled"),
        "fillcolor": _quoted(theme.panel),
        "color": _quoted(theme.border),
        "penwidth": "1.2",
        "peripheries": "1",
    }


@dataclass(frozen=True)
class _Ends:
    """The ids at which arrows begin and end, for each card of one view."""

    entries: Mapping[str, Sequence[str]]
    exits: Mapping[str, Sequence[str]]

    def of(self, link: Link) -> tuple[str, str]:
        exits, entries = self.exits[link.source], self.entries[link.target]
        return exits[min(link.port, len(exits) - 1)], entries[min(link.slot, len(entries) - 1)]


def _add_view(
    graph: pydot.Graph,
    view: View,
    notes: Mapping[str, Note],
    writer: _Writer,
    prefix: str,
    heading: str = "",
) -> _Ends:
    """Add cards and arrows; return the ids at which the view's cards are entered and left.

    A nested model's only input is drawn as the model's heading, so that no arrow has to cross it.
    """
    view = told_in_words(view)
    entries: dict[str, Sequence[str]] = {}
    exits: dict[str, Sequence[str]] = {}
    several = len(view.inputs) > 1
    for key, card in view.cards.items():
        note = notes.get(prefix + key, _NO_NOTE)
        if card.inner and card.inner.cards:
            ends = _add_nested(graph, card, card.inner, note, notes, writer, prefix + key + "/")
            entries[key] = [ends.entries[name][0] for name in card.inner.inputs or list(ends.entries)[:1]]
            outputs = card.inner.outputs or [(list(ends.exits)[-1], 0)]
            exits[key] = [_exit(ends, name, port) for name, port in outputs]
            continue
        name = writer.node_id(card, prefix)
        state = card.figures.freeze
        if heading and card.kind == "input" and not several:
            label = heading
        elif card.rows:
            label = layer_card(card, writer.theme, writer.rows, note)
        else:
            label = chip(card, writer.theme, note, several)
        graph.add_node(pydot.Node(name, id=name, label=label, **_class(state)))
        entries[key] = exits[key] = [name]
    ends = _Ends(entries, exits)
    masks: set[str] = set()
    for link in view.links:
        # One of the dotted arrows from a mask says what they are.
        silent = link.mask and link.source in masks
        masks |= {link.source} if link.mask else set()
        graph.add_edge(_edge(link, ends, view, writer, nested=bool(heading), silent=silent))
    for edge in _sharing(view, ends, writer.theme):
        graph.add_edge(edge)
    return ends


def _exit(ends: _Ends, name: str, port: int) -> str:
    exits = ends.exits[name]
    return exits[min(port, len(exits) - 1)]


def _add_nested(
    graph: pydot.Graph,
    card: Card,
    inner: View,
    note: Note,
    notes: Mapping[str, Note],
    writer: _Writer,
    prefix: str,
) -> _Ends:
    theme = writer.theme
    box = _box(theme)
    if note.framed:
        box |= {"color": _quoted(theme.changed), "penwidth": "3"}
    cluster = writer.cluster(**box, margin="12", label=_quoted(""))
    figures = card.figures
    below = f"nested {card.classes[0]}, {plural(inner.layers, 'layer')}, {figures.amount}, {figures.share}"
    heading = header(card.name, below, figures, theme, 14, note.text)
    graph.add_subgraph(cluster)
    ends = _add_view(cluster, inner, notes, writer, prefix, heading)
    if len(inner.inputs) != 1:
        name = writer.node_id(card, prefix[: -len(card.key) - 1])
        cluster.add_node(pydot.Node(name, id=name, label=heading))
        for entry in inner.inputs or list(inner.cards)[:1]:
            cluster.add_edge(pydot.Edge(name, ends.entries[entry][0], style="invis"))
    return ends


def _edge(link: Link, ends: _Ends, view: View, writer: _Writer, *, nested: bool, silent: bool) -> pydot.Edge:
    source, target = ends.of(link)
    edge = pydot.Edge(source, target)
    # An input says its shape itself, unless it is drawn as a heading.
    says_shape = view.cards[link.source].kind == "input" and not (nested and len(view.inputs) == 1)
    shape = text_of_shape(link.shape) if not says_shape else ""
    if link.mask:
        edge.set("style", "dotted")
        shape = "mask"
    if writer.shapes and shape and not silent:
        edge.set("label", edge_label(shape, writer.theme))
    return edge


def _sharing(view: View, ends: _Ends, theme: Theme) -> Iterator[pydot.Edge]:
    """Yield a dotted line between the first call of a layer and each later one."""
    home = {member: key for key, card in view.cards.items() for member in card.members}
    for key, card in view.cards.items():
        origin = home.get(card.origin)
        if card.kind == "shared" and origin and origin != key:
            yield pydot.Edge(
                ends.exits[origin][0],
                ends.entries[key][0],
                style="dashed",
                dir="none",
                constraint="false",
                color=_quoted(theme.border),
                penwidth="0.9",
            )
