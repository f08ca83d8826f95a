"""What happens to one file: its bytes are moved by a plan, or Keras loads and saves it between two checks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from surgeon.checkpoint.architecture import name_of
from surgeon.checkpoint.asking import Ask, FileFailedError, answer_to
from surgeon.checkpoint.budgets import DEFAULT, GIB, Budgets
from surgeon.checkpoint.bytepath.finite import is_open, not_finite
from surgeon.checkpoint.bytepath.mover import Look, Mover
from surgeon.checkpoint.bytepath.plan import BytePlan
from surgeon.checkpoint.front_door import Admitted, inspect
from surgeon.checkpoint.hdf5 import Layout
from surgeon.checkpoint.outcome import Failed, How
from surgeon.checkpoint.safetensors_out import write_safetensors
from surgeon.checkpoint.sources import Kind, Source
from surgeon.checkpoint.spool import at_hand
from surgeon.checkpoint.stamp import Fingerprint, Stamp
from surgeon.errors import CheckpointError, RefusedError, RuleError

STATE = "surgeon_state"
"""`surgeon.paths.STATE`, which cannot be imported without Keras."""

NO_ARCHITECTURE = "weights without an architecture; say which model they belong to: model=… (--model)"
_CHANGED = "changed while it was being converted; convert it again when it rests"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    Attributes:
        timeout: Seconds in the worker.
        memory: Resident bytes of the worker; `None` allows 4 GiB and eight times the file's size.
        budgets: What the front door lets through.
        strict: Whether a file with NaN or infinite values is refused.
        allowed: Modules whose classes the user vouches for.
        verify: Of so many files one is converted by Keras, too, and compared; 0 for none.
        drop_optimizer: Whether the workers leave out what an optimizer has in a file, which is to be noted.
        safetensors: Whether outputs are weights alone, as safetensors.
        sync: Whether an output is on the disk when it counts as made.
    """

    timeout: float = 600.0
    memory: int | None = None
    budgets: Budgets = DEFAULT
    strict: bool = False
    allowed: tuple[str, ...] = ()
    verify: int = 0
    drop_optimizer: bool = False
    safetensors: bool = False
    sync: bool = True

    def memory_for(self, size: int) -> int:
        """Return the resident bytes allowed for a file of `size` bytes."""
        return 4 * GIB + 8 * size if self.memory is None else self.memory


@dataclass(frozen=True, slots=True)
class Job:
    """One file to convert.

    Attributes:
        source: The file.
        final: Where the output goes: a path or a URL.
        temp: Where it is made; same suffix, and the same file system unless it goes to a store.
        number: Counts the files of a run, from 0.
    """

    source: Source
    final: str
    temp: Path
    number: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """An output that is complete and synced under its temporary name."""

    job: Job
    fingerprint: Fingerprint
    size: int
    digest: str
    seconds: float
    notes: tuple[str, ...]
    how: How
    verified: bool
    architecture: str = ""
    model: str = ""


Result = Made | Failed


@dataclass(frozen=True, slots=True)
class PerFile:
    """What a run does to each of its files, as a value that can be sent to other processes; see `process`."""

    limits: Limits
    has_architecture: bool
    mover: Mover | None

    def __call__(self, job: Job, ask: Ask) -> Result:
        """Convert one file up to, and not including, its final name."""
        return process(job, ask, self.limits, has_architecture=self.has_architecture, mover=self.mover)


def process(
    job: Job, ask: Ask, limits: Limits, *, has_architecture: bool, mover: Mover | None = None
) -> Result:
    """Convert one file up to, and not including, its final name. Never raises for a bad file.

    Args:
        job: What to convert.
        ask: Reaches a worker that runs Keras. It is not called for a file that the front door refuses, nor
            for one whose architecture has a plan.
        limits: What the file may cost.
        has_architecture: Whether the worker knows a model that bare weights can be loaded into.
        mover: Moves bytes, for architectures with a plan; `None` loads and saves every file with Keras.
    """
    started = time.monotonic()
    source = job.source
    try:
        if source.fault:
            raise FileFailedError("refused", source.fault)
        if source.kind.is_bare and not has_architecture:
            raise FileFailedError("refused", NO_ARCHITECTURE)
        with ExitStack() as stack:
            made = _Conversion(job, ask, limits, started, stack).run(mover)
    except FileFailedError as error:
        job.temp.unlink(missing_ok=True)
        return Failed(source.location, job.final, time.monotonic() - started, error.cause, str(error))
    return made


