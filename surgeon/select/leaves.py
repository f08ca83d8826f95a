"""The selectors that look at a node: by path, by class, by predicate."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from surgeon.errors import RuleError, near_misses
from surgeon.graph import Node
from surgeon.select.close import close_classes, close_paths
from surgeon.select.code import code_place
from surgeon.select.globs import compiled, glob_matches
from surgeon.select.selector import Selector

_FLAGS = {"a": re.ASCII, "i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


def name(pattern: str | re.Pattern[str]) -> Selector:
    r"""Select layers by path.

    Args:
        pattern: A glob, in which `*` stays within one part of the path and the part `**` spans
            any depth; or a compiled regular expression, which must match the whole path.

    Raises:
        RuleError: If the glob is malformed, or this is neither.

    Example:
        >>> name("encoder/**") | name(re.compile(r"block_\d+"))
        name('encoder/**') | name(re.compile('block_\\d+'))
    """
    if isinstance(pattern, str):
        return Glob(pattern)
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return Regex(pattern)
    raise RuleError(f"name(...) takes a glob or a compiled regular expression over text, not {pattern!r}")


def isa(cls: type | str) -> Selector:
    """Select layers by class; subclasses count.

    Args:
        cls: The class, or its name (`"Dense"`), plain or qualified (`"keras.layers.Dense"`).
            Letter case counts.

    Raises:
        RuleError: If it is neither.

    Example:
        >>> ~isa("Dense")
        ~isa('Dense')
    """
    if isinstance(cls, type):
        return Isa(cls)
    if isinstance(cls, list | tuple | set | frozenset) and cls:
        each = [f"isa({one.__name__ if isinstance(one, type) else repr(one)})" for one in cls]
        raise RuleError(f"isa(...) takes one class: write {' | '.join(each)}")
    if not isinstance(cls, str):
        example = type(cls).__name__ if hasattr(cls, "get_config") else "Dense"
        raise RuleError(f"isa(...) takes a class or its name, not {cls!r}: write isa({example!r})")
    if not all(part.isidentifier() for part in cls.split(".")):
        raise RuleError(
            f"{cls!r} is not the name of a class: write it whole, as in isa('Dense') | isa('Conv2D')"
        )
    return Isa(cls)


def where(predicate: Callable[[Node], Any]) -> Selector:
    """Select layers by a function of the node.

    Args:
        predicate: Gets a node (`.name`, `.path`, `.layer`, `.config`, `.weights`, ...) and
            returns whether it is meant.

    Raises:
        RuleError: If it cannot be called.

    Example:
        >>> wide = where(lambda node: node.config.get("units", 0) >= 64)
        >>> wide.matches(Node("d", "d", "d", "Dense", config={"units": 64}))
        True
    """
    if isinstance(predicate, type) or not callable(predicate):
        raise RuleError(f"where(...) takes a function of a node, not {predicate!r}: where(lambda node: ...)")
    return Where(predicate)


def inside(path: str) -> Selector:
    """Select everything inside of a model or layer, at every depth; itself not.

    Example:
        >>> inside("encoder")
        name('encoder/**/*')
    """
    return name(f"{path}/**/*")


def has_weight(weight: str, shape: tuple[int | None, ...] | None = None) -> Selector:
    """Select layers by a weight that they have.

    Args:
        weight: Its name, as the layer gives it; a glob.
        shape: Its shape, `None` for any size; any shape unless given.

    Example:
        >>> has_weight("kernel", (None, 10))
        has_weight('kernel', (None, 10))
    """
    return HasWeight(weight, None if shape is None else tuple(shape))


@dataclass(frozen=True, repr=False)
class HasWeight(Selector):
    """Matches nodes that have a weight of a name, and perhaps of a shape."""

    weight: str
    shape: tuple[int | None, ...] | None = None

    def matches(self, node: Node) -> bool:
        """Whether one of the layer's own weights fits."""
        return any(
            glob_matches(self.weight, weight.path) and self._fits(weight.shape) for weight in node.weights
        )

    def _fits(self, shape: tuple[int, ...]) -> bool:
        wanted = self.shape
        return wanted is None or (
            len(wanted) == len(shape) and all(a in (None, b) for a, b in zip(wanted, shape, strict=True))
        )

    def to_data(self) -> dict[str, Any]:
        """Return `{"has_weight": ...}`, with its `shape` where one was given."""
        return {"has_weight": self.weight, **({} if self.shape is None else {"shape": list(self.shape)})}

    def hint(self, nodes: Sequence[Node]) -> str:
        """Name weights that are close."""
        known = {weight.path: None for node in nodes for weight in node.weights}
        return near_misses(self.weight, known) if self.weight not in known else "; none has that shape"

    def __repr__(self) -> str:
        return f"has_weight({self.weight!r}{f', {self.shape}' if self.shape is not None else ''})"


