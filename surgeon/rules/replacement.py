"""Rules that change the structure: what to do, to which layers, with which new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

from surgeon.errors import RuleError
from surgeon.graph import Node
from surgeon.rules.described import LayerSpecs
from surgeon.rules.origin import caller
from surgeon.select import Selector, as_selector
from surgeon.select.code import code_place
from surgeon.select.pattern import Match, Pattern

Scope = Literal["layer", "call"]
Target = Selector | Pattern | Node | str


@dataclass(frozen=True)
class StructureRule:
    """What `replace(...)`, `insert_after(...)`, `remove(...)` and their like return.

    Attributes:
        verb: What is done: `"replace"`, `"insert_before"`, ...
        selector: Which nodes of the graph, or which blocks of them.
        make: A layer, or a function of the node (of the match, for a pattern); `None` where
            the verb needs none.
        options: What else was asked for.
        scope: `"layer"` for all calls of a layer, `"call"` for the matched calls alone.
        origin: `file:line` where the rule was written.
        label: What a ready-made rule is called: `fold_batch_norm()`.
        is_data: Whether it was read from a rule file.
    """

    verb: str
    selector: Selector | Pattern
    make: Any = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    scope: Scope = "layer"
    origin: str = field(default="unknown:0", compare=False)
    label: str = field(default="", compare=False)
    is_data: bool = field(default=False, compare=False)

    def make_layer(self, target: Node | Match) -> Any:
        """Return the layer to put in place of a node, or `None` to leave it alone.

        Where `make` is a layer, this is that very object each time: whoever puts it in place of
        several layers decides whether they share it.

        Raises:
            RuleError: If the function raised (chained), or returned something else. Names the
                rule's origin and the node.
        """
        made = self.make_any(target)
        if made is None or is_layer(made):
            return made
        raise RuleError(f"{self.failed_on(target)}: it returned {_described(made)}, not a layer or None")

    def make_any(self, target: Node | Match) -> Any:
        """Return what `make` gives for a node or match: a layer, a list, a rule, `None`.

        Raises:
            RuleError: If the function raised; chained to what it raised.
        """
        if is_layer(self.make) or not callable(self.make):
            return self.make
        try:
            return self.make(target)
        except Exception as error:
            raise RuleError(f"{self.failed_on(target)}: {type(error).__name__}: {error}") from error

    def failed_on(self, target: Node | Match) -> str:
        """Return the beginning of a message: where the rule was written, and what it failed on."""
        on = f"{target.path!r} ({target.class_name})" if isinstance(target, Node) else str(target)
        return f"{self.origin}: {self} failed on {on}"

    def __str__(self) -> str:
        if self.label:
            return self.label
        parts = [str(self.selector)]
        if self.make is not None:
            parts.append(shown(self.make))
        parts += [f"{name}={value!r}" for name, value in self.options.items() if value is not None]
        if self.scope != "layer":
            parts.append(f"scope={self.scope!r}")
        return f"{self.verb}({', '.join(parts)})"

    __repr__ = __str__


ReplaceRule = StructureRule


def replace(
    selector: Target, make: Any | Callable[[Any], Any], /, *, scope: Scope = "layer"
) -> StructureRule:
    """Replace layers, or blocks that a pattern finds, by other layers.

    The new layer takes over the name of the old one, unless it was given one, and every weight of
    the same name and shape, unless it was built before and so has weights of its own.

    Args:
        selector: Which nodes of the graph: a glob over the path, a selector, or a pattern.
        make: A layer; or a function that gets the node (the match) and returns a layer, a list of
            layers to call one after another, or `None` to leave that node alone.
        scope: `"layer"`: in all calls of the layer; `"call"`: in the matched calls alone, which
            then are of a layer of their own.

    Raises:
        RuleError: If an argument makes no sense; says what to write instead.

    Example:
        >>> rule = replace("dense_*", lambda node: None)
        >>> print(rule.selector, rule.make_layer(Node("dense_1", "dense_1", "dense_1", "Dense")))
        'dense_*' None
    """
    return making_rule("replace", selector, make, scope=scope)


def making_rule(
    verb: str, selector: Any, make: Any, *, scope: Scope = "layer", **options: Any
) -> StructureRule:
    """Return a rule with a checked target and a checked maker of layers.

    Raises:
        RuleError: If one of them makes no sense; says what to write instead.
    """
    chosen = as_target(verb, selector)
    if isinstance(make, type):
        raise RuleError(
            f"{verb}({chosen}, {make.__name__}): this is a class; write a layer, {make.__name__}(...), "
            f"or a function of the node: lambda node: {make.__name__}(...)"
        )
    layers = isinstance(make, list | tuple) and bool(make) and all(is_layer(one) for one in make)
    if not is_layer(make) and not callable(make) and not layers:
        raise RuleError(
            f"{verb}({chosen}, {make!r}): pass a layer, or a function of the node that returns one"
        )
    return StructureRule(verb, chosen, make, _given(options), check_scope(verb, scope), caller())


def as_target(verb: str, selector: Any) -> Selector | Pattern:
    """Return what a rule is about, as a selector or pattern.

    Raises:
        RuleError: If it is neither; says what to write instead.
    """
    if isinstance(selector, Pattern):
        return selector
    try:
        return as_selector(selector)
    except RuleError as error:
        raise RuleError(f"{verb}(...): {error}") from error


def is_count(value: Any) -> bool:
    """Whether a value is a whole number above zero, be it Python's or NumPy's."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def check_scope(verb: str, scope: Any) -> Scope:
    """Return the scope.

    Raises:
        RuleError: If it is none of the two words.
    """
    if scope not in ("layer", "call"):
        raise RuleError(f"{verb}(..., scope={scope!r}): a scope is 'layer' or 'call'")
    return scope  # type: ignore[no-any-return]


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None and value is not False}


def shown(value: Any) -> str:
    """Return an argument of a rule in words: a layer by its class and name, a function by where it is."""
    if is_layer(value):
        return f"<{type(value).__name__} {value.name!r}>"
    if isinstance(value, LayerSpecs | Selector):
        return str(value)
    if isinstance(value, list | tuple) and any(map(is_layer, value)):
        return f"[{', '.join(map(shown, value))}]"
    return code_place(value) if callable(value) else repr(value)


def is_layer(value: object) -> bool:
    """Whether this looks like a Keras layer object; Keras itself is not needed to tell."""
    if isinstance(value, type):
        return False
    return all(callable(getattr(value, method, None)) for method in ("call", "build", "get_config"))


def _described(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__} {value!r}"
