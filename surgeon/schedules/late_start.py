"""A schedule that begins on a model with a later epoch than the first.

Keras's `BackupAndRestore` and `fit(initial_epoch=...)` know nothing of what trained. On a model that was made
anew everything trains, and what the phases before froze would, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from surgeon.errors import RuleError
from surgeon.planning import adjust, is_known_again, outlook

if TYPE_CHECKING:
    from surgeon.schedules.schedule import Schedule

_BEGUN: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
"""By model, and by the digest of a schedule: how many of its phases have begun on it."""


def note(schedule: Schedule, model: Any, epoch: int) -> None:
    """Remember that all phases of a schedule that begin before an epoch have begun on a model."""
    begun = _BEGUN.setdefault(model, {})
    begun[schedule.digest] = max(len(schedule.before(epoch)), begun.get(schedule.digest, 0))


def catch_up(schedule: Schedule, model: Any, epoch: int, data: Any) -> None:
    """Freeze what phases before an epoch froze, on a model that may not have lived through them.

    Nothing that is frozen comes free. Where all is as they left it, nothing happens at all: the optimizer
    keeps all its slots.

    Args:
        schedule: The schedule.
        model: The model. What was changed on it since its phases began is left as it is.
        epoch: The epoch that begins, counted from 0.
        data: What criteria look at that bring no data of their own.

    Raises:
        RuleError: If nobody knows what trained, or it would have to come free.
    """
    before = schedule.before(epoch)
    if _BEGUN.get(model, {}).get(schedule.digest, 0) >= len(before):
        return
    rules = [rule for phase in before for rule in phase.rules]
    by_hand = (
        f"carry them out ahead of fit (for phase in schedule.before({epoch}): surgeon.adjust(model, "
        "phase.rules)), "
    )
    if not all(map(is_known_again, rules)):
        change = outlook(model, rules, data=data, choose=False)
        if change.before != change.after or change.freezes:
            statistics = f" and {_named(change.freezes)} still" if change.freezes else ""
            raise RuleError(
                f"fit begins with epoch {epoch + 1} of a schedule whose phases before chose by values or by "
                f"a predicate. They left {change.after:,} parameters training{statistics}, and of this model "
                f"{change.before:,} train. Go on with schedule.callback(backup=...), in place of "
                "Keras's BackupAndRestore, or with a model that was saved as a .keras file; or "
                f"{by_hand}which chooses anew"
            )
        if change.after < change.size:
            warnings.warn(
                f"fit begins with epoch {epoch + 1} of a schedule whose phases before chose by values or by "
                "a predicate: what trains now is taken for what they chose",
                stacklevel=3,
            )
        return
    change = outlook(model, rules, data=data)
    if change.freezes and change.trains:
        raise RuleError(
            f"fit begins with epoch {epoch + 1} of a schedule. Its phases before would freeze "
            f"{_named(change.freezes)}, and train {_named(change.trains)}, which is frozen here: {by_hand}"
            "or begin with epoch 1 of a schedule of the phases that are left"
        )
    if change.freezes:
        adjust(model, rules, data=data)
    elif change.trains:
        warnings.warn(
            f"fit begins with epoch {epoch + 1} of a schedule. Its phases before would train "
            f"{_named(change.trains)}, which is frozen here and stays so",
            stacklevel=3,
        )


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(map(repr, paths[:3])) + more
