"""Selectors: values that say which layers, and combine with `& | ~`."""

from __future__ import annotations

import glob
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from surgeon.errors import NoMatchError, RuleError
from surgeon.graph import Node

if TYPE_CHECKING:
    from surgeon.select.world import World


class Selector(ABC):
    """Says of each node whether it is meant.

    Selectors are values: frozen, comparable, hashable, and printed as they would be typed.
    A plain string takes part wherever a selector can, as a glob over the layer's path.

    Example:
        >>> from surgeon.select import isa
        >>> isa("Dense") & "block_*" | ~isa("Layer")
        isa('Dense') & name('block_*') | ~isa('Layer')
    """

    @abstractmethod
    def matches(self, node: Node) -> bool:
        """Whether this node is meant.

        Raises:
            RuleError: If a predicate of the user failed; chained, with predicate and node named.
        """

    @abstractmethod
    def to_data(self) -> Any:
        """Return JSON data, in the words of rule files; `selector_from_data` reads it.

        Raises:
            RuleError: If the selector holds Python code.
        """

    @abstractmethod
    def hint(self, nodes: Sequence[Node]) -> str:
        """Return what may be wrong where none of the nodes matches: `"; close: 'a'"`, or `""`."""

    def resolved(self, world: World) -> Selector:
        """Return a selector that looks at nodes only: what depends on the graph is worked out."""
        del world
        return self

    def expect(self, count: int) -> Selector:
        """Return a selector that refuses to select more or fewer layers than these.

        Args:
            count: How many layers must match; a layer that is called twice is one layer.

        Example:
            >>> from surgeon.select import isa
            >>> isa("Conv2D").expect(53)
            isa('Conv2D').expect(53)
        """
        from surgeon.select.relative import Expect

        return Expect(self, count)

    def find(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Return the nodes that match, in the order given.

        Raises:
            NoMatchError: If there is none; names near misses and the next step.
            RuleError: If a predicate of the user failed.
        """
        found = tuple(node for node in nodes if self.matches(node))
        if found:
            return found
        hint = self.hint(nodes) if nodes else "; there is no layer to choose from"
        raise NoMatchError(
            f"no layer matches {self}{hint}. `surgeon inspect` lists the layers by path and class"
        )

    def __and__(self, other: Selector | str) -> Selector:
        return And.of(self, as_selector(other))

    def __rand__(self, other: Selector | str) -> Selector:
        return And.of(as_selector(other), self)

    def __or__(self, other: Selector | str) -> Selector:
        return Or.of(self, as_selector(other))

    def __ror__(self, other: Selector | str) -> Selector:
        return Or.of(as_selector(other), self)

    def __invert__(self) -> Selector:
        return Not(self)

    def __bool__(self) -> bool:
        """Refuse: `a and b` would quietly mean just `b`.

        Raises:
            RuleError: Always.
        """
        raise RuleError(
            f"{self!r} is neither true nor false: combine selectors with & | ~, not with and, or, not"
        )

    def __str__(self) -> str:
        return repr(self)


@dataclass(frozen=True, repr=False)
class _Joined(Selector):
    """Several selectors under one operator; chains of one operator lie flat."""

    operands: tuple[Selector, ...]
    symbol: ClassVar[str]

    @classmethod
    def of(cls, *selectors: Selector) -> Selector:
        """Join selectors, flattening those that are joined by the same operator."""
        operands: list[Selector] = []
        for selector in selectors:
            operands.extend(selector.operands if isinstance(selector, cls) else (selector,))
        return operands[0] if len(operands) == 1 else cls(tuple(operands))

    def resolved(self, world: World) -> Selector:
        """Resolve each of them."""
        return type(self)(tuple(one.resolved(world) for one in self.operands))

    def __repr__(self) -> str:
        return f" {self.symbol} ".join(
            f"({one!r})" if self._binds_tighter_than(one) else repr(one) for one in self.operands
        )

    def _binds_tighter_than(self, operand: Selector) -> bool:
        return isinstance(self, And) and isinstance(operand, Or)


class And(_Joined):
    """Matches what all of the selectors match."""

    symbol = "&"

    def matches(self, node: Node) -> bool:
        """Whether every selector matches."""
        return all(one.matches(node) for one in self.operands)

    def to_data(self) -> dict[str, Any]:
        """Return `{"all": [...]}`."""
        return {"all": [one.to_data() for one in self.operands]}

    def hint(self, nodes: Sequence[Node]) -> str:
        """Say how many each selector matches alone; a predicate may fail on what it was never meant for."""
        alone = []
        for one in self.operands:
            try:
                count = sum(one.matches(node) for node in nodes)
            except RuleError:
                continue
            alone.append(f"{one!r} matches {count}" if count else f"{one!r} matches none{one.hint(nodes)}")
        return "; alone, " + ", ".join(alone) if alone else ""


class Or(_Joined):
    """Matches what at least one of the selectors matches."""

    symbol = "|"

    def matches(self, node: Node) -> bool:
        """Whether one selector matches."""
        return any(one.matches(node) for one in self.operands)

    def to_data(self) -> dict[str, Any]:
        """Return `{"any": [...]}`."""
        return {"any": [one.to_data() for one in self.operands]}

    def hint(self, nodes: Sequence[Node]) -> str:
        """Give the hint of each selector that has one."""
        return "".join(
            f"; for {one!r}: {hint.removeprefix('; ')}" for one in self.operands if (hint := one.hint(nodes))
        )


@dataclass(frozen=True, repr=False)
class Not(Selector):
    """Matches what the selector does not match."""

    operand: Selector

    def matches(self, node: Node) -> bool:
        """Whether the selector does not match."""
        return not self.operand.matches(node)

    def resolved(self, world: World) -> Selector:
        """Resolve what is negated."""
        return Not(self.operand.resolved(world))

    def to_data(self) -> dict[str, Any]:
        """Return `{"not": ...}`."""
        return {"not": self.operand.to_data()}

    def hint(self, nodes: Sequence[Node]) -> str:
        """Say that the selector leaves nothing over."""
        return f"; {self.operand!r} matches all {len(nodes)} of them"

    def __repr__(self) -> str:
        return f"~({self.operand!r})" if isinstance(self.operand, _Joined) else f"~{self.operand!r}"


def as_selector(value: Selector | Node | str) -> Selector:
    """Return a selector: a string is a glob over the layer's path, a node stands for its own path.

    Raises:
        RuleError: If it is neither; says what to write instead.

    Example:
        >>> print(as_selector("block_*"))
        'block_*'
    """
    # Leaves derive from `Selector`, so this module cannot import them at its top.
    from surgeon.select.leaves import name

    if isinstance(value, Selector):
        return value
    if isinstance(value, str):
        return name(value)
    if isinstance(value, Node):
        return name(glob.escape(value.path))
    raise RuleError(f"{_described(value)} is not a selector{_instead(value)}")


def _described(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    # The repr of a variable is all of its values.
    return (
        f"the variable {value.path!r}" if hasattr(value, "path") and hasattr(value, "numpy") else repr(value)
    )


def _instead(value: Any) -> str:
    if isinstance(value, type):
        return f": write isa({value.__name__})"
    if isinstance(value, list | tuple | set | frozenset):
        first, *others = [*value] if value and all(isinstance(one, str) for one in value) else ["a", "b"]
        return f": join several with |, as in {' | '.join([f'name({first!r})', *map(repr, others)])}"
    if hasattr(value, "get_config") and isinstance(getattr(value, "name", None), str):
        return f": write its path, {value.name!r}"
    if hasattr(value, "fullmatch"):
        return ": write name(re.compile(...))"
    if callable(value):
        return ": write where(...) around a predicate"
    return ": write a path such as 'dense_1', a glob such as 'block_*', name(...), isa(...) or where(...)"
