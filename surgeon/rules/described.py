"""Layers that are described by class and settings, as in a rule file, and made when a rule is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from surgeon.graph import Node

FOREIGN = (
    "Lambda",
    "__lambda__",
    "function",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "Layer",
)
"""Classes that run code which is not Keras's, or none."""


@dataclass(frozen=True)
class LayerSpec:
    """A layer of Keras's own, as data.

    Attributes:
        class_name: A class of `keras.layers`.
        settings: What its constructor takes.
        keep: Settings that are those of the layer in whose place it is put.
    """

    class_name: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    keep: tuple[str, ...] = ()

    def beside(self, node: Any) -> LayerSpec:
        """Return this with the settings filled in that a node's layer has, or one of a block's."""
        nodes = [node] if isinstance(node, Node) else list(node)
        # Of a block, the layer of the same class is the one that this stands for.
        nodes.sort(key=lambda one: one.class_name != self.class_name)
        kept = {key: one.config[key] for one in reversed(nodes) for key in self.keep if key in one.config}
        return replace(self, settings={**kept, **self.settings}, keep=())

    def __str__(self) -> str:
        parts = [f"{key}={value!r}" for key, value in self.settings.items()]
        return f"{self.class_name}({', '.join([*parts, *(f'{key}=…' for key in self.keep)])})"


@dataclass(frozen=True)
class LayerSpecs:
    """Makes of each node the layers that a rule describes."""

    specs: tuple[LayerSpec, ...]

    def __call__(self, node: Any) -> list[LayerSpec]:
        """Return the layers for a node or match."""
        return [spec.beside(node) for spec in self.specs]

    def __str__(self) -> str:
        text = ", ".join(map(str, self.specs))
        return text if len(self.specs) == 1 else f"[{text}]"
