"""Selectors that look at the graph around a node: depth, upstream, downstream, between."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from surgeon.errors import NoMatchError, RuleError
from surgeon.graph import Node, refs_in
from surgeon.select.selector import And, Not, Or, Selector, as_selector
from surgeon.select.world import Place, World

Target = Selector | Node | str


class Relative(Selector):
    """Base of the selectors that mean something in a graph only."""

    def matches(self, node: Node) -> bool:
        """Refuse: where a node stands is known once the graph is.

        Raises:
            RuleError: Always.
        """
        del node
        raise RuleError(f"{self} depends on the graph: it selects layers of a model, not of a list of nodes")

    def hint(self, nodes: Sequence[Node]) -> str:
        """Say nothing: a resolved selector speaks for it."""
        del nodes
        return ""

    @abstractmethod
    def resolved(self, world: World) -> Selector:
        """Return the selector of the nodes that are meant in this graph."""


class Placed(Relative):
    """Base of those that mean calls by where these stand."""

    def resolved(self, world: World) -> Selector:
        """Return the selector of the nodes that are meant in this graph."""
        places = self.places(world)
        nodes = {id(node) for place, node in world if place in places}
        layers = {id(node.op) for _, node in world if id(node) in nodes and node.op is not None}
        return Among(self, frozenset(nodes), frozenset(layers), world)

    @abstractmethod
    def places(self, world: World) -> set[Place]:
        """Return the calls that are meant."""


@dataclass(frozen=True, repr=False)
class Among(Selector):
    """What became of a relative selector in one graph: exactly these nodes."""

    of: Selector
    nodes: frozenset[int]
    layers: frozenset[int]
    world: World = field(compare=False)  # keeps the nodes, and so their identities, alive

    def matches(self, node: Node) -> bool:
        """Whether it is one of the nodes, or stands for one of their layers."""
        return id(node) in self.nodes or (node.op is not None and id(node.op) in self.layers)

    def to_data(self) -> Any:
        """Return the data of the selector that it stands for."""
        return self.of.to_data()

    def hint(self, nodes: Sequence[Node]) -> str:
        """Say that there is nothing there."""
        del nodes
        return "; there is nothing there in this model"

    def __repr__(self) -> str:
        return repr(self.of)


def found_by(selector: Selector, world: World) -> list[tuple[Place, Node]]:
    """Return the calls that a selector means, which must be some.

    Raises:
        NoMatchError: If there is none; names near misses.
    """
    resolved = selector.resolved(world)
    found = [(place, node) for place, node in world if resolved.matches(node)]
    if not found:
        resolved.find(world.nodes)  # raises, with near misses
        raise NoMatchError(f"no layer matches {selector}")
    return found


@dataclass(frozen=True, repr=False)
class Stream(Placed):
    """What some layers depend on, or what depends on them."""

    word: str
    of: Selector
    up: bool
    nearest: bool

    def places(self, world: World) -> set[Place]:
        """Return the calls up or down the stream of the layers."""
        starts = [place for place, _ in found_by(self.of, world)]
        if self.nearest:
            return {near for start in starts for near in world.neighbours(start, up=self.up)}
        return world.stream(starts, up=self.up)

    def to_data(self) -> dict[str, Any]:
        """Return the word and what it is about: `{"upstream_of": "head"}`."""
        return {self.word: self.of.to_data()}

    def __repr__(self) -> str:
        return f"{self.word}({self.of})"


def upstream_of(target: Target) -> Selector:
    """Select all that a layer depends on, the layer itself not.

    Example:
        >>> upstream_of("head")
        upstream_of('head')
    """
    return Stream("upstream_of", as_selector(target), up=True, nearest=False)


def downstream_of(target: Target) -> Selector:
    """Select all that depends on a layer, the layer itself not.

    Example:
        >>> ~downstream_of("block_3_add")
        ~downstream_of('block_3_add')
    """
    return Stream("downstream_of", as_selector(target), up=False, nearest=False)


def producers_of(target: Target) -> Selector:
    """Select the layers whose outputs a layer reads.

    Example:
        >>> producers_of("add_1")
        producers_of('add_1')
    """
    return Stream("producers_of", as_selector(target), up=True, nearest=True)


def consumers_of(target: Target) -> Selector:
    """Select the layers that read what a layer puts out.

    Example:
        >>> consumers_of("conv_1")
        consumers_of('conv_1')
    """
    return Stream("consumers_of", as_selector(target), up=False, nearest=True)


@dataclass(frozen=True, repr=False)
class Between(Placed):
    """What lies on a way from some layers to others."""

    start: Selector
    end: Selector

    def places(self, world: World) -> set[Place]:
        """Return the calls downstream of the start and upstream of the end."""
        starts, ends = ([p for p, _ in found_by(one, world)] for one in (self.start, self.end))
        return world.stream(starts, up=False) & world.stream(ends, up=True)

    def to_data(self) -> dict[str, Any]:
        """Return `{"between": [start, end]}`."""
        return {"between": [self.start.to_data(), self.end.to_data()]}

    def __repr__(self) -> str:
        return f"between({self.start}, {self.end})"


def between(start: Target, end: Target) -> Selector:
    """Select what lies on a way from one layer to another, without the two.

    Example:
        >>> between("block_1_in", "block_1_out")
        between('block_1_in', 'block_1_out')
    """
    return Between(as_selector(start), as_selector(end))


def positive(word: str, count: int) -> int:
    """Return a number that counts from 1.

    Raises:
        RuleError: If it does not; names the selector.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise RuleError(f"{word}(...) counts from 1, it was given {count!r}")
    return count


