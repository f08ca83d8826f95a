"""What a run would do, without doing it: nothing is written, and Keras is not started."""

from __future__ import annotations

import time
from collections.abc import Sequence

from surgeon.checkpoint.architecture import name_of
from surgeon.checkpoint.bytepath.finite import not_finite
from surgeon.checkpoint.bytepath.mover import Mover
from surgeon.checkpoint.destination import Destination
from surgeon.checkpoint.front_door import inspect
from surgeon.checkpoint.manifest import Manifest
from surgeon.checkpoint.outcome import Failed, How, Outcome, Planned
from surgeon.checkpoint.per_file import NO_ARCHITECTURE, Limits
from surgeon.checkpoint.record import Record
from surgeon.checkpoint.sources import MANIFEST, Source
from surgeon.checkpoint.spool import at_hand
from surgeon.errors import RefusedError


class Rehearsal:
    """Lets files pass the front door, and finds out which way each would go.

    Args:
        out: Where outputs would go; it need not be there.
        limits: As for the run.
        has_architecture: Whether there is a model that bare weights can be loaded into.
        mover: Knows the plans; `None` if every file goes through Keras.
    """

    def __init__(
        self, out: Destination, limits: Limits, *, has_architecture: bool, mover: Mover | None
    ) -> None:
        self._out, self._limits, self._mover = out, limits, mover
        self._has_architecture = has_architecture

    def known(self, found: Sequence[Source], digest: str) -> list[Outcome | None]:
        """Return what earlier runs have done.

        Args:
            found: The sources.
            digest: Of the rules, and of the architecture if one was given.
        """
        path = self._out.state / MANIFEST
        if not path.is_file():
            return [None] * len(found)
        with Manifest(path, read_only=True) as manifest:
            record = Record(manifest, self._out, digest, resume=True)
            return [record.finished(source) for source in found]

    def look(self, source: Source) -> Outcome:
        """Return what would become of a file."""
        started = time.monotonic()
        final = self._out.final(source.output)
        try:
            how, architecture, reason = self._look(source)
        except (RefusedError, ValueError, OSError) as error:
            text = str(error).removeprefix(f"{source.location}: ")
            return Failed(source.location, final, time.monotonic() - started, "refused", text)
        return Planned(source.location, final, how, architecture, reason)

    def _look(self, source: Source) -> tuple[How, str, str]:
        if source.kind.is_bare and not self._has_architecture:
            raise RefusedError(NO_ARCHITECTURE)
        limits = self._limits
        if source.fault:
            raise RefusedError(source.fault)
        with at_hand(source, None) as (here, _):
            admitted = inspect(
                here.path, here.kind, root=here.root, budgets=limits.budgets, allowed=limits.allowed
            )
            bad = not_finite(here.path, admitted) if limits.strict else ()
        if bad:
            raise RefusedError(f"NaN or infinite values in {bad[0]}")
        if self._mover is None:
            return "keras", name_of(admitted.layout), "bytes are not to be moved"
        look = self._mover.look(source)
        if look.key is None:
            return "keras", name_of(admitted.layout), "its arrays do not lie in one file as they are"
        architecture, store = look.key[:12], self._mover.store
        if look.plan is not None:
            store.used(look.key)
            return "bytes", architecture, "there is a plan"
        if store.is_promised(look.key):
            store.used(look.key)
            return "bytes", architecture, "by the plan of an earlier file, if there is one"
        if store.is_worth_it(look.key):
            store.promise(look.key)
            store.used(look.key)
            return "bytes", architecture, "the first of its architecture: Keras loads it to make a plan"
        return "keras", architecture, "the first file of its architecture"
