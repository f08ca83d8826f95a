"""Which attention heads a rule removes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from surgeon.errors import RuleError
from surgeon.planning.attention_uses import HEADS, OUTPUT, VALUE
from surgeon.planning.channel_uses import Uses
from surgeon.planning.verbs import Skipped


def check_heads(uses: Uses | None, class_name: str, closed: str) -> Uses:
    """Return the heads of a layer.

    Args:
        uses: The channels and heads of the layer, where they are known.
        class_name: Its class.
        closed: Why its weights cannot be cut; empty if they can.

    Raises:
        Skipped: If it has none, or they must stay.
    """
    if closed:
        raise Skipped(f"it {closed}")
    if uses is None or not len(uses.heads):
        known = " and ".join(list(HEADS)[:2])
        raise Skipped(f"{class_name} has no heads that can be told apart: {known} have")
    if uses.fixed:
        raise Skipped(f"its heads must stay: {uses.fixed}")
    return uses


def heads_gone(which: Any, uses: Uses, weights: Mapping[str, Any]) -> set[int]:
    """Return the identities of the heads of a layer that go, those of key and value included.

    Args:
        which: The fraction of the weakest heads, or which heads of the query.
        uses: The heads.
        weights: The weights of the layer.

    Raises:
        RuleError: If there is no such head, none would be left, or key and value heads would be left
            with different numbers of query heads.
    """
    kind, path, count = uses.node.class_name, uses.node.path, len(uses.heads)
    keys = next(one.ids for one in uses.along if one.weight == VALUE and one.axis == 1)
    share = count // len(keys)
    if isinstance(which, float):
        positions = _weakest(which, share, len(keys), weights)
        if not positions:
            return set()
    else:
        positions = picked(which, count, path, "head")
    if len(positions) == count:
        raise RuleError(f"{path!r} would have no head left")
    stay = Counter(number // share for number in range(count) if number not in positions)
    if len(set(stay.values())) > 1:
        left = ", ".join(f"{stay[number]} of number {number}" for number in sorted(stay))
        raise RuleError(
            f"in {path!r} ({kind}) each key and value head serves {share} query heads. All that stay must "
            f"serve equally many, and there would be {left}: take whole groups of {share}, or equally "
            "many of each"
        )
    gone = {int(uses.heads[number]) for number in positions}
    return gone | {int(keys[number]) for number in range(len(keys)) if number not in stay}


def _weakest(fraction: float, share: int, groups: int, weights: Mapping[str, Any]) -> set[int]:
    """Return the heads that matter least; of several groups, whole ones."""
    scores = sums_of_squares(weights[OUTPUT], 0)
    if groups > 1:
        scores = scores.reshape(groups, share).sum(1) + sums_of_squares(weights[VALUE], 1)
        weak = _smallest(scores, fraction)
        return {one * share + number for one in weak for number in range(share)}
    return set(_smallest(scores, fraction))


def _smallest(scores: Any, fraction: float) -> list[int]:
    count = min(round(fraction * len(scores)), len(scores) - 1)
    return [int(one) for one in np.argsort(scores, kind="stable")[:count]]


def picked(which: Any, count: int, path: str, word: str) -> set[int]:
    """Return the positions that a list, a mask or a slice picks.

    Args:
        which: The list, mask or slice.
        count: How many there are.
        path: Path of the layer.
        word: What they are: `"channel"` or `"head"`.

    Raises:
        RuleError: If one of them is out of range.
    """
    has = f"{path!r} has {count} {word}s"
    if isinstance(which, slice):
        return set(range(count)[which])
    if any(isinstance(one, bool) for one in which):
        if not all(isinstance(one, bool) for one in which) or len(which) != count:
            raise RuleError(
                f"{has}: a mask says true or false for each of them, and this one has {len(which)}"
            )
        return {number for number, goes in enumerate(which) if goes}
    beyond = [one for one in which if not -count <= one < count]
    if beyond:
        raise RuleError(
            f"{has}, counted from 0 to {count - 1} (or from -1 to -{count} from the end): "
            f"there is no {word} {', '.join(map(str, beyond[:3]))}"
        )
    return {one % count for one in which}


def sums_of_squares(weight: Any, axis: int) -> Any:
    """Return the sum of the squares at each position along an axis of a weight."""
    value = np.array(keras.ops.convert_to_numpy(weight), "float64")
    return np.square(value).sum(tuple(a for a in range(value.ndim) if a != axis % value.ndim))
