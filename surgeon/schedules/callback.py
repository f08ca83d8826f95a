"""A schedule within one `fit`."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from surgeon import _keras
from surgeon.planning import adjust
from surgeon.schedules import late_start
from surgeon.schedules.backup import read_backup, write_backup

if TYPE_CHECKING:
    from surgeon.schedules.schedule import Schedule


class ScheduleCallback(keras.callbacks.Callback):
    """Carries out the rules of each phase when its first epoch begins. Made by `Schedule.callback`."""

    def __init__(
        self, schedule: Schedule, *, backup: str | os.PathLike[str] | None = None, data: Any = None
    ) -> None:
        super().__init__()
        self.schedule, self.data = schedule, data
        self.backup = None if backup is None else Path(backup)

    def on_train_begin(self, logs: Any = None) -> None:
        """Check the rules of every phase, and go on from the backup, if there is one.

        Raises:
            RuleError: If a rule of any phase does not fit the model, or the backup is of another schedule or
                another model.
        """
        del logs
        self.schedule.check(self.model)
        if self.backup is not None and self.backup.exists():
            done = read_backup(self.backup, self.model, self.schedule.digest)
            _keras.resume_fit_at(self.model, done)
            late_start.note(self.schedule, self.model, done)
        epochs = (self.params or {}).get("epochs")
        if epochs and len(self.schedule.before(epochs)) < len(self.schedule.phases):
            warnings.warn(
                f"fit ends after {epochs} epochs, and the schedule has {self.schedule.epochs}: its last "
                "phases do not begin. Write fit(..., epochs=schedule.epochs)",
                stacklevel=2,
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Change what trains, if a phase begins with this epoch.

        Raises:
            RuleError: If `fit` did not begin with the first epoch, and nobody knows what trained before.
        """
        del logs
        late_start.catch_up(self.schedule, self.model, epoch, self.data)
        phase = self.schedule.starting_at(epoch)
        if phase is not None:
            adjust(self.model, phase.rules, data=self.data)
        late_start.note(self.schedule, self.model, epoch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record how many parameters trained, and write the backup."""
        if logs is not None:
            logs["trainable"] = sum(math.prod(variable.shape) for variable in self.model.trainable_variables)
        if self.backup is not None:
            write_backup(self.backup, self.model, self.schedule.digest, epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Remove the backup: the run has come to its end."""
        del logs
        if self.backup is not None:
            self.backup.unlink(missing_ok=True)
            _keras.resume_fit_at(self.model, None)
