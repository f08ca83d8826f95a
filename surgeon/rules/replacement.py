"""The rule that puts another layer in place of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from surgeon.errors import RuleError
from surgeon.graph import Node
from surgeon.rules.origin import caller
from surgeon.select import Selector, as_selector
from surgeon.select.code import code_place


@dataclass(frozen=True)
class ReplaceRule:
    """What `replace(...)` returns.

    Attributes:
        selector: Which nodes of the graph.
        make: A layer, or a function of the node that returns a layer or `None`.
        origin: `file:line` where the rule was written.
    """

    selector: Selector
    make: Any
    origin: str = field(default="unknown:0", compare=False)

    def make_layer(self, node: Node) -> Any:
        """Return the layer to put in place of a node, or `None` to leave it alone.

        Where `make` is a layer, this is that very object each time: whoever puts it in place of
        several layers decides whether they share it.

        Raises:
            RuleError: If the function raised (chained), or returned something else. Names the
                rule's origin and the node.
        """
        if is_layer(self.make):
            return self.make
        try:
            layer = self.make(node)
        except Exception as error:
            raise RuleError(f"{self._failed_on(node)}: {type(error).__name__}: {error}") from error
        if layer is not None and not is_layer(layer):
            kind = (
                f"the class {layer.__name__}"
                if isinstance(layer, type)
                else f"{type(layer).__name__} {layer!r}"
            )
            raise RuleError(f"{self._failed_on(node)}: it returned {kind}, not a layer or None")
        return layer

    def _failed_on(self, node: Node) -> str:
        return f"{self.origin}: {self} failed on {node.path!r} ({node.class_name})"

    def __str__(self) -> str:
        if is_layer(self.make):
            return f"replace({self.selector}, <{type(self.make).__name__} {self.make.name!r}>)"
        return f"replace({self.selector}, {code_place(self.make)})"


def replace(selector: Selector | str, make: Any | Callable[[Node], Any], /) -> ReplaceRule:
    """Replace layers.

    Args:
        selector: Which nodes of the graph: a glob over the path, or a selector.
        make: A layer; or a function that gets the node and returns a layer, or `None` to leave
            that node alone.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> rule = replace("dense_*", lambda node: None)
        >>> print(rule.selector, rule.make_layer(Node("dense_1", "dense_1", "dense_1", "Dense")))
        'dense_*' None
    """
    try:
        chosen = as_selector(selector)
    except RuleError as error:
        raise RuleError(f"replace(...): {error}") from error
    if isinstance(make, type):
        raise RuleError(
            f"replace({chosen}, {make.__name__}): this is a class; write a layer, {make.__name__}(...), "
            f"or a function of the node: lambda node: {make.__name__}(...)"
        )
    if not is_layer(make) and not callable(make):
        raise RuleError(
            f"replace({chosen}, {make!r}): pass a layer, or a function of the node that returns one"
        )
    return ReplaceRule(chosen, make, caller())


def is_layer(value: object) -> bool:
    """Whether this looks like a Keras layer object; Keras itself is not needed to tell."""
    if isinstance(value, type):
        return False
    return all(callable(getattr(value, method, None)) for method in ("call", "build", "get_config"))