@dataclass(frozen=True, repr=False)
class Glob(Selector):
    """Matches paths by a glob."""

    pattern: str

    def __post_init__(self) -> None:
        """Check the glob now, where the user's line is on the stack."""
        compiled(self.pattern)

    def matches(self, node: Node) -> bool:
        """Whether the node's path matches."""
        return glob_matches(self.pattern, node.path)

    def to_data(self) -> str:
        """Return the glob."""
        return self.pattern

    def hint(self, nodes: Sequence[Node]) -> str:
        """Name matches at other depths, or paths that are close."""
        anywhere = f"**/{self.pattern}"
        deeper = [node.path for node in nodes if glob_matches(anywhere, node.path)]
        if deeper:
            return (
                f"; {anywhere!r} matches, among others {deeper[0]!r}: '*' and plain names stay at one depth"
            )
        return self._as_something_else(nodes) or self._as_weight(nodes) or close_paths(self.pattern, nodes)

    def _as_something_else(self, nodes: Sequence[Node]) -> str:
        """Say what to write if this is a class, a list, or a regular expression."""
        if any(Isa(self.pattern).matches(node) for node in nodes):
            return f"; that is a class: write isa({self.pattern!r})"
        pieces = [piece.strip() for piece in self.pattern.split(",")]
        if len(pieces) > 1 and any(glob_matches(piece, node.path) for piece in pieces for node in nodes):
            return f"; join several with |: name({pieces[0]!r}) | {' | '.join(map(repr, pieces[1:]))}"
        if not re.search(r"[.|\\^$+(]", self.pattern):
            return ""
        with contextlib.suppress(re.error, RecursionError, OverflowError):
            found = next((node.path for node in nodes if re.fullmatch(self.pattern, node.path)), None)
            if found is not None:
                return f"; it is a glob. As a regular expression it matches {found!r}: name(re.compile(...))"
        return ""

    def _as_weight(self, nodes: Sequence[Node]) -> str:
        """Say what to write if this is a weight's path or name, or the path of a variable."""
        for node in nodes:
            for weight in node.weights:
                layer, _, name = f"{node.path}/{weight.path}".rpartition("/")
                if f"/{self.pattern}".endswith(f"/{layer}/{name}"):
                    return f"; that is a weight: the layer is {layer!r}, and its name there {name!r}"
                if name == self.pattern:
                    return f"; {name!r} is the name of a weight, for which the layer comes first"
        return ""

    def __str__(self) -> str:
        return repr(self.pattern)

    def __repr__(self) -> str:
        return f"name({self.pattern!r})"


@dataclass(frozen=True, repr=False)
class Regex(Selector):
    """Matches whole paths by a regular expression."""

    pattern: re.Pattern[str]

    def matches(self, node: Node) -> bool:
        """Whether the whole path matches."""
        return self.pattern.fullmatch(node.path) is not None

    def to_data(self) -> dict[str, Any]:
        """Return `{"regex": ...}`, with `"flags"` where there are any."""
        letters = "".join(letter for letter, flag in _FLAGS.items() if self.pattern.flags & flag)
        return {"regex": self.pattern.pattern, **({"flags": letters} if letters else {})}

    def hint(self, nodes: Sequence[Node]) -> str:
        """Say where it matches only a piece of a path, or name paths that are close."""
        pieces = [node.path for node in nodes if self.pattern.search(node.path)]
        if pieces:
            return f"; it matches a piece of {pieces[0]!r}, but must match the whole path: put .* around it"
        return close_paths(re.sub(r"\\.|\W+", "", self.pattern.pattern), nodes)

    def __repr__(self) -> str:
        flags = [f"re.{flag.name}" for flag in _FLAGS.values() if self.pattern.flags & flag]
        return f"name(re.compile({self.pattern.pattern!r}{', ' + ' | '.join(flags) if flags else ''}))"


