"""Layers made from the configuration of others."""

from __future__ import annotations

from typing import Any

from surgeon.graph import Node


def from_config(node: Node, **changes: Any) -> Any:
    """Return a fresh layer of a node's class and configuration, with some settings changed."""
    cls = getattr(type(node.op), "stock", type(node.op))
    return cls.from_config({**node.config, **changes})


def shared_config(node: Node, *keys: str) -> dict[str, Any]:
    """Return those settings of a node that it has, to make a layer of another class."""
    return {key: node.config[key] for key in keys if key in node.config}
