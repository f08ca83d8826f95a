"""What a run would do, without doing it: nothing is written, and Keras loads one file of an architecture."""

from __future__ import annotations

import time
from collections.abc import Sequence

from surgeon.checkpoint.architecture import digest_config, name_of
from surgeon.checkpoint.asking import Ask, FileFailedError, answer_to
from surgeon.checkpoint.bytepath.finite import not_finite
from surgeon.checkpoint.bytepath.mover import Look, Mover
from surgeon.checkpoint.destination import Destination
from surgeon.checkpoint.front_door import Admitted, inspect
from surgeon.checkpoint.manifest import Manifest
from surgeon.checkpoint.outcome import Failed, How, Outcome, Planned
from surgeon.checkpoint.per_file import NO_ARCHITECTURE, Limits
from surgeon.checkpoint.record import Record
from surgeon.checkpoint.sources import MANIFEST, Source
from surgeon.checkpoint.spool import at_hand
from surgeon.errors import RefusedError

_COMPILED = ("compile_config", "training_config")
"""What a config says of how the model was compiled, by which no rule goes."""


class Rehearsal:
    """Lets files pass the front door, and finds out which way each would go.

    Args:
        out: Where outputs would go; it need not be there.
        limits: As for the run.
        has_architecture: Whether there is a model that bare weights can be loaded into.
        mover: Knows the plans; `None` if every file goes through Keras.
        ask: Reaches a worker that runs Keras, to find out whether the rules fit; `None` if there are none.
    """

    def __init__(
        self,
        out: Destination,
        limits: Limits,
        *,
        has_architecture: bool,
        mover: Mover | None,
        ask: Ask | None,
    ) -> None:
        self._out, self._limits, self._mover, self._ask = out, limits, mover, ask
        self._has_architecture = has_architecture
        self._misfits: dict[str, str] = {}

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
            record = Record(manifest, self._out, digest, resume=True, strict=self._limits.strict)
            return [record.finished(source) for source in found]

    def look(self, source: Source) -> Outcome:
        """Return what would become of a file."""
        started = time.monotonic()
        final = self._out.final(source.output)
        try:
            return self._look(source, final)
        except FileFailedError as error:
            return Failed(source.location, final, time.monotonic() - started, error.cause, str(error))
        except (RefusedError, ValueError, OSError) as error:
            text = str(error).removeprefix(f"{source.location}: ")
            return Failed(source.location, final, time.monotonic() - started, "refused", text)

    def _look(self, source: Source, final: str) -> Planned:
        if source.kind.is_bare and not self._has_architecture:
            raise RefusedError(NO_ARCHITECTURE)
        limits = self._limits
        if source.fault:
            raise RefusedError(source.fault)
        with at_hand(source, None) as (here, _):
            try:
                admitted = inspect(
                    here.path, here.kind, root=here.root, budgets=limits.budgets, allowed=limits.allowed
                )
            except RefusedError as error:  # a copy of what lies on a store has a name that says nothing
                raise RefusedError(str(error).removeprefix(f"{here.location}: ")) from error
            bad = not_finite(here.path, admitted) if limits.strict else ()
            if bad:
                raise RefusedError(f"NaN or infinite values in {bad[0]}")
            look = None if self._mover is None else self._mover.look(source)
            key = look.key if look is not None else None
            if look is None or look.plan is None:  # what has a plan has been converted by these rules
                self._check_rules(here, admitted)
        how, reason = self._way(look)
        architecture = name_of(admitted.layout) if key is None else key[:12]
        return Planned(source.location, final, how, architecture, reason, admitted.model)

    def _check_rules(self, here: Source, admitted: Admitted) -> None:
        """Let Keras load the first file of an architecture, to see that the rules fit.

        Files of other layers are files of another one here, even where their arrays lie alike.

        Raises:
            FileFailedError: If they do not, or the file cannot be loaded.
        """
        if self._ask is None:
            return
        model = {name: part for name, part in admitted.config.items() if name not in _COMPILED}
        key = f"{name_of(admitted.layout)} {digest_config(model)}"
        if key not in self._misfits:
            request = {"check": True, "source": here.location, "kind": here.kind.value}
            limits = self._limits
            self._misfits[key] = ""
            try:
                answer_to(request, self._ask, limits.timeout, limits.memory_for(admitted.size))
            except FileFailedError as error:
                if not error.by_rules:
                    del self._misfits[key]  # another file of the architecture may be sound
                    raise
                self._misfits[key] = str(error)
        if self._misfits[key]:
            raise FileFailedError("error", self._misfits[key])

    def _way(self, look: Look | None) -> tuple[How, str]:
        """Return which way a file would go, and why."""
        if look is None or self._mover is None:
            return "keras", "bytes are not to be moved"
        if look.key is None:
            return "keras", "its arrays do not lie in one file as they are"
        store = self._mover.store
        if look.plan is not None:
            store.used(look.key)
            return "bytes", "there is a plan"
        if store.is_promised(look.key):
            store.used(look.key)
            return "bytes", "by the plan of an earlier file, if there is one"
        if store.is_worth_it(look.key):
            store.promise(look.key)
            store.used(look.key)
            return "bytes", "the first of its architecture: Keras loads it to make a plan"
        return "keras", "the first file of its architecture"
