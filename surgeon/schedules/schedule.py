"""Phases of rules on a live model."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from surgeon.errors import ModelError, RuleError
from surgeon.planning import adjust, check_rules
from surgeon.rules import TrainabilityRule, as_rules
from surgeon.schedules.backup import read_backup, write_backup

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Phase:
    """Some epochs in which the same elements train.

    Attributes:
        rules: `freeze` and `train` rules; they start from what trained in the phase before.
        epochs: How many epochs it lasts.

    Example:
        >>> import surgeon
        >>> print(surgeon.Phase(surgeon.train("head"), epochs=2))
        2 × [train('head')]
    """

    rules: Any
    epochs: int = 1

    def __post_init__(self) -> None:
        rules = as_rules(self.rules)
        odd = next((rule for rule in rules if not isinstance(rule, TrainabilityRule)), None)
        if odd is not None:
            raise RuleError(f"{odd} changes a model's layers, which a phase cannot: rewrite the model first")
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise RuleError(f"a phase lasts a whole number of epochs from 1 up, not {self.epochs!r}")
        object.__setattr__(self, "rules", rules)

    def __str__(self) -> str:
        return f"{self.epochs} × [{', '.join(map(str, self.rules))}]"


class Schedule:
    """Phases, one after the other, on one live model.

    Before each phase its rules change what trains, as `adjust` does: no value changes, and the optimizer
    remembers what it knows of every element that goes on training.

    Args:
        phases: The phases in order.

    Raises:
        RuleError: If there are none, or something that is no phase is among them.

    Example:
        >>> import keras, numpy, surgeon
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")]
        ... )
        >>> schedule = Schedule([Phase(surgeon.freeze("a"), epochs=2), Phase(surgeon.train("a"))])
        >>> x, y = numpy.ones((8, 4)), numpy.ones((8, 2))
        >>> model.compile("adam", "mse")
        >>> _ = model.fit(x, y, epochs=schedule.epochs, callbacks=[schedule.callback()], verbose=0)
        >>> len(model.trainable_variables)
        4
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        if isinstance(phases, Phase):
            raise RuleError(f"a schedule is a list of phases: write Schedule([{phases!r}])")
        self.phases = tuple(phases)
        odd = next((phase for phase in self.phases if not isinstance(phase, Phase)), None)
        if odd is not None:
            raise RuleError(f"{odd!r} is no phase: write Phase({odd!r}, epochs=1)")
        if not self.phases:
            raise RuleError("a schedule has at least one phase")

    @property
    def epochs(self) -> int:
        """How many epochs all phases last."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def digest(self) -> str:
        """A short name for it: equal schedules have equal digests."""
        rules = [rule for phase in self.phases for rule in phase.rules]
        parts = [part for rule in rules for part in rule.selections.values() if not part.is_chosen]
        # A long list or a mask is not told by its text.
        listed = [json.dumps(part.to_data()) for part in parts]
        return hashlib.sha256("\n".join([str(self), *listed]).encode()).hexdigest()[:16]

    def starting_at(self, epoch: int) -> Phase | None:
        """Return the phase that begins with an epoch, if one does."""
        for phase in self.phases:
            if epoch == 0:
                return phase
            epoch -= phase.epochs
        return None

    def check(self, model: Any) -> None:
        """Find out now whether the rules of every phase fit a model, and not when a phase begins.

        `run`, and the callback when `fit` begins, do so by themselves. Neither values nor data are looked at,
        and predicates of `where`, which may look at what trains by then, are not asked.

        Args:
            model: A built functional or Sequential model.

        Raises:
            RuleError: If a layer or a weight is not there, or a selection does not fit; names the phase.
            ModelError: If a rule means a weight that a model owns itself.

        Example:
            >>> import keras, surgeon
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
            >>> schedule = Schedule([Phase(surgeon.freeze("head")), Phase(surgeon.train("haed"))])
            >>> schedule.check(model)  # doctest: +ELLIPSIS
            Traceback (most recent call last):
            surgeon.errors.NoMatchError: phase 2: ...: no layer matches 'haed'; close: 'head'...
        """
        for number, phase in enumerate(self.phases, 1):
            try:
                check_rules(model, phase.rules)
            except (ModelError, RuleError) as error:
                raise type(error)(f"phase {number}: {error}") from error

    def run(
        self, model: Any, *, backup: str | os.PathLike[str] | None = None, data: Any = None
    ) -> Iterator[Phase]:
        """Yield each phase once its rules were carried out, for a loop that trains in its own way.

        Args:
            model: A built functional or Sequential model, compiled if its optimizer shall go on.
            backup: A file that is written after each phase and removed after the last. If it is there, the
                run goes on from it, with the same elements training.
            data: What criteria look at that bring no data of their own.

        Raises:
            RuleError: If a rule of any phase does not fit the model, or the backup is of another schedule or
                another model.

        Example:
            >>> import keras, surgeon
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
            >>> for phase in Schedule([Phase(surgeon.freeze("d")), Phase(surgeon.train("d"))]).run(model):
            ...     print(phase, len(model.trainable_variables))
            1 × [freeze('d')] 0
            1 × [train('d')] 2
        """
        self.check(model)
        done = 0
        if backup is not None and Path(backup).exists():
            done = read_backup(backup, model, self.digest)
        for number, phase in enumerate(self.phases):
            if number < done:
                continue
            adjust(model, phase.rules, data=data)
            yield phase
            if backup is not None:
                write_backup(backup, model, self.digest, number + 1)
        if backup is not None:
            Path(backup).unlink(missing_ok=True)

    def callback(
        self, *, backup: str | os.PathLike[str] | None = None, data: Any = None
    ) -> keras.callbacks.Callback:
        """Return a callback that carries the schedule out in one `fit(..., epochs=schedule.epochs)`.

        A run that was stopped goes on after the last epoch that ended, with the same elements training and
        the same optimizer state, if the model is made and compiled as it was and `fit` is called as it was.
        It ends with the same weights, bit for bit, if the data come in the same order (`shuffle=False`, or
        data that say themselves what an epoch holds).

        The history that `fit` returns has `trainable`: how many parameters trained in each epoch.

        Args:
            backup: A file that is written after each epoch and removed after the last.
            data: What criteria look at that bring no data of their own.
        """
        from surgeon.schedules.callback import ScheduleCallback

        return ScheduleCallback(self, backup=backup, data=data)

    def before(self, epoch: int) -> tuple[Phase, ...]:
        """Return the phases that begin before an epoch."""
        starts = itertools.accumulate((phase.epochs for phase in self.phases), initial=0)
        return tuple(phase for phase, start in zip(self.phases, starts, strict=False) if start < epoch)

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse: Keras asks for a callback's methods where a schedule stands among the callbacks.

        Raises:
            RuleError: If it is one of these.
            AttributeError: If not.
        """
        if name == "set_model" or name.startswith("on_"):
            raise RuleError("a schedule is no callback: write callbacks=[schedule.callback()]")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __str__(self) -> str:
        return "\n".join(map(str, self.phases))

    def __repr__(self) -> str:
        return f"<Schedule of {len(self.phases)} phases, {self.epochs} epochs>"
