"""What must be equal for a plan that was made on one model to fit another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surgeon import paths
from surgeon.errors import PlanError, near_misses
from surgeon.graph import ModelGraph
from surgeon.roundtrip import sites


@dataclass(frozen=True)
class Architecture:
    """Layers, their classes, the shapes of their weights, and how they are joined; no values.

    Attributes:
        layers: For each layer's path: its class, and name, shape and dtype of its own weights.
        edges: Digest of which tensor goes where.
    """

    layers: Mapping[str, Any]
    edges: str

    @classmethod
    def of(cls, graph: ModelGraph) -> Architecture:
        """Read it from a graph."""
        layers = {}
        for site in sites(graph):
            if site.is_input:
                continue  # Keras makes up the names of inputs; `edges` counts them
            own = [[w.path, list(w.shape), w.dtype] for w in site.weights if "/" not in w.path]
            layers[site.path] = [site.class_name, own]
        return cls(layers, hashlib.sha256(json.dumps(_edges(graph)).encode()).hexdigest())

    @property
    def digest(self) -> str:
        """A short name for it: equal digests mean equal architectures."""
        data = json.dumps([sorted(self.layers.items()), self.edges])
        return hashlib.sha256(data.encode()).hexdigest()[:16]

    def check(self, other: Architecture) -> None:
        """Check that another model has this architecture.

        Raises:
            PlanError: Names the first layer that differs.
        """
        if self.layers == other.layers and self.edges == other.edges:
            return
        if self.layers.keys() != other.layers.keys() and self._uncounted() == other._uncounted():
            path, now = next((a, b) for a, b in zip(self.layers, other.layers, strict=True) if a != b)
            raise PlanError(
                f"the plan was made for another model: {path!r} is called {now!r} here. Keras counts such "
                "names up within a process: name the layers, or call keras.backend.clear_session() before "
                "each model is built or loaded"
            )
        for path, layer in self.layers.items():
            if path not in other.layers:
                close = near_misses(path, other.layers)
                raise PlanError(f"the plan was made for another model: this one has no layer {path!r}{close}")
            if list(other.layers[path]) != list(layer):
                raise PlanError(
                    f"the plan was made for another model: {path!r} is {_say(other.layers[path])} here "
                    f"and {_say(layer)} in the plan"
                )
        extra = sorted(other.layers.keys() - self.layers.keys())
        if extra:
            raise PlanError(f"the plan was made for another model: the layer {extra[0]!r} is not in the plan")
        raise PlanError("the plan was made for another model: the same layers are joined in another way")

    def _uncounted(self) -> list[tuple[str, list[Any]]]:
        return [(paths.uncounted(path), list(layer)) for path, layer in self.layers.items()]


def _say(layer: Any) -> str:
    name, weights = layer
    return f"{name} with " + (", ".join(f"{w[0]} {tuple(w[1])} {w[2]}" for w in weights) or "no weights")


def _edges(graph: ModelGraph) -> list[Any]:
    inputs = {node.key: f"input {number}" for number, node in enumerate(n for n in graph if n.is_input)}
    own = [
        [
            inputs.get(e.source.node, e.source.node),
            e.source.index,
            e.target,
            [str(part) for part in e.argument],
        ]
        for e in graph.edges
    ]
    return [own, [_edges(node.inner) for node in graph if node.inner is not None and node.call_index == 0]]
