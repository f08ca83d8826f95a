"""YAML text to plain data that knows its lines, and back.

Only what a rule file needs: text, numbers, true, false, lists and mappings. As in YAML 1.2, and
unlike PyYAML's own loaders, `on`, `no`, `010` and `2024-01-01` are not booleans, octals and dates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_DEEPEST = 50
_SCALARS = {
    "null": (re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    "int": (re.compile(r"[-+]?[0-9]+$"), list("-+0123456789")),
    "float": (
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|nan))$"
        ),
        list("-+.0123456789"),
    ),
}


class YamlTextError(Exception):
    """The text is not what a rule file may hold. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class Lines:
    """The line of each entry, by the keys and indices that lead to it."""

    by_trail: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def of(self, trail: tuple[str | int, ...]) -> int:
        """Return the line of an entry, or of the nearest that is around it."""
        while trail and trail not in self.by_trail:
            trail = trail[:-1]
        return self.by_trail.get(trail, 1)


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses aliases, which can make a short text a huge value."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise YamlTextError(
                line,
                f"aliases such as *{event.anchor} are not read here: write it out; "
                f'a glob that starts with a star is put in quotes, "*{event.anchor}"',
            )
        self.depth += 1
        if self.depth > _DEEPEST:
            raise YamlTextError(line, f"more than {_DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or `_Loader` would not take for text."""


class _Block(dict[str, Any]):
    """A mapping that is written one key a line."""


_Dumper.add_representer(
    _Block, lambda dumper, block: dumper.represent_mapping(f"{_TAG}map", block, flow_style=False)
)


_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, _first)
    _Dumper.add_implicit_resolver(_TAG + _name, _pattern, _first)


def read_yaml(text: str) -> tuple[Any, Lines]:
    """Return the data in a text, and its lines.

    Raises:
        YamlTextError: If it is no YAML, or has aliases, tags, repeated keys, several documents,
            or more than 50 levels.
    """
    lines = Lines()
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlTextError(line, f"the character U+{int(error.character):04X} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f" {error.context}" if error.context else ""
        hint = ': put a glob that starts with a star in quotes, as in "*"' if "alias" in context else ""
        raise YamlTextError(
            mark.line + 1 if mark else 1, f"not valid YAML{context}: {error.problem}{hint}"
        ) from error
    return (None if root is None else _value(root, (), lines)), lines


def _value(node: yaml.Node, trail: tuple[str | int, ...], lines: Lines) -> Any:
    line = node.start_mark.line + 1
    lines.by_trail.setdefault(trail, line)
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _mapping(node, trail, lines)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_value(entry, (*trail, index), lines) for index, entry in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, line)
    raise YamlTextError(line, f"the tag {node.tag!r} is not allowed")


def _mapping(node: yaml.MappingNode, trail: tuple[str | int, ...], lines: Lines) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlTextError(line, "a key is text, not a list or a mapping")
        key = _scalar(key_node, line)
        if key in mapping:
            raise YamlTextError(
                line, f"the key {key!r} is here twice, first on line {lines.of((*trail, key))}"
            )
        lines.by_trail[*trail, key] = line
        mapping[key] = _value(value_node, (*trail, key), lines)
    return mapping


def _scalar(node: yaml.ScalarNode, line: int) -> Any:
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    try:
        if kind == "str":
            return _joined_surrogates(text)
        pattern, _ = _SCALARS[kind]
        if not pattern.match(text):
            raise ValueError(f"{text!r} is not of the type {kind}")
        if kind == "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        if kind == "int":
            return int(text)
        return text.lower() == "true" if kind == "bool" else None
    except KeyError as error:
        raise YamlTextError(line, f"the tag {node.tag!r} is not allowed") from error
    except ValueError as error:
        raise YamlTextError(line, str(error)) from error


def _joined_surrogates(text: str) -> str:
    """Join what JSON writes as two escapes, and YAML would as one."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ValueError(f"{text!r} has half of a character, written as an escape") from error


def write_yaml(key: str, entries: list[dict[str, Any]]) -> str:
    """Return a list of mappings under one key, as YAML text that `read_yaml` reads back equal."""
    data = {key: [_Block(entry) for entry in entries]}
    return str(
        yaml.dump(
            data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
        )
    )
