"""What a selector may have to know besides the node: the graph around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from surgeon.graph import ModelGraph, Node

Place = tuple[str, str]
"""Path of a model, and key of a node in it."""


class World:
    """A graph with those nested in it, indexed: who reads whom, how deep, in which order.

    Attributes:
        graphs: The graphs by the path of their model, the outermost first under `""`.
        inside: Nodes of layers inside of other layers, which no graph calls.
    """

    def __init__(self, graph: ModelGraph, sites: Iterable[Node] = ()) -> None:
        """Index a graph.

        Args:
            graph: The outermost graph.
            sites: A node for each layer that a rule may mean, where that is more than the graph's calls.
        """
        self.graphs: dict[str, ModelGraph] = {}
        self._add(graph, "")
        called = {id(node.op) for _, node in self}
        self.inside = tuple(site for site in sites if id(site.op) not in called)

    def _add(self, graph: ModelGraph, path: str) -> None:
        if path in self.graphs:
            return
        self.graphs[path] = graph
        for node in graph:
            if node.inner is not None:
                self._add(node.inner, node.path)

    def __iter__(self) -> Iterator[tuple[Place, Node]]:
        for path, graph in self.graphs.items():
            for node in graph:
                yield (path, node.key), node

    @property
    def nodes(self) -> list[Node]:
        """Every call, those in nested models after the call of their model."""
        return list(_flat(self.graphs[""], set()))

    @cached_property
    def _index(self) -> dict[str, tuple[dict[str, list[str]], dict[str, list[str]]]]:
        index = {}
        for path, graph in self.graphs.items():
            producers = {node.key: list(dict.fromkeys(ref.node for ref in node.inputs)) for node in graph}
            consumers: dict[str, list[str]] = {node.key: [] for node in graph}
            for key, read in producers.items():
                for source in read:
                    consumers[source].append(key)
            index[path] = (producers, consumers)
        return index

    def neighbours(self, place: Place, *, up: bool) -> list[Place]:
        """Return what a call reads (`up`), or who reads it, in the same model."""
        path, key = place
        return [(path, other) for other in self._index[path][0 if up else 1].get(key, ())]

    def stream(self, starts: Iterable[Place], *, up: bool) -> set[Place]:
        """Return all calls that some calls depend on (`up`), or that depend on them; not these themselves.

        A call inside of a nested model also depends on what its model reads, and what reads the
        model depends on it; a nested model takes along what is inside of it.
        """
        seen: set[Place] = set()
        todo = [near for start in starts for near in self._around(start, up=up)]
        while todo:
            place = todo.pop()
            if place not in seen:
                seen.add(place)
                todo += self._around(place, up=up)
        inside = [node for place, node in self if place in seen and node.inner is not None]
        for node in inside:
            seen.update((p, key) for p in self._within(node.path) for key in self.graphs[p].nodes)
        return seen

    def _around(self, place: Place, *, up: bool) -> list[Place]:
        near = self.neighbours(place, up=up)
        if place[0]:
            near += [other for call in self._callers[place[0]] for other in self.neighbours(call, up=up)]
        return near

    @cached_property
    def _callers(self) -> dict[str, list[Place]]:
        """Map the path of each nested model to the calls of it."""
        callers: dict[str, list[Place]] = {}
        for place, node in self:
            if node.inner is not None:
                callers.setdefault(node.path, []).append(place)
        return callers

    def _within(self, path: str) -> list[str]:
        return [p for p in self.graphs if p == path or p.startswith(path + "/")]

    def depths(self, *, from_output: bool) -> dict[Place, int]:
        """Return for each call the most layers between it and an input (or output) of its model."""
        found: dict[Place, int] = {}
        for path, graph in self.graphs.items():
            order = list(graph)
            for node in reversed(order) if from_output else order:
                near = self._index[path][1 if from_output else 0][node.key]
                found[path, node.key] = max((found[path, other] + 1 for other in near), default=0)
        return found


def _flat(graph: ModelGraph, seen: set[int]) -> Iterator[Node]:
    for node in graph:
        yield node
        if node.inner is not None and id(node.inner) not in seen:
            seen.add(id(node.inner))
            yield from _flat(node.inner, seen)
