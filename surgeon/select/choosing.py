"""`channels`, `rows` and `elements`: from what a person typed to a checked selection."""

from __future__ import annotations

import numbers
import re
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surgeon.errors import SelectionError, near_misses
from surgeon.select.choice import Amount, Choice, Listed, Masked, Over, Sliced
from surgeon.select.criteria import MAGNITUDE, RANDOM
from surgeon.select.data_criteria import CRITERIA, Criterion, criterion
from surgeon.select.selection import Kind, Selection

By = str | Criterion | None
_WANTED = "a fraction, a count, positions, a slice or a boolean mask"

Which = float | slice | Sequence[int] | Sequence[bool] | ArrayLike


def channels(
    which: Which, *, by: By = None, seed: int | None = None, over: Over = "weight", keep: float | None = None
) -> Selection:
    """Select output channels of a weight.

    Args:
        which: A `float` is a fraction, above 0 and at most 1, rounded half up but at least one
            channel; an `int` is a count; both need `by`. A list of positions (negative ones
            count from the end), a slice or a boolean mask, one entry a channel, says which.
        by: `"magnitude"`: those with the largest L2 norm first. `"random"`: by lot. Or one that looks at
            data: `fisher(data)`, `gradient(data)`, `snip(data)`, `movement(data)`, `activation(data)`,
            `relative_gradient_norm(data)`; given by its name alone, it takes the `data` of `rewrite` or
            `Plan.apply`.
        seed: For `by="random"`: another seed, another draw. 0 unless given. Each weight gets
            its own draw, the same one everywhere.
        over: What the amount is of. `"weight"`: of each weight. `"layer"`: of each layer, the rule's
            weights with this same selection ranked together. `"model"`: of all weights of the rule with
            this selection.
        keep: Of what trains in part already, this fraction goes on training: what has moved most since its
            selection last changed. The criterion fills up the rest. 1.0 lets a budget grow, 0.7
            exchanges the 30 % that moved least.

    Raises:
        SelectionError: If this makes no sense for any weight.

    Example:
        >>> channels(0.1, by="magnitude"), channels(8, by="random", seed=7), channels(slice(0, 8))
        (channels(0.1, by='magnitude'), channels(8, by='random', seed=7), channels(slice(0, 8)))
    """
    return Selection("channels", checked_choice("channels", which, by, seed, over, keep))


def rows(
    which: Which, *, by: By = None, seed: int | None = None, over: Over = "weight", keep: float | None = None
) -> Selection:
    """Select input rows of a weight: words of an embedding, inputs of a kernel.

    Args:
        which: As for `channels`.
        by: As for `channels`.
        seed: As for `channels`.
        over: As for `channels`.
        keep: As for `channels`.

    Raises:
        SelectionError: If this makes no sense for any weight.

    Example:
        >>> rows([2, -1])
        rows([2, -1])
    """
    return Selection("rows", checked_choice("rows", which, by, seed, over, keep))


def elements(
    which: Which, *, by: By = None, seed: int | None = None, over: Over = "weight", keep: float | None = None
) -> Selection:
    """Select single elements of a weight.

    Args:
        which: As for `channels`; positions count the elements in C order, and a boolean mask
            has the shape of the weight.
        by: As for `channels`, by absolute value.
        seed: As for `channels`.
        over: As for `channels`.
        keep: As for `channels`.

    Raises:
        SelectionError: If this makes no sense for any weight.

    Example:
        >>> elements(0.01, by="magnitude")
        elements(0.01, by='magnitude')
    """
    return Selection("elements", checked_choice("elements", which, by, seed, over, keep))


