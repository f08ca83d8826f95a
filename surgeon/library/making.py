"""Layers made from the configuration of others, and what ready-made rules are called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from surgeon.graph import Node
from surgeon.rules import StructureRule
from surgeon.rules.replacement import shown


def from_config(node: Node, **changes: Any) -> Any:
    """Return a fresh layer of a node's class and configuration, with some settings changed."""
    cls = getattr(type(node.op), "stock", type(node.op))
    return cls.from_config({**node.config, **changes})


def shared_config(node: Node, *keys: str) -> dict[str, Any]:
    """Return those settings of a node that it has, to make a layer of another class."""
    return {key: node.config[key] for key in keys if key in node.config}


def named(rule: StructureRule, name: str, *given: Any, **options: Any) -> StructureRule:
    """Return a ready-made rule that plans and messages call by its name and what it was given.

    Example:
        >>> from surgeon.rules import remove
        >>> print(named(remove("drop_*"), "without_noise", "drop_*", all=True))
        without_noise('drop_*', all=True)
    """
    parts = [*map(shown, given), *(f"{key}={shown(value)}" for key, value in options.items())]
    return replace(rule, label=f"{name}({', '.join(parts)})")


def given_where(selector: Any) -> list[Any]:
    """Return a selector as an argument to show, unless it is the one that means everything."""
    return [] if selector == "**" else [selector]
