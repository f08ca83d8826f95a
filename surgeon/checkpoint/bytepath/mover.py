"""One file by the byte path: looked at, matched with a plan, moved, synced."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from surgeon.checkpoint.budgets import DEFAULT, Budgets
from surgeon.checkpoint.bytepath.executor import Executed, execute, fits
from surgeon.checkpoint.bytepath.opened import Opened, file_key, opened
from surgeon.checkpoint.bytepath.plan import BytePlan
from surgeon.checkpoint.bytepath.store import PlanStore
from surgeon.checkpoint.identity import listed, name_crc, name_members, name_sha256
from surgeon.checkpoint.sources import Kind, Source
from surgeon.checkpoint.stamp import Stamp


@dataclass(frozen=True)
class Moved:
    """An output that the byte path has made.

    Attributes:
        stamp: State of the source.
        source: Name of the source's content; see `identity`.
        output: Name of the output's content.
        size: Bytes of the output.
        found: What was found on the way.
        plan: The plan that was followed.
    """

    stamp: Stamp
    source: str
    output: str
    size: int
    found: Executed
    plan: BytePlan


@dataclass(frozen=True)
class Look:
    """What the quick look at a file gave: its key, if bytes of it can be moved, and whether a plan fits."""

    key: str | None
    plan: BytePlan | None


@dataclass(frozen=True)
class Mover:
    """The byte path of one run.

    Attributes:
        store: The plans.
        common: What all files of the run have in common: rules, versions.
        trust: Do not check what the sources' checksums say.
        sync: Whether an output is on the disk when it counts as made.
        sha256: Whether files are named by their SHA-256.
        budgets: What the front door lets through.
    """

    store: PlanStore
    common: str
    trust: bool = False
    sync: bool = True
    sha256: bool = False
    budgets: Budgets = DEFAULT

    def look(self, source: Source) -> Look:
        """Find out which plan a file fits.

        Raises:
            RefusedError: If it is no regular file, or its directory is refused.
        """
        with opened(source.location, source.kind, source.root, self.budgets) as (_, found):
            return self._look(source, found)

    def _look(self, source: Source, found: Opened | None) -> Look:
        if found is None:
            return Look(None, None)
        key = file_key(found, source.kind, self.common)
        return Look(key, next((plan for plan in self.store.plans(key) if fits(plan, found)), None))

    def move(self, source: Source, temp: Path) -> Moved | Look:
        """Make the output of a file, or return why not.

        Raises:
            RefusedError: If it is no regular file, or its directory is refused.
            ValueError: If the file is damaged.
            OSError: If something cannot be read or written.
            RuleError: If a criterion cannot order the values.
        """
        with opened(source.location, source.kind, source.root, self.budgets) as (stamp, found):
            look = self._look(source, found)
            if look.plan is None or found is None:
                return look
            descriptor = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                done = execute(look.plan, found, descriptor, trust=self.trust)
                if self.sync:
                    os.fsync(descriptor)
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
        self.store.used(look.plan.key)
        if self.sha256:
            names = name_sha256(source.location), name_sha256(temp)
        else:
            names = self._name_source(found, done), _name_output(done, size)
        if source.kind is Kind.SHARDED:  # of no file that there is
            names = f"sharded:{names[0]}", names[1]
        return Moved(stamp, *names, size, done, look.plan)

    def _name_source(self, found: Opened, done: Executed) -> str:
        if found.members:
            return name_members(listed(found.members.values())) if done.verified else "unread:"
        return "unread:" if done.source_crc is None else name_crc(done.source_crc, found.size)


def _name_output(done: Executed, size: int) -> str:
    return name_members(done.members) if done.members else name_crc(done.output_crc, size)