def checked_choice(
    kind: Kind, which: Any, by: By, seed: int | None, over: Over = "weight", keep: float | None = None
) -> Choice:
    """Return what a person typed as a choice.

    Raises:
        SelectionError: If this makes no sense for any weight.
    """
    if isinstance(which, np.ndarray | np.generic) and which.ndim == 0:
        which = which.item()
    if isinstance(which, numbers.Real) and not isinstance(which, bool):
        return checked_amount(kind, which, by, seed, over, keep)
    if not isinstance(which, slice):
        _check_is_list(kind, which, by)
    given = {"by": (by, None), "seed": (seed, None), "over": (over, "weight"), "keep": (keep, None)}
    for key, (value, default) in given.items():
        if value is not default and not (isinstance(value, str) and value == default):
            raise SelectionError(
                f"{kind}(...) has {key}={value!r}, but it already says which: {key}={value!r} belongs to a "
                "count or a fraction"
            )
    if isinstance(which, slice):
        return _sliced(kind, which)
    return _listed(kind, which)


def checked_amount(
    kind: Kind, which: Any, by: By, seed: int | None, over: Over = "weight", keep: float | None = None
) -> Amount:
    """Return a count or a fraction that a person typed, with its criterion.

    Raises:
        SelectionError: If this makes no sense for any weight.
    """
    typed = f"{kind}({which})"
    whole = isinstance(which, numbers.Integral)
    if whole and int(which) < 1:
        raise SelectionError(f"{typed}: a count is at least 1. Nothing trains with freeze(...)")
    if not whole and not 0 < float(which) <= 1:
        hint = (
            f"; a count is a whole number: {kind}({int(float(which))}, ...)"
            if float(which).is_integer()
            else ""
        )
        raise SelectionError(f"{typed}: a fraction is above 0 and at most 1{hint}")
    if by is None:
        hint = f", or {kind}([{which}]) for number {which} alone" if whole else ""
        raise SelectionError(f"{typed} does not say which: add by='magnitude' or by='random'{hint}")
    by = _by(typed, kind, by)
    if seed is not None:
        if by != RANDOM:
            raise SelectionError(f"{typed}: seed={seed!r} belongs to by='random', not to by={by!r}")
        if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
            raise SelectionError(f"{typed}: a seed is a whole number from 0 up, not {seed!r}")
    if over not in get_args(Over):
        close = near_misses(over, get_args(Over)) if isinstance(over, str) else ""
        raise SelectionError(f"{typed}: over is 'weight', 'layer' or 'model', not {over!r}{close}")
    if keep is not None and (
        isinstance(keep, bool) or not isinstance(keep, numbers.Real) or not 0 <= keep <= 1
    ):
        raise SelectionError(f"{typed}: keep is a fraction from 0 to 1, not {keep!r}")
    amount = int(which) if whole else float(which)
    kept = None if keep is None else float(keep)
    return Amount(amount, by, int(seed or 0), is_fraction=not whole, over=over, keep=kept)


def _by(typed: str, kind: Kind, by: str | Criterion) -> str | Criterion:
    if isinstance(by, str) and by in CRITERIA:
        by = by if by in (MAGNITUDE, RANDOM) else criterion(by, {})
    elif callable(by) and getattr(by, "__name__", "") in CRITERIA:
        raise SelectionError(f"{typed}: write by={by.__name__}(data)")
    elif not isinstance(by, Criterion):
        close = near_misses(by, CRITERIA) if isinstance(by, str) else ""
        raise SelectionError(f"{typed}: no criterion {by!r}{close}; there are {', '.join(CRITERIA)}")
    if kind in ("along", "blocks", "n_of_m") and isinstance(by, Criterion):
        raise SelectionError(f"{typed}: {kind} ranks by 'magnitude' or 'random', not by {by.name!r}")
    if kind != "channels" and isinstance(by, Criterion) and by.name == "activation":
        raise SelectionError(f"{typed}: activation ranks channels, not {kind}: choose by='fisher', for one")
    return by


def _check_is_list(kind: Kind, which: Any, by: By) -> None:
    """Refuse what is neither an amount nor a list.

    Raises:
        SelectionError: If it is that; says what to write instead.
    """
    is_list = hasattr(which, "__len__") or hasattr(which, "__array__")
    if isinstance(which, str | bytes | dict | set | frozenset | Selection) or not is_list:
        raise SelectionError(f"{kind}(...) takes {_WANTED}, not {which!r}{_instead(kind, which, by)}")