def regex_with_flags(pattern: str, letters: str) -> Regex:
    """Return the regular expression that `Regex.to_data` described.

    Raises:
        RuleError: If the pattern or a flag is wrong.
    """
    flags = re.NOFLAG
    for letter in letters:
        if letter not in _FLAGS:
            raise RuleError(
                f"there is no flag {letter!r} for regular expressions; the flags are {', '.join(_FLAGS)}"
            )
        flags |= _FLAGS[letter]
    try:
        return Regex(re.compile(pattern, flags))
    except (re.error, OverflowError, RecursionError) as error:
        raise RuleError(f"{pattern!r} is not a regular expression: {error}") from error


@dataclass(frozen=True, repr=False)
class Isa(Selector):
    """Matches nodes of a class or of a class derived from it."""

    cls: type | str

    def matches(self, node: Node) -> bool:
        """Whether the live operation is of the class; without one, whether the class has the same name."""
        if node.op is None:
            wanted = self.cls if isinstance(self.cls, str) else self.cls.__name__
            return wanted.rsplit(".", 1)[-1] == node.class_name.rsplit(".", 1)[-1]
        ancestors = type(node.op).__mro__
        if isinstance(self.cls, type):
            return self.cls in ancestors
        if "." not in self.cls:
            return any(ancestor.__name__ == self.cls for ancestor in ancestors)
        module, _, short = self.cls.rpartition(".")
        # `keras.layers.Dense` is defined elsewhere, so its public name is looked up, not compared.
        public = getattr(sys.modules.get(module), short, None)
        return public in ancestors or any(
            f"{ancestor.__module__}.{ancestor.__qualname__}" == self.cls for ancestor in ancestors
        )

    def to_data(self) -> dict[str, str]:
        """Return `{"isa": name}`; of a class, only its name is kept."""
        return {"isa": self.cls if isinstance(self.cls, str) else self.cls.__name__}

    def hint(self, nodes: Sequence[Node]) -> str:
        """Name classes that are close."""
        return close_classes(self.to_data()["isa"].rsplit(".", 1)[-1], nodes)

    def __repr__(self) -> str:
        return f"isa({self.cls!r})" if isinstance(self.cls, str) else f"isa({self.cls.__name__})"


@dataclass(frozen=True, repr=False)
class Where(Selector):
    """Matches nodes for which a function of the user returns something true."""

    predicate: Callable[[Node], Any]

    def matches(self, node: Node) -> bool:
        """Ask the predicate.

        Raises:
            RuleError: If the predicate raised; chained to what it raised.
        """
        try:
            return bool(self.predicate(node))
        except Exception as error:
            raise RuleError(
                f"{self} failed on {node.path!r} ({node.class_name}): {type(error).__name__}: {error}"
                f"{_meant(error, node)}"
            ) from error

    def to_data(self) -> Any:
        """Refuse: a predicate is Python code.

        Raises:
            RuleError: Always.
        """
        raise RuleError(
            f"{self} cannot be written as data, because it is Python code: "
            "select by path or class instead, or keep the rule in a script"
        )

    def hint(self, nodes: Sequence[Node]) -> str:
        """Say that the predicate refused every node."""
        return f"; the predicate is false for all {len(nodes)} of them"

    def __repr__(self) -> str:
        return f"where({code_place(self.predicate)})"


def _meant(error: Exception, node: Node) -> str:
    """Return what to write in place of an attribute of a node, or of an entry of its config."""
    if isinstance(error, AttributeError) and isinstance(error.obj, Node):
        if error.name in node.config:
            return f". Write node.config[{error.name!r}]"
        return near_misses(str(error.name), {**node.config, **vars(node)})
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        key = error.args[0]
        return (
            near_misses(key, node.config) or f". Not every layer has it: config.get({key!r}), or isa(...) &"
        )
    return ""
