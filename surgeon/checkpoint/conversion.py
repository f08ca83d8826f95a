"""`convert`: folders of checkpoints through the same rules."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import filelock

from surgeon.checkpoint.architecture import admit_architecture
from surgeon.checkpoint.arguments import source_list
from surgeon.checkpoint.bytepath.mover import Mover
from surgeon.checkpoint.bytepath.store import PlanStore
from surgeon.checkpoint.config_text import digest_parts
from surgeon.checkpoint.destination import Destination, destination
from surgeon.checkpoint.engine import LocalEngine, Seat
from surgeon.checkpoint.manifest import Manifest
from surgeon.checkpoint.outcome import ConversionReport, Outcome
from surgeon.checkpoint.packing import digest_rules, pack_rules, read_rules
from surgeon.checkpoint.per_file import Job, Limits, PerFile
from surgeon.checkpoint.ray_engine import RayEngine
from surgeon.checkpoint.record import Record
from surgeon.checkpoint.rehearsal import Rehearsal
from surgeon.checkpoint.safetensors_out import SUFFIX
from surgeon.checkpoint.settling import settled
from surgeon.checkpoint.sources import MANIFEST, Source, absolute, find_sources
from surgeon.checkpoint.worker_process import WorkerProcess, worker_command
from surgeon.errors import CheckpointError

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened during a conversion, for progress displays.

    Attributes:
        kind: `found` (once, before anything is done), `started` (a file), `finished` (a file).
        done: Files finished so far.
        total: Files in all.
        source: The file, or `None` for `found`.
        outcome: What became of it, for `finished`.
    """

    kind: Literal["found", "started", "finished"]
    done: int
    total: int
    source: Source | None = None
    outcome: Outcome | None = None