def _instead(kind: Kind, which: Any, by: By) -> str:
    by = MAGNITUDE if by is None else by
    if which is None:
        some = f"{_call(kind, 0.1, by)} or {_call(kind, 8, by)}"
        return f": say how many, {some}, or which ones, {_call(kind, [0, 3])}"
    if isinstance(which, Selection):
        return ", which is a selection already: pass it as it is"
    if isinstance(which, Criterion) or (isinstance(which, str) and which in CRITERIA):
        return f", which ranks them: say how many, too, {_call(kind, 0.1, which)}"
    if isinstance(which, str):
        return _instead_of_text(kind, which, by)
    if isinstance(which, set | frozenset) and all(isinstance(one, numbers.Integral) for one in which):
        return f": write {_call(kind, sorted(which))}"
    return ""


def _instead_of_text(kind: Kind, which: str, by: By) -> str:
    number = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", which)
    if number is not None:
        text, percent = number.groups()
        amount = float(text) / (100 if percent else 1)
        if 0 < amount <= 1 or (not percent and amount.is_integer() and amount):
            return f": write {_call(kind, amount if percent else text, by)}"
        return ""
    call = f"train({which!r}, kernel={_call(kind, 0.1, by)})"
    return f", which is text. The rule says of which layers and weights it is a part: {call}"


def _call(kind: Kind, amount: Any, by: By = None) -> str:
    axis, of = "axis, " * (kind == "along"), ", of=..." * (kind == "blocks")
    return f"{kind}({axis}{amount}{of}{'' if by is None else f', by={by!r}'})"


def _sliced(kind: Kind, which: slice) -> Sliced:
    for part in (which.start, which.stop, which.step):
        if part is not None and (isinstance(part, bool) or not isinstance(part, numbers.Integral)):
            raise SelectionError(f"{kind}({which}): a slice has whole numbers, not {part!r}")
    if which.step == 0:
        raise SelectionError(f"{kind}({which}): the step of a slice is not 0")
    start, stop, step = (
        None if part is None else int(part) for part in (which.start, which.stop, which.step)
    )
    return Sliced(start, stop, step)


def _listed(kind: Kind, which: Any) -> Listed | Masked:
    try:
        array = np.asarray(which)
    except (ValueError, TypeError) as error:
        raise SelectionError(f"{kind}(...) takes {_WANTED}; this is no regular array: {error}") from error
    if not array.size:
        raise SelectionError(f"{kind}(...) of an empty list selects nothing")
    if array.dtype == bool:
        return _masked(kind, array)
    mixed = isinstance(which, list | tuple) and any(isinstance(one, bool | np.bool_) for one in which)
    if mixed or array.ndim != 1 or array.dtype.kind not in "iu":
        what = "numbers mixed with True and False" if mixed else f"{array.dtype} of shape {array.shape}"
        is_mask = array.dtype.kind in "iuf" and array.ndim > 1 and np.isin(array, (0, 1)).all()
        meant = ". A mask is boolean: mask.astype(bool)" if is_mask else ""
        raise SelectionError(f"{kind}(...): positions are a flat list of whole numbers, not {what}{meant}")
    if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
        raise SelectionError(f"{kind}(...): {array.max()} is no position in any weight")
    index = array.astype(np.int64)
    index.flags.writeable = False
    return Listed(index)


def _masked(kind: Kind, array: NDArray[np.bool_]) -> Masked:
    if kind != "elements" and array.ndim != 1:
        raise SelectionError(
            f"{kind}(...): a mask has one entry for each of the {kind}, not the shape {array.shape}: "
            "a mask of single elements is elements(mask)"
        )
    if not array.any():
        raise SelectionError(f"{kind}(...) of a mask that is nowhere true selects nothing")
    mask = array.copy()
    mask.flags.writeable = False
    return Masked(mask)
