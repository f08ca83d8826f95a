"""What became of each file, and of the whole run, as values."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

How = Literal["bytes", "keras"]
Cause = Literal["refused", "error", "timeout", "memory", "crash", "changed", "exists"]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Converted:
    """A file that was converted, and whose output is complete and synced to disk.

    Attributes:
        source: Path of the file that was read.
        output: Path of the file that was written.
        seconds: Wall-clock seconds that it took.
        size: Size of the output in bytes.
        digest: A name for the content of the output: `sha256:…`, or made of CRCs (see `checkpoint.identity`).
        notes: What Keras warned about on the way, and arrays with NaN or infinite values.
        how: `bytes`, moved by a plan, or `keras`, loaded and saved.
        verified: Whether the numbers of the source were checked against a checksum. Bare weights and
            legacy files have none.
        architecture: A name for what it has in common with files of one architecture; may be empty.
        model: What a person knows its model by: name, class, how many layers and weights.
    """

    source: str
    output: str
    seconds: float
    size: int
    digest: str
    notes: tuple[str, ...] = ()
    how: How = "keras"
    verified: bool = True
    architecture: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that was not converted. Nothing was written for it.

    Attributes:
        source: Path of the file.
        output: Path that would have been written.
        seconds: Wall-clock seconds spent on it.
        cause: `refused` (the front door; NaN in a strict run), `error` (Keras or a rule), `timeout`,
            `memory`, `crash` (the worker died), `changed` (the source changed meanwhile), `exists` (the
            output is someone else's).
        reason: What was wrong, in words.
    """

    source: str
    output: str
    seconds: float
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file whose output an earlier run has finished."""

    source: str
    output: str
    reason: str = "converted by an earlier run, unchanged since"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a dry run says that would become of a file.

    Attributes:
        source: Path of the file.
        output: Path that would be written.
        how: `bytes` or `keras`.
        architecture: A name for what it has in common with files of one architecture; may be empty.
        reason: Why that way.
        model: What a person knows its model by: name, class, how many layers and weights.
    """

    source: str
    output: str
    how: How
    architecture: str
    reason: str
    model: str = ""


Outcome = Converted | Failed | Skipped | Planned


@dataclass(frozen=True)
class ConversionReport:
    """Every file's outcome, and the totals.

    Attributes:
        out: The output folder, or a URL.
        outcomes: One per source file, in the order of the sources.
        seconds: Wall-clock seconds of the whole run.
        dry_run: Whether nothing was to be written.

    Example:
        >>> report = ConversionReport(Path("out"), (Skipped("a.keras", "out/a.keras"),), 0.1)
        >>> report.exit_code, str(report)
        (0, '0 converted, 1 skipped, 0 failed in 0.1 s')
    """

    out: Path | str
    outcomes: tuple[Outcome, ...]
    seconds: float
    dry_run: bool = False

    @property
    def converted(self) -> tuple[Converted, ...]:
        """The files that were converted in this run."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Converted))

    @property
    def failed(self) -> tuple[Failed, ...]:
        """The files that were not converted."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Failed))

    @property
    def reasons(self) -> dict[tuple[Cause, str], list[str]]:
        """The sources that were not converted, by what was wrong with them: the same words come once."""
        groups: dict[tuple[Cause, str], list[Failed]] = {}
        for each in self.failed:
            # Reasons of many files that already are where outputs go name each its own.
            reason = each.reason.replace(each.output, "the output").replace(each.source, "the file")
            groups.setdefault((each.cause, reason), []).append(each)
        return {
            (cause, reason if len(alike) > 1 else alike[0].reason): [each.source for each in alike]
            for (cause, reason), alike in groups.items()
        }

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The files that an earlier run had finished."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Skipped))

    @property
    def planned(self) -> tuple[Planned, ...]:
        """The files that a run would convert; only a dry run has some."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Planned))

    @property
    def architectures(self) -> dict[str, Counter[str]]:
        """How many files of each architecture went which way (`bytes`, `keras`)."""
        found: dict[str, Counter[str]] = {}
        outcomes: tuple[Converted | Planned, ...] = (*self.converted, *self.planned)
        for outcome in outcomes:
            found.setdefault(outcome.architecture, Counter())[outcome.how] += 1
        return found

    @property
    def models(self) -> dict[str, str]:
        """What a person knows the model of each architecture by; of the first file, where names differ."""
        found: dict[str, str] = {}
        outcomes: tuple[Converted | Planned, ...] = (*self.converted, *self.planned)
        for outcome in outcomes:
            found[outcome.architecture] = found.get(outcome.architecture) or outcome.model
        return found

    @property
    def exit_code(self) -> int:
        """0 if every file is converted now, 1 if some failed."""
        return 1 if self.failed else 0

    def to_json(self) -> str:
        """Return the whole report as JSON text."""
        states = ("converted", "skipped", "failed", *(("planned",) if self.dry_run else ()))
        totals = {state: len(getattr(self, state)) for state in states}
        rows: list[dict[str, Any]] = [
            {"state": type(outcome).__name__.lower(), **dataclasses.asdict(outcome)}
            for outcome in self.outcomes
        ]
        return json.dumps(
            {
                "out": str(self.out),
                "seconds": round(self.seconds, 3),
                "totals": totals,
                "causes": dict(Counter(outcome.cause for outcome in self.failed)),
                "architectures": self.architectures,
                "models": self.models,
                "files": rows,
            },
            indent=2,
        )

    def __str__(self) -> str:
        counts = f"{len(self.converted)} converted, {len(self.skipped)} skipped, {len(self.failed)} failed"
        if self.dry_run:
            counts = (
                f"{len(self.planned)} to be converted, {len(self.skipped)} done, {len(self.failed)} refused"
            )
        lines = [f"{counts} in {self.seconds:.1f} s"]
        lines += [f"  {some(names)}: {reason}" for (_, reason), names in self.reasons.items()]
        return "\n".join(lines)


def some(names: Sequence[str]) -> str:
    """Return the first of some names, and how many there are if they are many.

    Example:
        >>> some(["a.keras"]), some(["a", "b", "c", "d", "e"])
        ('a.keras', '5 files (a, b, c, ...)')
    """
    if len(names) == 1:
        return names[0]
    return f"{len(names):,} files ({', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''})"
