"""A schedule within one `fit`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from surgeon import _keras
from surgeon.planning import adjust
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
            _keras.resume_fit_at(self.model, read_backup(self.backup, self.model, self.schedule.digest))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Change what trains, if a phase begins with this epoch."""
        del logs
        phase = self.schedule.starting_at(epoch)
        if phase is not None:
            adjust(self.model, phase.rules, data=self.data)

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
