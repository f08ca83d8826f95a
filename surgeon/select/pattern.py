"""Patterns: small graphs of selectors with named nodes, and what they matched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from surgeon.errors import RuleError, near_misses
from surgeon.graph import Node, Ref
from surgeon.select.selector import Selector, as_selector

if TYPE_CHECKING:
    from surgeon.select.matching import Matches


@dataclass(frozen=True)
class AnyTensor:
    """A tensor of a pattern that may come from anywhere; the same name is the same tensor."""

    name: str = ""

    def __str__(self) -> str:
        return self.name or "any"


@dataclass(frozen=True)
class Either:
    """A tensor of a pattern that one of several sub-patterns makes."""

    alternatives: tuple[Operand, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.alternatives))


@dataclass(frozen=True)
class PatternNode:
    """One node of a pattern. Call it on others to say what it reads.

    Attributes:
        name: Its name in matches.
        selector: Which nodes of a graph it may be.
        reads: What it reads, in order; `None` for whatever it reads.
        is_optional: Whether it may be missing; what it would read is then read directly.
        commutative: Whether what it reads may come in any order.
    """

    name: str
    selector: Selector
    reads: tuple[Operand, ...] | None = None
    is_optional: bool = False
    commutative: bool = False

    def __call__(self, *reads: Operand) -> PatternNode:
        """Return the same node, reading these."""
        wrong = [one for one in reads if not isinstance(one, PatternNode | AnyTensor | Either)]
        if wrong or not reads:
            found = repr(wrong[0]) if wrong else "nothing"
            raise RuleError(f"node {self.name!r} reads nodes, any_tensor() or either(...), not {found}")
        return replace(self, reads=reads)

    def __str__(self) -> str:
        return f"{self.name}={self.selector}{'?' if self.is_optional else ''}"


Operand = PatternNode | AnyTensor | Either


@dataclass(frozen=True)
class Pattern:
    """A small graph to find in a model; matches do not overlap.

    Attributes:
        outputs: The nodes whose outputs others may read. All further nodes are inside of the block:
            nothing outside of it may read them, unless `exclusive` is off.
        conditions: Functions of the match that all must return something true.
        exclusive: Whether nodes inside of the block may be read by nodes of the block only.

    Example:
        >>> from surgeon.select import isa
        >>> block = chain(conv=isa("Conv2D"), bn=isa("BatchNormalization"))
        >>> print(block)
        conv=isa('Conv2D') → bn=isa('BatchNormalization')
    """

    outputs: tuple[PatternNode, ...]
    conditions: tuple[Callable[[Match], Any], ...] = ()
    exclusive: bool = True

    def where(self, condition: Callable[[Match], Any]) -> Pattern:
        """Return the same pattern with one more condition on the whole match."""
        if not callable(condition):
            raise RuleError(f"Pattern.where takes a function of the match, not {condition!r}")
        return replace(self, conditions=(*self.conditions, condition))

    def find(self, graph: Any) -> Matches:
        """Return where a graph, and the graphs nested in it, hold the pattern, and why not elsewhere."""
        from surgeon.select.matching import find_matches

        return find_matches(self, graph)

    @property
    def nodes(self) -> tuple[PatternNode, ...]:
        """Every node of the pattern, producers first."""
        found: dict[str, PatternNode] = {}
        for output in self.outputs:
            for one in _nodes_of(output):
                found.setdefault(one.name, one)
        return tuple(found.values())

    def __str__(self) -> str:
        return " → ".join(map(str, self.nodes))


@dataclass(frozen=True)
class Match:
    """One place where a pattern was found. Its nodes are attributes: `match.conv`, `match.bn`.

    Attributes:
        nodes: Node of the graph by name in the pattern; `None` for an optional one that is missing.
        tensors: Tensor by name in the pattern.
        model: Path of the nested model in which it was found; empty for the outermost.
        reads: The tensors that the block reads from outside.
        outputs: The tensors that stand for the pattern's outputs.
    """

    nodes: Mapping[str, Node | None]
    tensors: Mapping[str, Ref] = field(default_factory=dict)
    model: str = ""
    reads: tuple[Ref, ...] = ()
    outputs: tuple[Ref, ...] = ()

    def __getattr__(self, name: str) -> Any:
        nodes = self.__dict__.get("nodes", {})
        if name in nodes:
            return nodes[name]
        raise AttributeError(f"the match has no node {name!r}{near_misses(name, nodes)}")

    def __getitem__(self, name: str) -> Node:
        node = self.nodes.get(name)
        if node is None:
            raise RuleError(f"the match has no node {name!r}{near_misses(name, self.nodes)}")
        return node

    def __iter__(self) -> Iterator[Node]:
        return (node for node in self.nodes.values() if node is not None)

    def __str__(self) -> str:
        return " → ".join(f"{name}={node.path if node else None!r}" for name, node in self.nodes.items())


def node(name: str, selector: Selector | str, *, commutative: bool = False) -> PatternNode:
    """Return a node of a pattern; call it on what it reads.

    Args:
        name: Its name in matches.
        selector: Which nodes of a graph it may be.
        commutative: Whether what it reads may come in any order, as for `Add`.

    Raises:
        RuleError: If the name is no identifier.

    Example:
        >>> x = any_tensor("x")
        >>> skip = node("add", "*add*", commutative=True)(node("conv", "*conv*")(x), x)
        >>> print(pattern(skip))
        conv='*conv*' → add='*add*'
    """
    if not name.isidentifier():
        raise RuleError(f"{name!r} cannot be the name of a node in a pattern: write it like a variable")
    return PatternNode(name, as_selector(selector), commutative=commutative)


def any_tensor(name: str = "") -> AnyTensor:
    """Return a tensor of a pattern that may come from anywhere; with a name, the same everywhere.

    Example:
        >>> print(any_tensor("x"))
        x
    """
    return AnyTensor(name)


def either(*alternatives: Operand) -> Either:
    """Return a tensor of a pattern that one of these makes; the first that fits is taken.

    Example:
        >>> print(either(node("a", "conv_*"), node("b", "dense_*")))
        a='conv_*' | b='dense_*'
    """
    return Either(alternatives)


def optional(selector: Selector | str) -> PatternNode:
    """Return a node of a `chain` that may be missing.

    Example:
        >>> print(chain(conv="conv_*", act=optional("relu_*")))
        conv='conv_*' → act='relu_*'?
    """
    return PatternNode("", as_selector(selector), is_optional=True)


def chain(**nodes: Selector | str | PatternNode) -> Pattern:
    """Return the pattern of layers that follow one another, each reading the one before alone.

    Args:
        **nodes: Selector by name, in order; `optional(selector)` for one that may be missing.

    Raises:
        RuleError: If there is none, or all may be missing.

    Example:
        >>> print(chain(dense="dense_*", norm="norm_*"))
        dense='dense_*' → norm='norm_*'
    """
    last: PatternNode | None = None
    for name, value in nodes.items():
        made = replace(value, name=name) if isinstance(value, PatternNode) else node(name, value)
        last = made if last is None else made(last)
    if last is None or all(isinstance(v, PatternNode) and v.is_optional for v in nodes.values()):
        raise RuleError("chain(...) needs a node that must be there: chain(conv=isa('Conv2D'), ...)")
    return Pattern((last,))


def pattern(*outputs: PatternNode, exclusive: bool = True) -> Pattern:
    """Return the pattern that these nodes, and what they read, are.

    Args:
        *outputs: Nodes whose outputs may be read outside of the block.
        exclusive: Whether all further nodes may be read by nodes of the block only.

    Raises:
        RuleError: If there is no node, or one name stands for two.

    Example:
        >>> print(pattern(node("a", "dense_*")))
        a='dense_*'
    """
    if not outputs or not all(isinstance(output, PatternNode) for output in outputs):
        raise RuleError(
            "pattern(...) takes the nodes that the block ends in: pattern(node('add', isa('Add'))(...))"
        )
    made = Pattern(tuple(outputs), exclusive=exclusive)
    known: dict[str, PatternNode] = {}
    for output in outputs:
        known = _named(output, known)
    return made


def _named(operand: Operand, known: dict[str, PatternNode]) -> dict[str, PatternNode]:
    """Return the nodes by name, with those of a further part; alternatives may share a name.

    Raises:
        RuleError: If one name stands for two nodes.
    """
    if isinstance(operand, Either):
        several = [_named(one, known) for one in operand.alternatives]
        return {name: one for named in reversed(several) for name, one in named.items()}
    if isinstance(operand, PatternNode):
        for read in operand.reads or ():
            known = _named(read, known)
        if known.get(operand.name, operand) != operand:
            raise RuleError(f"two nodes of the pattern are called {operand.name!r}")
        return {**known, operand.name: operand}
    return known


def _nodes_of(operand: Operand) -> Iterator[PatternNode]:
    """Yield the nodes of a part of a pattern, producers first; what is read twice comes twice."""
    if isinstance(operand, Either):
        for one in operand.alternatives:
            yield from _nodes_of(one)
    elif isinstance(operand, PatternNode):
        for one in operand.reads or ():
            yield from _nodes_of(one)
        yield operand