@dataclass(frozen=True, repr=False)
class Depth(Placed):
    """Nodes by their distance from the model's inputs or outputs."""

    at_least: int
    at_most: int | None
    from_output: bool

    def places(self, world: World) -> set[Place]:
        """Return the calls at these depths."""
        top = float("inf") if self.at_most is None else self.at_most
        depths = world.depths(from_output=self.from_output)
        return {place for place, depth in depths.items() if self.at_least <= depth <= top}

    def to_data(self) -> dict[str, Any]:
        """Return `{"depth": ...}`, with `at_most` and `from_output` where they were given."""
        most = {} if self.at_most is None else {"at_most": self.at_most}
        return {"depth": self.at_least, **most, **({"from_output": True} if self.from_output else {})}

    def __repr__(self) -> str:
        most = "" if self.at_most is None else f", {self.at_most}"
        return f"depth({self.at_least}{most}{', from_output=True' if self.from_output else ''})"


def depth(at_least: int, at_most: int | None = None, *, from_output: bool = False) -> Selector:
    """Select by how many layers lie before a layer, on the longest way from an input of its model.

    Args:
        at_least: The least depth; an input has depth 0.
        at_most: The greatest depth, itself included; any unless given.
        from_output: Count from the last layer, which has depth 0, instead.

    Example:
        >>> depth(0, 3, from_output=True)
        depth(0, 3, from_output=True)
    """
    return Depth(at_least, at_most, from_output)


@dataclass(frozen=True, repr=False)
class Expect(Relative):
    """A selector that must mean a certain number of layers."""

    of: Selector
    count: int

    def resolved(self, world: World) -> Selector:
        """Return the selector of the layers that are meant, those inside of other layers included.

        Raises:
            RuleError: If they are more or fewer; names some.
        """
        resolved = self.of.resolved(world)
        found = [node for node in (*(call for _, call in world), *world.inside) if resolved.matches(node)]
        paths = list(dict.fromkeys(node.path for node in found))
        if len(paths) != self.count:
            some = ", ".join(paths[:5]) + (", ..." if len(paths) > 5 else "")
            raise RuleError(
                f"{self.of} was expected to match {self.count} layers, and matches {len(paths)}"
                + (f": {some}" if some else "")
            )
        layers = frozenset(id(node.op) for node in found if node.op is not None)
        return Among(self, frozenset(map(id, found)), layers, world)

    def to_data(self) -> dict[str, Any]:
        """Return what is counted, and `expect` beside it."""
        return {"all": [self.of.to_data()], "expect": self.count}

    def __repr__(self) -> str:
        inner = f"({self.of!r})" if isinstance(self.of, And | Or | Not) else repr(self.of)
        return f"{inner}.expect({self.count})"


@dataclass(frozen=True, repr=False)
class Called(Placed):
    """Layers that are called so many times in the model that they are in."""

    times: int

    def places(self, world: World) -> set[Place]:
        """Return the calls of such layers."""
        counts: dict[str, int] = {}
        for _, node in world:
            counts[node.path] = counts.get(node.path, 0) + 1
        return {place for place, node in world if counts[node.path] == self.times}

    def to_data(self) -> dict[str, Any]:
        """Return `{"called": times}`."""
        return {"called": self.times}

    def __repr__(self) -> str:
        return f"called({self.times})"


def called(times: int) -> Selector:
    """Select layers that are called so many times; `~called(1)` are the shared ones.

    Example:
        >>> ~called(1)
        ~called(1)
    """
    return Called(positive("called", times))


@dataclass(frozen=True, repr=False)
class Ends(Placed):
    """The layers whose outputs the model returns."""

    def places(self, world: World) -> set[Place]:
        """Return the calls that make the outputs of the outermost model."""
        return {("", ref.node) for _, ref in refs_in(world.graphs[""].outputs)}

    def to_data(self) -> dict[str, Any]:
        """Return `{"ends": True}`."""
        return {"ends": True}

    def __repr__(self) -> str:
        return "ends()"


def ends() -> Selector:
    """Select the layers whose outputs are outputs of the model.

    Example:
        >>> ends()
        ends()
    """
    return Ends()
