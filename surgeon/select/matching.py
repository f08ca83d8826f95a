"""Finding a pattern: from each node that may be its end, backwards along what is read.

Every tensor has one producer, so there is nothing to search: a match is followed, not sought, and
the time is linear in the number of nodes. Only the order of commutative inputs is tried out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

from surgeon.errors import NoMatchError, RuleError
from surgeon.graph import ModelGraph, Node, Ref, refs_in
from surgeon.select.code import code_place
from surgeon.select.pattern import AnyTensor, Either, Match, Operand, Pattern, PatternNode
from surgeon.select.world import World

Bound = dict[str, "Node | Ref | None"]


@dataclass(frozen=True)
class Miss:
    """Why the pattern does not end at a node at which it could: which part failed, and where."""

    end: str
    part: str
    reason: str

    def __str__(self) -> str:
        return f"{self.end}: {self.part}: {self.reason}"


@dataclass(frozen=True)
class Matches:
    """Where a pattern was found, and where it was not.

    Attributes:
        pattern: The pattern.
        found: The matches, in the order of the graph.
        misses: For each node that could be the pattern's end and is not, why.
    """

    pattern: Pattern
    found: tuple[Match, ...] = ()
    misses: tuple[Miss, ...] = ()

    def __iter__(self) -> Iterator[Match]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, position: int) -> Match:
        return self.found[position]

    def expect(self, count: int) -> Matches:
        """Return this if there are so many matches.

        Raises:
            RuleError: If there are more or fewer; names the misses.
        """
        if len(self.found) != count:
            raise RuleError(f"expected {count} matches of {self.pattern}, found {len(self.found)}\n{self}")
        return self

    def required(self) -> Matches:
        """Return this if there is a match at all.

        Raises:
            NoMatchError: If there is none; says which part failed most often.
        """
        if self.found:
            return self
        counts = Counter((miss.part, miss.reason.partition(", found")[0]) for miss in self.misses)
        often = "; ".join(f"{count} x {part}: {reason}" for (part, reason), count in counts.most_common(3))
        raise NoMatchError(f"the pattern {self.pattern} is nowhere" + (f"; {often}" if often else ""))

    def __str__(self) -> str:
        lines = [f"{len(self.found)} matches of {self.pattern}", *(f"  {match}" for match in self.found)]
        return "\n".join([*lines, *(f"  not at {miss}" for miss in self.misses)])


def find_matches(pattern: Pattern, graph: ModelGraph) -> Matches:
    """Return where a graph, and the graphs nested in it, hold a pattern."""
    world = World(graph)
    pattern = _resolved(pattern, world)
    found: list[Match] = []
    misses: list[Miss] = []
    for path, each in world.graphs.items():
        finder = _Finder(pattern, each, path)
        finder.run()
        found += finder.found
        misses += finder.misses
    return Matches(pattern, tuple(found), tuple(misses))


def _resolved(pattern: Pattern, world: World) -> Pattern:
    return replace(pattern, outputs=tuple(_resolved_node(one, world) for one in pattern.outputs))


def _resolved_node(part: PatternNode, world: World) -> PatternNode:
    reads = None if part.reads is None else tuple(_resolved_operand(one, world) for one in part.reads)
    return replace(part, selector=part.selector.resolved(world), reads=reads)


def _resolved_operand(operand: Operand, world: World) -> Operand:
    if isinstance(operand, Either):
        return Either(tuple(_resolved_operand(one, world) for one in operand.alternatives))
    return operand if isinstance(operand, AnyTensor) else _resolved_node(operand, world)


@dataclass
class _Finder:
    pattern: Pattern
    graph: ModelGraph
    path: str
    found: list[Match] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)

    def run(self) -> None:
        self.readers: dict[Ref, list[str]] = {}
        for node in self.graph:
            for ref in _given(node):
                self.readers.setdefault(ref, []).append(node.key)
        for _, ref in refs_in(self.graph.outputs):
            self.readers.setdefault(ref, []).append("")
        self.taken: dict[str, str] = {}
        self.known: dict[tuple[str, str], bool] = {}
        end = self.pattern.outputs[0]
        done: set[str] = set()
        for variant in _without_optional_end(end):
            for node in self.graph:
                if node.key not in done and self._may_be(variant, node) and self._try(variant, node):
                    done.add(node.key)
        matched = set(self.taken)
        self.misses = [miss for miss in self.misses if miss.end not in matched]
        order = {node.key: number for number, node in enumerate(self.graph)}
        self.found.sort(key=lambda match: order[match.outputs[0].node])

    def _try(self, end: PatternNode, node: Node) -> bool:
        self.furthest: tuple[int, str, str] = (-1, "", "")
        for bound in self._node(end, node, {}, 0):
            for whole in self._further_outputs(bound, 1):
                match = self._match(whole, end)
                problem = self._problem(match, end)
                if problem is None:
                    self.taken |= {each.key: node.path for each in match}
                    self.found.append(match)
                    return True
                self._fail(99, *problem)
        self.misses.append(Miss(node.key, self.furthest[1], self.furthest[2]))
        return False

    def _further_outputs(self, bound: Bound, number: int) -> Iterator[Bound]:
        """Bind the outputs after the first: each reads something that is bound already."""
        if number == len(self.pattern.outputs):
            yield bound
            return
        output = self.pattern.outputs[number]
        if output.name in bound:
            yield from self._further_outputs(bound, number + 1)
            return
        near = [r for ref in self._bound_tensors(bound) for r in self.readers.get(ref, ()) if r]
        for key in dict.fromkeys(near):
            if self._may_be(output, self.graph[key]):
                for more in self._node(output, self.graph[key], bound, 0):
                    yield from self._further_outputs(more, number + 1)
        self._fail(98, output.name, f"nothing that fits {output.selector} reads the block")

    def _bound_tensors(self, bound: Bound) -> list[Ref]:
        tensors = [value for value in bound.values() if isinstance(value, Ref)]
        nodes = [value for value in bound.values() if isinstance(value, Node)]
        return tensors + [Ref(node.key, index) for node in nodes for index in range(len(node.outputs))]

    def _may_be(self, part: PatternNode, node: Node) -> bool:
        known = (part.name, node.key)
        if known not in self.known:
            self.known[known] = part.selector.matches(node)
        return self.known[known]

    def _fail(self, depth: int, part: str, reason: str) -> None:
        if depth >= self.furthest[0]:
            self.furthest = (depth, part, reason)

    def _operand(self, operand: Operand, ref: Ref, bound: Bound, depth: int) -> Iterator[Bound]:
        if isinstance(operand, Either):
            for one in operand.alternatives:
                yield from self._operand(one, ref, bound, depth)
        elif isinstance(operand, AnyTensor):
            if not operand.name or bound.get(operand.name, ref) == ref:
                yield {**bound, operand.name: ref} if operand.name else bound
            else:
                first, other = (_tensor_text(one) for one in (bound[operand.name], ref))
                self._fail(depth, operand.name, f"wanted {first} again, found {other}")
        else:
            yield from self._producer(operand, ref, bound, depth)

    def _producer(self, part: PatternNode, ref: Ref, bound: Bound, depth: int) -> Iterator[Bound]:
        node = self.graph[ref.node]
        if part.name in bound:
            if bound[part.name] is node:
                yield bound
            return
        if self._may_be(part, node):
            yield from self._node(part, node, bound, depth)
        else:
            self._fail(depth, part.name, f"wanted {part.selector}, found {node.class_name} {node.path!r}")
        if part.is_optional:
            yield from self._skipped(part, ref, bound, depth)

    def _skipped(self, part: PatternNode, ref: Ref, bound: Bound, depth: int) -> Iterator[Bound]:
        without: Bound = {**bound, part.name: None}
        if part.reads is None:
            yield without
        elif len(part.reads) == 1:
            yield from self._operand(part.reads[0], ref, without, depth)

    def _node(self, part: PatternNode, node: Node, bound: Bound, depth: int) -> Iterator[Bound]:
        with_it: Bound = {**bound, part.name: node}
        if part.reads is None:
            yield with_it
            return
        given = _given(node)
        if len(given) != len(part.reads):
            reason = f"{node.path!r} reads {len(given)} tensors, wanted {len(part.reads)}"
            self._fail(depth, part.name, reason)
            return
        orders = permutations(part.reads) if part.commutative else [part.reads]
        for order in orders:
            yield from self._all(list(zip(order, given, strict=True)), with_it, depth + 1)

    def _all(self, pairs: Sequence[tuple[Operand, Ref]], bound: Bound, depth: int) -> Iterator[Bound]:
        if not pairs:
            yield bound
            return
        (operand, ref), rest = pairs[0], pairs[1:]
        for more in self._operand(operand, ref, bound, depth):
            yield from self._all(rest, more, depth)

    def _match(self, bound: Bound, end: PatternNode) -> Match:
        nodes = {p.name: bound.get(p.name) for p in self.pattern.nodes}
        of_graph = {name: value for name, value in nodes.items() if not isinstance(value, Ref)}
        keys = {node.key for node in of_graph.values() if node is not None}
        inside = [node for node in of_graph.values() if node is not None]
        reads = dict.fromkeys(ref for node in inside for ref in _given(node) if ref.node not in keys)
        ends = [end, *self.pattern.outputs[1:]]
        outputs = tuple(Ref(node.key) for one in ends if isinstance(node := bound.get(one.name), Node))
        tensors = {name: value for name, value in bound.items() if isinstance(value, Ref)}
        return Match(of_graph, tensors, self.path, tuple(reads), outputs)

    def _problem(self, match: Match, end: PatternNode) -> tuple[str, str] | None:
        """Return which part of a match spoils it, and why."""
        keys = {node.key for node in match}
        open_ends = {ref.node for ref in match.outputs}
        for name, node in match.nodes.items():
            if node is None:
                continue
            if node.key in self.taken:
                return name, f"{node.path!r} is part of the match at {self.taken[node.key]!r}"
            if node.key in open_ends or not self.pattern.exclusive:
                continue
            outside = self._outside_reader(node, keys)
            if outside is not None:
                return name, f"{node.path!r} is also read by {outside}"
        for condition in self.pattern.conditions:
            if not _holds(condition, match):
                return end.name, f"the condition {code_place(condition)} does not hold"
        return None

    def _outside_reader(self, node: Node, keys: set[str]) -> str | None:
        for index in range(len(node.outputs)):
            for reader in self.readers.get(Ref(node.key, index), ()):
                if reader not in keys:
                    return repr(self.graph[reader].path) if reader else "the model's output"
        return None


def _holds(condition: Callable[[Match], object], match: Match) -> bool:
    try:
        return bool(condition(match))
    except Exception as error:
        raise RuleError(
            f"the condition {code_place(condition)} failed on {match}: {type(error).__name__}: {error}"
        ) from error


def _without_optional_end(end: PatternNode) -> Iterator[PatternNode]:
    """Yield the node that a pattern ends in, and those that it ends in if optional ones are missing."""
    yield end
    while end.is_optional and end.reads and isinstance(end.reads[0], PatternNode):
        end = end.reads[0]
        yield end


def _tensor_text(value: Node | Ref | None) -> str:
    return f"output {value.index} of {value.node!r}" if isinstance(value, Ref) else "another node"


def _given(node: Node) -> list[Ref]:
    """Return what a call was given, in order; not the masks that Keras filled in."""
    kwargs = {name: value for name, value in node.kwargs.items() if name not in node.implicit_masks}
    return [ref for _, ref in refs_in((node.args, kwargs))]
