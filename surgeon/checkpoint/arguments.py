"""What `convert` is given, told apart before anything is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from surgeon.checkpoint.sources import Kind
from surgeon.errors import CheckpointError
from surgeon.rules import Rule

_SOURCES = "a folder, a file, or several of both"
_SHOWN = 60
"""So many letters of an argument are worth repeating in a message."""


def source_list(sources: Any, rules: Any, out: Any) -> list[str | os.PathLike[str]]:
    """Return the sources as a list.

    Args:
        sources: What was passed as the sources.
        rules: What was passed as the rules; whether they are some is for others to say.
        out: What was passed as the output folder.

    Raises:
        CheckpointError: If one of them is of another kind; says which is which, and in which order they come.
    """
    given = _listed(sources)
    if given is None:
        raise _fault("sources", _SOURCES, sources, (sources, rules, out))
    for one in given:
        if not _is_path(one):
            raise _fault("sources", _SOURCES, one, (given, rules, out))
    if not _is_path(out):
        raise _fault("out", "the output folder", out, (given if len(given) != 1 else given[0], rules, out))
    if len(given) == 1 and _is_rule_file(given[0]) and _is_path(rules) and not _is_rule_file(rules):
        what = f"the rule file {os.fspath(given[0])!r}"
        raise CheckpointError(
            f"convert(sources, rules, out): sources are {_SOURCES}, not {what}: write "
            f"convert({os.fspath(rules)!r}, {os.fspath(given[0])!r}, {os.fspath(out)!r})"
        )
    return given


def _listed(sources: Any) -> list[Any] | None:
    if _is_path(sources):
        return [sources]
    if isinstance(sources, bytes | Mapping) or not isinstance(sources, Iterable):
        return None
    return list(sources)


def _is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)


def _is_rule_file(path: Any) -> bool:
    named = os.fspath(path).endswith((".yaml", ".yml", ".json")) and Kind.of(path) is None
    return named and not Path(path).is_dir()


def _fault(name: str, wanted: str, wrong: object, given: tuple[Any, Any, Any]) -> CheckpointError:
    word = "are" if name == "sources" else "is"
    if _are_rules(wrong):
        what = f"{'the rule' if isinstance(wrong, Rule) else 'the rules'} {_shown(wrong, 'rules')}"
    else:
        what = f"{type(wrong).__name__} {_shown(wrong, '')}".rstrip()
    text = f"convert(sources, rules, out): {name} {word} {wanted}, not {what}"
    if hasattr(wrong, "get_config"):
        return CheckpointError(f"{text}. convert is for files; a model in memory: rewrite(model, rules)")
    rules = [one for one in given if _are_rules(one)]
    others = [one for one in given if not _are_rules(one)]
    if len(rules) == 1 and all(_is_path(one) or _are_paths(one) for one in others) and _is_path(others[1]):
        sources, out = _shown(others[0], "sources"), _shown(others[1], "out")
        return CheckpointError(f"{text}: write convert({sources}, {_shown(rules[0], 'rules')}, {out})")
    return CheckpointError(f"{text}: write convert('folder', freeze('*'), 'out')")


def _are_rules(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_are_rules, value))
    return isinstance(value, Rule)


def _are_paths(value: object) -> TypeGuard[list[str | os.PathLike[str]]]:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_path, value))


def _shown(value: object, name: str) -> str:
    """Return an argument as it is typed, or its name if that is long."""
    if _are_paths(value):
        value = [os.fspath(one) for one in value]
    text = repr(os.fspath(value) if _is_path(value) else value)
    return text if len(text) <= _SHOWN else name