class _Conversion:
    """The work on one file; `stack` ends when it is done."""

    def __init__(self, job: Job, ask: Ask, limits: Limits, started: float, stack: ExitStack) -> None:
        self._job, self._ask, self._limits, self._started = job, ask, limits, started
        self._stack = stack

    @cached_property
    def _copied(self) -> tuple[Source, Stamp | None]:
        """The source on this machine, and the state of the object on a store that it is a copy of."""
        source = self._job.source
        try:
            return self._stack.enter_context(at_hand(source, self._job.temp.parent))
        except RefusedError as error:
            raise FileFailedError("refused", self._short(error)) from error
        except (OSError, CheckpointError) as error:
            raise FileFailedError("error", f"cannot be copied from its store: {error}") from error

    @property
    def _here(self) -> Source:
        return self._copied[0]

    def run(self, mover: Mover | None) -> Made:
        if mover is None:
            return self._by_keras(self._admit(), None)[0]
        first = self._move(mover)
        if isinstance(first, Made):
            return first
        made = self._without_plan(mover, first)
        return replace(made, architecture=first.key[:12]) if first.key else made

    def _without_plan(self, mover: Mover, first: Look) -> Made:
        why = self._why_keras(first.key, mover)
        if first.key is None or why is not None:
            return self._noted(self._by_keras(self._admit(), None)[0], why)
        with mover.store.lock(first.key):
            # Another thread may have made the plan meanwhile, or found that there is none.
            again = self._move(mover)
            if isinstance(again, Made):
                return again
            admitted = self._admit()
            wanted = first.key if mover.store.why_not(first.key) is None else None
            made, answer = self._by_keras(admitted, wanted)
            if "computes" in answer:
                mover.store.give_up(first.key, str(answer["computes"]))
            if "plan" not in answer:
                return self._noted(made, mover.store.why_not(first.key))
            notes = (*answer["notes"], *self._dropped(admitted.layout))
            plan = BytePlan.from_json(str(answer["plan"]))
            mover.store.add(replace(plan, notes=notes, names=answer.get("names", {}), model=admitted.model))
            # The first file of an architecture comes out like all others.
            self._job.temp.unlink(missing_ok=True)
            moved = self._move(mover)
            if isinstance(moved, Made):
                return moved
        raise FileFailedError("changed", _CHANGED)

    @staticmethod
    def _why_keras(key: str | None, mover: Mover) -> str | None:
        """Return why no plan is made for a file that fits none, or `None`."""
        if key is None:
            return "its arrays do not lie in one file as they are"
        if (reason := mover.store.why_not(key)) is not None:
            return reason
        return None if mover.store.is_worth_it(key) else "the first file of its architecture"

    @staticmethod
    def _noted(made: Made, why: str | None) -> Made:
        return (
            made if why is None else replace(made, notes=(*made.notes, f"loaded and saved by Keras: {why}"))
        )

    def _move(self, mover: Mover) -> Made | Look:
        job = self._job
        try:
            moved = mover.move(job.source, job.temp)
        except RefusedError as error:
            raise FileFailedError("refused", self._short(error)) from error
        except ValueError as error:
            raise FileFailedError("refused", str(error)) from error
        except (RuleError, CheckpointError) as error:
            raise FileFailedError("error", str(error)) from error
        except OSError as error:
            raise FileFailedError("error", f"cannot be copied: {error}") from error
        if isinstance(moved, Look):
            return moved
        if not moved.stamp.still_holds(job.source.location):
            raise FileFailedError("changed", _CHANGED)
        notes = (*moved.plan.notes, *self._finite(moved.found.not_finite))
        self._compare()
        mark = moved.stamp.named(moved.source)
        seconds = time.monotonic() - self._started
        made = Made(
            *(job, mark, moved.size, moved.output, seconds, notes, "bytes", moved.found.verified),
            architecture=moved.plan.key[:12],
            model=moved.plan.model,
        )
        return self._packed(made, moved.plan.names)

    def _admit(self) -> Admitted:
        source, limits = self._here, self._limits
        try:
            return inspect(
                source.path, source.kind, root=source.root, budgets=limits.budgets, allowed=limits.allowed
            )
        except RefusedError as error:
            raise FileFailedError("refused", self._short(error)) from error

    def _by_keras(self, admitted: Admitted, trace_as: str | None) -> tuple[Made, Mapping[str, Any]]:
        job, here = self._job, self._here
        marks = self._finite(bad := not_finite(here.path, admitted))
        answer = self._request({"trace_as": trace_as} if trace_as else {}, admitted.size)
        mark = admitted.fingerprint
        if self._copied[1] is not None:
            mark = self._copied[1].named(mark.digest)
        if not mark.still_holds(job.source.location):
            raise FileFailedError("changed", _CHANGED)
        made_of = self._admit_output()
        output = made_of.fingerprint
        if not is_open(admitted):  # Keras writes its arrays as they are
            marks = self._finite(tuple(dict.fromkeys([*bad, *not_finite(job.temp, made_of)])))
        if job.source.kind is not Kind.LEGACY:
            _check_arrays(admitted.layout, made_of.layout, replaced=bool(answer.get("replaced")))
        seconds = time.monotonic() - self._started
        notes = (*answer["notes"], *marks, *self._dropped(admitted.layout))
        verified = job.source.kind is Kind.KERAS
        made = Made(
            *(job, mark, output.size, output.digest, seconds, notes, "keras", verified),
            architecture=name_of(admitted.layout),
            model=admitted.model,
        )
        return self._packed(made, answer.get("names", {})), answer

    def _packed(self, made: Made, names: Mapping[str, str]) -> Made:
        """Turn an output into safetensors, if that is what was asked for."""
        job = self._job
        if not self._limits.safetensors:
            return made
        packed = job.temp.with_name(f"packed-{job.temp.name}")
        try:
            size, digest = write_safetensors(
                job.temp, job.source.output_kind, names, packed, sync=self._limits.sync
            )
            packed.replace(job.temp)
        except (ValueError, OSError) as error:
            raise FileFailedError("error", f"cannot become safetensors: {error}") from error
        finally:
            packed.unlink(missing_ok=True)
        return replace(made, size=size, digest=digest, seconds=time.monotonic() - self._started)

    def _dropped(self, layout: Layout) -> tuple[str, ...]:
        is_dropped = self._limits.drop_optimizer and any(p.startswith("optimizer") for p in layout.datasets)
        return ("the optimizer, its state, loss and metrics are left out, as asked",) if is_dropped else ()

    def _request(self, more: Mapping[str, Any], size: int) -> Mapping[str, Any]:
        job, limits = self._job, self._limits
        request = {
            "source": self._here.location,
            "kind": job.source.kind.value,
            "temp": str(job.temp),
            **more,
        }
        return answer_to(request, self._ask, limits.timeout, limits.memory_for(size))

    def _compare(self) -> None:
        """Let Keras convert one in so many files, too."""
        if self._limits.verify and self._job.number % self._limits.verify == 0:
            self._request({"compare": True}, self._here.path.stat().st_size)

    def _finite(self, bad: Sequence[str]) -> tuple[str, ...]:
        if not bad:
            return ()
        more = f" and {len(bad) - 3} more arrays" if len(bad) > 3 else ""
        note = f"NaN or infinite values in {', '.join(bad[:3])}{more}"
        if self._limits.strict:
            raise FileFailedError("refused", note)
        return (note,)

    def _admit_output(self) -> Admitted:
        """Hold the output to what the input was held to: what is written can be read again."""
        job, limits = self._job, self._limits
        try:
            return inspect(
                job.temp,
                job.source.output_kind,
                root=job.temp.parent,
                budgets=limits.budgets,
                allowed=limits.allowed,
            )
        except RefusedError as error:
            raise FileFailedError("error", f"the output would not be readable: {error}") from error

    def _short(self, error: RefusedError) -> str:
        # The report has a column for the file already.
        text = str(error).removeprefix(f"{self._job.source.location}: ")
        return text.removeprefix(f"{self._here.location}: ") if "_copied" in self.__dict__ else text


def _check_arrays(source: Layout, output: Layout, *, replaced: bool) -> None:
    """Check that the file held what its model has; Keras casts, and skips what it does not know, in silence.

    Args:
        source: Layout of the file.
        output: Layout of what was made of it, where every array but those of replaced layers is in its place.
        replaced: Whether a rule has replaced layers.
    """
    for path, array in source.datasets.items():
        if path.startswith("optimizer/") or f"/{STATE}/" in path:
            continue
        other = output.datasets.get(path)
        if other is None and not replaced:
            raise FileFailedError("refused", f"{path} is no array of this model")
        if other is not None and other.shape == array.shape and other.dtype != array.dtype:
            raise FileFailedError("refused", f"{path} is {array.dtype} where the model has {other.dtype}")
