"""The layers of two models as rows of one table, in as few bytes as a page can bear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from surgeon.diagrams.view import text_of_shape
from surgeon.graph import ModelGraph, Node, Weight

Members = Sequence[tuple[str, tuple[str, ...]]]


def layer_rows(before: ModelGraph, after: ModelGraph, old: Members, new: Members) -> list[list[Any]]:
    """Return one row for each layer of either model, in the order of running.

    Args:
        before: The model as it was.
        after: The model as it is.
        old: For each id in the picture of `before` the calls that it stands for.
        new: The same for `after`.

    Returns:
        Rows of path, class, output shape, weights, id before, id after (each `""` where there is
        none). A weight is name, shape, size, whether it is a parameter, and how many of its
        elements train before and after (-1 where there is no such weight). Of state, which never
        trains, these two tell how many elements hold still.
    """
    olds, news = dict(_layers(before, "")), dict(_layers(after, ""))
    old_ids, new_ids = _ids(old), _ids(new)
    return [
        _row(olds.get(key), news.get(key), _id_of(key, old_ids), _id_of(key, new_ids))
        for key in _merged(list(olds), list(news))
    ]


def _layers(graph: ModelGraph, prefix: str) -> Iterator[tuple[str, Node]]:
    for node in graph:
        if node.call_index == 0:
            yield prefix + node.key, node
            if node.inner is not None:
                yield from _layers(node.inner, f"{prefix}{node.key}/")


def _ids(members: Members) -> dict[str, str]:
    return {key: name for name, keys in members for key in keys}


def _id_of(key: str, ids: Mapping[str, str]) -> str:
    """Return the card that shows a layer: its own, the heading of an open model, or what is around it."""
    if key not in ids:
        inside = next((name for other, name in ids.items() if other.startswith(key + "/")), None)
        if inside is not None:
            return inside
    while key not in ids:
        key, slash, _ = key.rpartition("/")
        if not slash:
            return ""
    return ids[key]


def _merged(olds: list[str], news: list[str]) -> list[str]:
    """Return the keys of both, each after its predecessor in one of them."""
    known, kept = set(olds), set(news)
    merged: list[str] = []
    waiting = iter(news)
    for key in olds:
        if key in kept:
            for other in waiting:
                if other == key:
                    break
                if other not in known:
                    merged.append(other)
        merged.append(key)
    seen = set(merged)
    return merged + [key for key in news if key not in seen]


def _row(old: Node | None, new: Node | None, old_id: str, new_id: str) -> list[Any]:
    node = new or old
    assert node is not None  # noqa: S101 - a key comes from one of the two
    shape = text_of_shape(node.outputs[0].shape) if node.outputs else ""
    classes = [one.class_name for one in (old, new) if one is not None]
    name = " → ".join(dict.fromkeys(classes))
    weights = _weights(old, new) if node.inner is None else []
    return [node.path or node.name, name, shape, weights, old_id if old else "", new_id if new else ""]


def _weights(old: Node | None, new: Node | None) -> list[list[Any]]:
    olds, news = ({weight.path: weight for weight in node.weights} if node else {} for node in (old, new))
    rows = []
    for path in {**olds, **news}:
        old_one, new_one = olds.get(path), news.get(path)
        if old_one is not None and new_one is not None and old_one.shape != new_one.shape:
            rows += [_weight(path, old_one, None), _weight(path, None, new_one)]
        else:
            rows.append(_weight(path, old_one, new_one))
    return rows


def _weight(path: str, old: Weight | None, new: Weight | None) -> list[Any]:
    weight = new or old
    assert weight is not None  # noqa: S101 - as above
    shape = "×".join(map(str, weight.shape)) or "scalar"
    counts = [-1 if one is None else one.size if one.still else one.trainable for one in (old, new)]
    return [path, shape, weight.size, int(weight.role == "parameter"), *counts]
