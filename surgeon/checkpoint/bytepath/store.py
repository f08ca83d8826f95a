"""Byte plans on disk: made once, used for every file of the architecture, in any run, on any machine."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import filelock

from surgeon.checkpoint.bytepath.plan import BytePlan
from surgeon.errors import PlanError

_MOST_IDLE = 8


class PlanStore:
    """Plans by key; safe to use from several threads, processes and runs on one folder.

    Sent to another process it is the one store that this process has for the folder.

    Args:
        folder: Where they lie, as JSON. It is made when the first one is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plans: dict[str, list[BytePlan]] = {}
        self._reasons: dict[str, str] = {}
        self._uses: Counter[str] = Counter()
        self._made: set[str] = set()
        self._met: set[str] = set()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _store_of, (self._folder,)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the lock under which a plan for a key is made, so that it is made once."""
        with self._guard:
            lock = self._locks[key]
        self._folder.mkdir(parents=True, exist_ok=True)
        with lock, filelock.FileLock(self._folder / f"{key}.lock"):
            yield

    def plans(self, key: str) -> list[BytePlan]:
        """Return the plans that a file with this key may fit."""
        found = self._plans.get(key)
        if found is None:
            found = [
                plan for path in sorted(self._folder.glob(f"{key}-*.json")) if (plan := _read(path, key))
            ]
            if not found:  # another process may add some
                return []
            with self._guard:
                found = self._plans.setdefault(key, found)
        return found

    def add(self, plan: BytePlan) -> None:
        """Keep a plan."""
        self.plans(plan.key)
        with self._guard:
            self._plans.setdefault(plan.key, []).append(plan)
            self._made.add(plan.key)
        self._folder.mkdir(parents=True, exist_ok=True)
        final = self._folder / f"{plan.key}-{plan.rest[:16]}.json"
        temp = final.with_suffix(f".{secrets.token_hex(4)}.tmp")
        temp.write_text(plan.to_json(), encoding="utf-8")
        temp.replace(final)

    def promise(self, key: str) -> None:
        """Note that a plan for a key would be made, where none is."""
        with self._guard:
            self._made.add(key)

    def is_promised(self, key: str) -> bool:
        """Whether a plan for a key was made, or would be, in this run."""
        return key in self._made

    def used(self, key: str) -> None:
        """Note that a plan for a key has served a file."""
        with self._guard:
            self._uses[key] += 1

    def is_worth_it(self, key: str) -> bool:
        """Whether to make a plan, which costs what Keras needs for four files.

        Not where the plans that this run has made serve one file each, as in folders of models whose layers
        Keras has numbered on: then only for what comes up a second time.
        """
        with self._guard:
            again = key in self._met
            self._met.add(key)
            return again or sum(self._uses[made] < 2 for made in self._made) < _MOST_IDLE

    def give_up(self, key: str, reason: str) -> None:
        """Note that there is no plan for a key."""
        with self._guard:
            self._reasons[key] = reason

    def why_not(self, key: str) -> str | None:
        """Return why there is no plan for a key, if that was found out in this run."""
        return self._reasons.get(key)


@cache
def _store_of(folder: Path) -> PlanStore:
    return PlanStore(folder)


def _read(path: Path, key: str) -> BytePlan | None:
    try:
        plan = BytePlan.from_json(path.read_text(encoding="utf-8"))
    except (PlanError, OSError, UnicodeDecodeError):
        return None  # made anew
    return plan if plan.key == key else None