def convert(
    sources: Paths,
    rules: Any,
    out: str | os.PathLike[str],
    *,
    model: Any = None,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    pattern: str | None = None,
    since: datetime | None = None,
    resume: bool = True,
    timeout: float = 600.0,
    memory_limit: int | None = None,
    imports: Sequence[str] = (),
    move_bytes: bool = True,
    plans: str | os.PathLike[str] | None = None,
    state: str | os.PathLike[str] | None = None,
    trust_source: bool = False,
    sync: bool = True,
    sha256: bool = False,
    verify: int = 0,
    strict: bool = False,
    drop_optimizer: bool = False,
    to: Literal["keras", "safetensors"] = "keras",
    dry_run: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> ConversionReport:
    """Rewrite every checkpoint of a folder by the same rules.

    A bad file fails alone, with its reason in the report. The sources are never written to; an output is
    either complete or absent; a run that was killed is finished by the next one, which does only what is
    left.

    Args:
        sources: A folder (searched to any depth, but for output folders of other runs), a file, or several
            of both: `.keras`, `.weights.h5`, legacy `.h5`. Or URLs of any store that fsspec knows.
        rules: Rules, or the path of a rule file.
        out: The output folder, or a URL. Outputs keep their relative path and suffix; a legacy `.h5` becomes
            `.keras`.
        model: The architecture that `.weights.h5` files belong to: the path of a `.keras` or `.json` file,
            or a model.
        workers: Files in work at a time, each in a process that holds TensorFlow (about 0.5 GB).
        engine: `local`, threads and processes of this machine; `ray`, tasks on a Ray cluster that shares the
            folders with this machine: the one that `RAY_ADDRESS` names, else one that is started here.
        pattern: A glob over file names, or over paths under the folder.
        since: Only files that were changed then or later; local time unless it says otherwise.
        resume: Whether to skip what an earlier run into `out` has finished and what has not changed since.
        timeout: Seconds that one file may take.
        memory_limit: Resident bytes that a worker may take; `None` allows 4 GiB and eight times the file's
            size.
        imports: Modules that the workers import first, for the classes that they register with Keras.
        move_bytes: Whether bytes are moved by a plan that was made on the first file of an architecture;
            without, Keras loads and saves every file. The outputs' weights are the same.
        plans: A folder for such plans, to share them between output folders; `OUT/.surgeon/plans` unless
            given.
        state: If `out` is a URL: the folder of this machine for the manifest, the plans and what is not
            finished; one in `~/.local/state/surgeon` unless given.
        trust_source: Do not check the sources' checksums on the byte path, nor look for NaN.
        sync: Whether each output is on the disk before it counts as done; without, a power cut (not a
            crash of the program) can lose outputs that the manifest calls done.
        sha256: Whether the byte path names files by SHA-256, not by the CRCs that it has anyway.
        verify: Of so many files one is converted by Keras, too, and compared; 0 for none.
        strict: Whether a file with NaN or infinite values is refused, not only noted.
        drop_optimizer: Whether outputs are not compiled: without the optimizer, its state, loss and metrics.
        to: `keras`, checkpoints of the same kind; `safetensors`, the weights alone, each under its path
            (`head/kernel`), without optimizer and config.
        dry_run: Whether to say only what would be done: every file passes the front door, nothing is written,
            and Keras is started only to see, on one file of each architecture, whether the rules fit.
        on_event: Called in this thread for each `Event`.

    Returns:
        Every file's outcome.

    Raises:
        CheckpointError: If nothing was found, outputs would collide, another run holds `out`, a worker cannot
            start, or the arguments come in another order.
        RuleFileError: If the rule file is wrong.

    Example:
        >>> import pathlib, tempfile, keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(pathlib.Path(folder, "a.keras"))
        ...     sources, out = pathlib.Path(folder, "a.keras"), pathlib.Path(folder, "out")
        ...     report = surgeon.convert(sources, surgeon.freeze("head", "kernel"), out)
        >>> len(report.converted), len(report.failed)
        (1, 0)
    """
    started = time.monotonic()
    given = source_list(sources, rules, out)
    _check_options(engine, workers, to, given, strict=strict, trust_source=trust_source)
    place = destination(out, state)
    steps = read_rules(rules)
    packed, digest = pack_rules(steps), _digest(steps, to, drop_optimizer=drop_optimizer)
    suffix = SUFFIX if to == "safetensors" else None
    found = find_sources(given, place.where, pattern, since, suffix)
    tell = on_event or _say_nothing
    limits = Limits(
        timeout,
        memory_limit,
        strict=strict,
        allowed=tuple(imports),
        verify=verify,
        drop_optimizer=drop_optimizer,
        safetensors=to == "safetensors",
        sync=sync,
    )

    def mover(mark: str) -> Mover | None:
        if not move_bytes:
            return None
        store = PlanStore(place.state / "plans" if plans is None else absolute(plans))
        common = common_key(steps, mark, imports, drop_optimizer=drop_optimizer, to=to)
        return Mover(store, common, trust=trust_source, sync=sync, sha256=sha256)

    def order(architecture: str | None) -> dict[str, Any]:
        return {
            "rules": base64.b64encode(packed).decode(),
            "architecture": architecture,
            "imports": list(imports),
            "drop_optimizer": drop_optimizer,
            "names": to == "safetensors",
        }

    if dry_run:
        with tempfile.TemporaryDirectory() as temporary:
            architecture, mark = _architecture(model, Path(temporary), limits.allowed)
            seat = Seat(lambda: WorkerProcess(worker_command(), order(architecture), threading.Event()))
            rehearsal = Rehearsal(
                place,
                limits,
                has_architecture=model is not None,
                mover=mover(mark),
                ask=seat.ask if steps else None,
            )
            with closing(seat):
                told = _rehearse(rehearsal, found, digest + mark if resume else None, tell)
        return _report(place, told, started, dry_run=True)
    with _claimed(place) as temps:
        architecture, mark = _architecture(model, temps, limits.allowed)
        with Manifest(place.state / MANIFEST) as manifest:
            record = Record(manifest, place, digest + mark, resume=resume, strict=limits.strict)
            outcomes: list[Outcome | None] = [record.finished(source) for source in found]
            jobs = [
                Job(
                    source,
                    place.final(source.output),
                    temps / f"{secrets.token_hex(8)}{source.output_kind}",
                    number,
                )
                for number, source in enumerate(found)
                if outcomes[number] is None
            ]
            done = len(found) - len(jobs)
            manifest.begin(len(found), done)
            tell(Event("found", done, len(found)))
            started_by = RayEngine if engine == "ray" else LocalEngine
            running = started_by(worker_command(), order(architecture), workers)
            happened = running.run(jobs, PerFile(limits, architecture is not None, mover(mark)))
            events = settled(happened, record, workers if place.is_store else 0)
            with closing(happened), closing(events):
                for event in events:
                    if isinstance(event, Job):
                        tell(Event("started", done, len(found), event.source))
                        continue
                    job, outcome = event
                    done += 1
                    outcomes[job.number] = outcome
                    tell(Event("finished", done, len(found), job.source, outcome))
            manifest.end()
    return _report(place, outcomes, started)


def _check_options(
    engine: str,
    workers: int,
    to: str,
    sources: Iterable[str | os.PathLike[str]],
    *,
    strict: bool,
    trust_source: bool,
) -> None:
    if engine not in ("local", "ray"):
        raise CheckpointError(f"engine={engine!r}: there are 'local' and 'ray'")
    if to not in ("keras", "safetensors"):
        raise CheckpointError(f"to={to!r}: there are 'keras' and 'safetensors'")
    if strict and trust_source:
        raise CheckpointError(
            "strict (--strict) refuses files with NaN, and trust_source (--trust-source) does not look for "
            "them: leave one of them out"
        )
    if workers < 1:
        raise CheckpointError(f"workers={workers}: at least one is needed")
    if engine == "ray" and any(os.fspath(each).startswith("memory://") for each in sources):
        raise CheckpointError("memory:// is the memory of this process, which Ray's tasks cannot read")


def _digest(steps: Sequence[Any], to: str, *, drop_optimizer: bool) -> str:
    """Return what decides, besides the source, what an output is."""
    digest = digest_rules(steps)
    for option in (("drop_optimizer",) if drop_optimizer else ()) + ((to,) if to != "keras" else ()):
        digest = digest_parts(digest, option)
    return digest


def _rehearse(
    rehearsal: Rehearsal, found: Sequence[Source], digest: str | None, tell: Callable[[Event], None]
) -> list[Outcome | None]:
    outcomes: list[Outcome | None] = [None] * len(found)
    if digest is not None:
        outcomes = rehearsal.known(found, digest)
    left = [number for number, outcome in enumerate(outcomes) if outcome is None]
    done = len(found) - len(left)
    tell(Event("found", done, len(found)))
    for number in left:
        tell(Event("started", done, len(found), found[number]))
        outcomes[number] = outcome = rehearsal.look(found[number])
        done += 1
        tell(Event("finished", done, len(found), found[number], outcome))
    return outcomes


def _report(
    place: Destination, outcomes: Iterable[Outcome | None], started: float, *, dry_run: bool = False
) -> ConversionReport:
    all_of_them = tuple(outcome for outcome in outcomes if outcome is not None)
    return ConversionReport(place.where, all_of_them, time.monotonic() - started, dry_run)


def common_key(
    rules: Any,
    architecture: str = "",
    imports: Sequence[str] = (),
    *,
    drop_optimizer: bool = False,
    to: str = "keras",
) -> str:
    """Return what all files of a run have in common that decides what their outputs look like.

    Args:
        rules: The rules.
        architecture: Digest of the model that bare weights belong to.
        imports: Modules that register classes.
        drop_optimizer: Whether outputs are not compiled.
        to: What outputs are.
    """
    from surgeon import __version__

    backend = os.environ.get("KERAS_BACKEND", "")
    versions = (__version__, version("keras"), version("h5py"), backend)
    dropped = ("drop_optimizer",) if drop_optimizer else ()
    more = () if to == "keras" else (to,)
    return digest_parts(digest_rules(read_rules(rules)), architecture, *imports, *dropped, *more, *versions)


def _say_nothing(event: Event) -> None:
    del event


@contextmanager
def _claimed(place: Destination) -> Iterator[Path]:
    """Make the place this run's own; yield the folder for temporary files."""
    state, temps = place.state, place.state / "tmp"
    try:
        state.mkdir(parents=True, exist_ok=True)
        place.prepare()
    except OSError as error:
        raise CheckpointError(f"cannot write to {place.where}: {error.strerror or error}") from error
    lock = filelock.FileLock(state / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise CheckpointError(
            f"another run is converting into {place.where}; wait for it, or choose another folder"
        ) from error
    try:
        # Whoever holds the lock owns all that a killed run left here.
        shutil.rmtree(temps, ignore_errors=True)
        temps.mkdir()
        yield temps
    finally:
        shutil.rmtree(temps, ignore_errors=True)
        lock.release()


def _architecture(model: Any, temps: Path, allowed: Sequence[str]) -> tuple[str | None, str]:
    """Return `(path for the workers, digest)` of the model that bare weights belong to."""
    if model is None:
        return None, ""
    if isinstance(model, (str, os.PathLike)):
        path = absolute(model)
    else:
        path = temps / "model.json"
        path.write_text(model.to_json(), encoding="utf-8")
    return str(path), admit_architecture(path, allowed)
