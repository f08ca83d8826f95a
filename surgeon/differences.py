"""What differs between two models."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from surgeon import paths
from surgeon.diagrams import draw_change
from surgeon.graph import ModelGraph, Node, Weight
from surgeon.roundtrip import sites, to_graph


@dataclass(frozen=True)
class Retrained:
    """How far one weight has moved.

    Attributes:
        path: Path of the weight.
        moved: How many of its elements have another value.
        size: How many it has.
        largest: The largest change of one element.
        relative: L2 norm of the change, over that of the weight before or after, whichever is larger: a bias
            that was zero has moved by 1, not by infinitely much.
    """

    path: str
    moved: int
    size: int
    largest: float
    relative: float = 0.0


@dataclass(frozen=True)
class Difference:
    """What differs between two models.

    Attributes:
        added: Layers that only the second model has.
        removed: Layers that only the first model has.
        renamed: Layers that have another name in the second model, and the same class and weights.
        changed: Layers of another class, with another setting, weights of another shape or state that
            training now leaves alone (or no longer does), with what is different.
        moved: Layers that read other layers than before, with those.
        frozen: Weights of which a smaller part trains: path, trainable elements before and after.
        released: Weights of which a larger part trains, likewise.
        retrained: Weights with other values.
        graphs: The two graphs, for the picture.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    frozen: tuple[tuple[str, int, int], ...] = ()
    released: tuple[tuple[str, int, int], ...] = ()
    retrained: tuple[Retrained, ...] = ()
    graphs: tuple[ModelGraph, ...] = field(default=(), compare=False, repr=False)

    def __bool__(self) -> bool:
        return any(value for name, value in vars(self).items() if name != "graphs")

    def to_json(self) -> str:
        """Return the difference as JSON."""
        return json.dumps(
            {name: value for name, value in asdict(replace(self, graphs=())).items() if name != "graphs"}
        )

    def diagram(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Draw the two models side by side, with what differs marked.

        Args:
            path: Where to write it: `.svg`, `.png` or `.dot`. Nothing is written without it.
            **options: As for `surgeon.diagrams.draw_change`.

        Raises:
            RenderError: If the picture cannot be made.
        """
        drawing = draw_change(*self.graphs, **options)
        if path is not None:
            drawing.save(path)
        return drawing

    def __str__(self) -> str:
        lines = [f"+ {path}" for path in self.added] + [f"- {path}" for path in self.removed]
        lines += [f"~ {old}: is now called {new}" for old, new in self.renamed]
        lines += [f"~ {path}: {what}" for path, what in self.changed]
        lines += [f"> {path}: {what}" for path, what in self.moved]
        lines += [_moves_text(*move, "less", "smaller") for move in self.frozen]
        lines += [_moves_text(*move, "more", "larger") for move in self.released]
        lines += [
            f"  {r.path}: {r.moved:,} of {r.size:,} moved, by up to {r.largest:.3g}, {r.relative:.2%} in all"
            for r in self.retrained
        ]
        return "\n".join(lines) or "no difference"


def diff(before: Any, after: Any) -> Difference:
    """Return what differs between two models: layers, how they are joined, what trains, and values.

    Args:
        before: A built functional or Sequential model.
        after: Another one.

    Raises:
        NoGraphError: If one of them has no graph.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="d")])
        >>> print(diff(model, model))
        no difference
    """
    graphs = to_graph(before), to_graph(after)
    olds, news = ({site.path: site for site in sites(graph)} for graph in graphs)
    renamed = _renamed(olds, news)
    changed: list[tuple[str, str]] = []
    frozen: list[tuple[str, int, int]] = []
    released: list[tuple[str, int, int]] = []
    for path in (path for path in olds if path in news):
        changed += _changed(olds[path], news[path])
        old_rows, new_rows = (_own(site.weights) for site in (olds[path], news[path]))
        for name in (name for name in old_rows if name in new_rows):
            old, new = old_rows[name], new_rows[name]
            where = paths.join(path, name)
            if old.shape != new.shape:
                changed.append((where, f"shape {old.shape} → {new.shape}"))
            if old.still != new.still:
                changed.append((where, "the state holds still" if new.still else "the state moves again"))
            # As parts of the whole, which may be of another size now.
            parts = old.trainable * new.size, new.trainable * old.size
            if parts[0] != parts[1]:
                moves = frozen if parts[1] < parts[0] else released
                moves.append((where, old.trainable, new.trainable))
    return Difference(
        added=tuple(path for path in news if path not in olds and path not in renamed.values()),
        removed=tuple(path for path in olds if path not in news and path not in renamed),
        renamed=tuple(renamed.items()),
        changed=tuple(changed),
        moved=tuple(_moved(*graphs, renamed)),
        frozen=tuple(frozen),
        released=tuple(released),
        retrained=tuple(_retrained(before, after)),
        graphs=graphs,
    )


def _moves_text(path: str, before: int, after: int, word: str, part: str) -> str:
    is_plain = after < before if word == "less" else after > before
    how = f"{word} than before" if is_plain else f"a {part} part of it than before"
    return f"  {path}: {before:,} → {after:,} train, {how}"


def _renamed(olds: Mapping[str, Node], news: Mapping[str, Node]) -> dict[str, str]:
    """Pair layers that are in one model only and have the same class, settings and, bit for bit, weights."""
    gone = [site for path, site in olds.items() if path not in news and _values(site)]
    come = [site for path, site in news.items() if path not in olds and _values(site)]
    pairs: dict[str, str] = {}
    for old in gone:
        for new in come:
            if new.path not in pairs.values() and old.class_name == new.class_name and _same(old, new):
                pairs[old.path] = new.path
                break
    return pairs


def _values(site: Node) -> list[Any]:
    return [] if site.inner is not None else list(paths.own_weights(site.op).values()) if site.weights else []


def _same(old: Node, new: Node) -> bool:
    pairs = list(zip(_values(old), _values(new), strict=False))
    return len(_values(old)) == len(_values(new)) and all(
        tuple(a.shape) == tuple(b.shape) and np.array_equal(_array(a), _array(b)) for a, b in pairs
    )


def _changed(old: Node, new: Node) -> list[tuple[str, str]]:
    if old.class_name != new.class_name:
        return [(old.path, f"{old.class_name} → {new.class_name}")]
    if old.inner is not None or old.is_input:
        return []
    one, other = (_settings(site) for site in (old, new))
    differing = [key for key in one if key in other and one[key] != other[key]]
    return [(old.path, f"{key} {_shown(one[key])} → {_shown(other[key])}") for key in differing]


def _settings(site: Node) -> dict[str, Any]:
    left_out = ("name", "trainable", "dtype", "build_config", "shared_object_id")
    return {key: _plain(value) for key, value in site.config.items() if key not in left_out}


def _plain(value: Any) -> Any:
    """Return a setting as Keras would save it, so that equal ones are equal."""
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if key != "shared_object_id"}
    return f"{type(value).__name__} {getattr(value, '__name__', '')}".strip()


def _shown(value: Any) -> str:
    name = value.get("class_name") if isinstance(value, dict) else None
    return str(name or repr(value))


def _moved(before: ModelGraph, after: ModelGraph, renamed: Mapping[str, str]) -> list[tuple[str, str]]:
    olds, news = _reads(before, renamed), _reads(after, {})
    return [
        (path, f"reads {', '.join(news[path]) or 'nothing'}, before {', '.join(reads) or 'nothing'}")
        for path, reads in olds.items()
        if path in news and news[path] != reads
    ]


def _reads(graph: ModelGraph, renamed: Mapping[str, str]) -> dict[str, list[str]]:
    """Return which layers each layer reads, by path. Inputs, whose names Keras makes up, are left out."""
    found: dict[str, list[str]] = {}
    for node in graph:
        if isinstance(node.op, keras.layers.Layer) and not node.is_input:
            sources = [graph[ref.node] for ref in node.sources]
            names = [renamed.get(source.path, source.path) for source in sources if not source.is_input]
            found.setdefault(renamed.get(node.path, node.path), []).extend(names)
        if node.inner is not None and node.call_index == 0:
            found |= _reads(node.inner, renamed)
    return found


def _own(weights: tuple[Weight, ...]) -> dict[str, Weight]:
    return {weight.path: weight for weight in weights if "/" not in weight.path}


def _array(variable: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(variable.value))


def _retrained(before: Any, after: Any) -> list[Retrained]:
    olds, news = (
        {paths.join(path, name): variable for path, name, _, variable in paths.weights(model)}
        for model in (before, after)
    )
    found = []
    for path in (path for path in olds if path in news):
        old, new = (_array(v[path]) for v in (olds, news))
        if old.shape == new.shape and (moved := int((old != new).sum())):
            change = old.astype("float64") - new.astype("float64")
            found.append(
                Retrained(path, moved, old.size, float(np.abs(change).max()), relative_change(old, new))
            )
    return found


def relative_change(old: NDArray[Any], new: NDArray[Any]) -> float:
    """Return the L2 norm of a change over that of before or after, whichever is larger: 0 if neither is any.

    Example:
        >>> relative_change(np.array([0.0, 0.0]), np.array([0.0, 1.0]))
        1.0
    """
    old, new = old.astype("float64"), new.astype("float64")
    norm = max(float(np.linalg.norm(old)), float(np.linalg.norm(new)))
    return float(np.linalg.norm(new - old)) / norm if norm else 0.0
