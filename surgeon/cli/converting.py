"""The command `convert`, with its progress bar and its summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surgeon.cli import options
from surgeon.cli.console import complain, err, harmless, out, show, show_json
from surgeon.errors import CheckpointError

if TYPE_CHECKING:
    from rich.table import Table

    from surgeon.checkpoint import ConversionReport, Event

_MOST_KINDS = 20
_WAYS = {"bytes": "moving bytes", "keras": "Keras"}


State = Annotated[
    Path | None,
    typer.Option(help="For a URL as output: the folder of the manifest. Default: in ~/.local/state/surgeon."),
]


class Engine(StrEnum):
    """What runs the work on several files at a time."""

    LOCAL = "local"
    RAY = "ray"


class To(StrEnum):
    """What outputs are."""

    KERAS = "keras"
    SAFETENSORS = "safetensors"


def convert(
    ctx: typer.Context,
    sources: Annotated[list[str], typer.Argument(help="Folders, files, or URLs such as s3://bucket/key.")],
    rules: options.Rules,
    output: Annotated[str, typer.Option("--out", "-o", help="The output folder, or a URL.")],
    architecture: options.Architecture = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Files in work at a time.")] = 1,
    engine: Annotated[Engine, typer.Option(help="Threads and processes here, or Ray tasks.")] = Engine.LOCAL,
    pattern: Annotated[str | None, typer.Option(help="Only files that match this glob.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only files changed since 2026-01-31, or 2026-01-31T08:00, or 90m, 36h, 7d ago."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Skip what an earlier run has finished.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one file may take.")] = 600.0,
    memory: Annotated[
        int | None, typer.Option(min=1, help="MiB that a worker may hold. Default: by the file's size.")
    ] = None,
    imports: options.Imports = None,
    move_bytes: Annotated[
        bool,
        typer.Option(help="Move bytes by a plan, made once per architecture; else Keras does every file."),
    ] = True,
    plans: Annotated[Path | None, typer.Option(help="Folder for such plans, to share them.")] = None,
    state: State = None,
    trust_source: Annotated[
        bool, typer.Option("--trust-source", help="Skip the sources' checksums and the look for NaN.")
    ] = False,
    sync: Annotated[bool, typer.Option(help="Wait until each output is on the disk.")] = True,
    sha256: Annotated[bool, typer.Option("--sha256", help="Name files by SHA-256 in the manifest.")] = False,
    verify: Annotated[int, typer.Option(min=0, help="Compare one in so many files with Keras. 0: none.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse files with NaN or infinite values.")
    ] = False,
    drop_optimizer: Annotated[
        bool, typer.Option("--drop-optimizer", help="Leave out the optimizer, its state, loss and metrics.")
    ] = False,
    to: Annotated[
        To, typer.Option(help="Checkpoints as they were, or weights alone as safetensors.")
    ] = To.KERAS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every file and say what would be done; write nothing.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Apply rules to every checkpoint of a folder.

    Exit code: 0 all, 1 some failed, 2 not started.
    """
    from surgeon.checkpoint import convert as convert_files

    changed = None if since is None else _moment(since)
    with _not_started(ctx), _progress(hidden=as_json) as tell:
        report = convert_files(
            sources,
            rules,
            output,
            model=architecture,
            workers=workers,
            engine=engine.value,
            pattern=pattern,
            since=changed,
            resume=resume,
            timeout=timeout,
            memory_limit=None if memory is None else memory << 20,
            imports=imports or (),
            move_bytes=move_bytes,
            plans=plans,
            state=state,
            trust_source=trust_source,
            sync=sync,
            sha256=sha256,
            verify=verify,
            strict=strict,
            drop_optimizer=drop_optimizer,
            to=to.value,
            dry_run=dry_run,
            on_event=tell,
        )
    if as_json:
        show_json(report)
    else:
        out().print(_summary(report))
    raise typer.Exit(report.exit_code)


def status(
    ctx: typer.Context,
    output: Annotated[str, typer.Argument(metavar="OUT", help="The output folder or URL of a run.")],
    state: State = None,
    as_json: options.AsJson = False,
) -> None:
    """Say how far a `convert` is that runs elsewhere, or ran.

    Exit code: 0 no file failed, 1 some did, 2 there is no such run.
    """
    from surgeon.checkpoint import progress
    from surgeon.checkpoint.outcome import some

    with _not_started(ctx):
        found = progress(output, state)
    if as_json:
        show_json(found)
    else:
        show(found)
        if found.folder is not None:
            show(f"  in {found.folder}:")
        by_reason: dict[str, list[str]] = {}
        for name, reason in found.failures.items():
            by_reason.setdefault(reason, []).append(name)
        for reason, names in list(by_reason.items())[:_MOST_KINDS]:
            show(f"  {some(names)}: {reason}")
        if len(by_reason) > _MOST_KINDS:
            show(f"  and {len(by_reason) - _MOST_KINDS} more reasons (--json)")
    raise typer.Exit(1 if found.failed else 0)


@contextmanager
def _not_started(ctx: typer.Context) -> Iterator[None]:
    """End with exit code 2 where a run as a whole cannot be; one bad file never gets here."""
    try:
        yield
    except CheckpointError as error:
        if ctx.find_root().params.get("debug"):
            raise
        complain(str(error))
        raise typer.Exit(2) from None


def _moment(text: str) -> datetime:
    """Return the moment that `--since` means."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if text[-1:] in units and text[:-1].isdigit():
            return datetime.now().astimezone() - timedelta(**{units[text[-1]]: int(text[:-1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"--since {text}: neither a date (2026-01-31, 2026-01-31T08:00) nor a time ago (90m, 36h, 7d)"
        ) from error


@contextmanager
def _progress(*, hidden: bool) -> Iterator[Callable[[Event], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[failed]}", style="red"),
    )
    with Progress(*columns, console=err(), disable=hidden, transient=True) as progress:
        bar = progress.add_task("converting", total=None, failed="", rate="")
        failed = written = 0
        started = time.monotonic()

        def tell(event: Event) -> None:
            nonlocal failed, written
            if event.kind == "started" and event.source is not None:
                progress.update(bar, description=harmless(event.source.relative))
                return
            failed += type(event.outcome).__name__ == "Failed"
            text = f"{failed} failed" if failed else ""
            written += getattr(event.outcome, "size", 0)
            rate = f"{written / (time.monotonic() - started) / 1e6:,.1f} MB/s" if written else ""
            progress.update(bar, completed=event.done, total=event.total, failed=text, rate=rate)

        yield tell


def _summary(report: ConversionReport) -> Table:
    from rich.table import Table

    from surgeon.checkpoint.outcome import some

    table = Table(title=f"{report.out}", title_justify="left", show_footer=False)
    table.add_column("file", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    table.add_column("", overflow="fold")
    reasons = report.reasons
    for (cause, reason), names in list(reasons.items())[:_MOST_KINDS]:
        table.add_row(some(names), cause, reason, style="red")
    if len(reasons) > _MOST_KINDS:
        table.add_row("", "", f"and {len(reasons) - _MOST_KINDS} more reasons (--json)", style="red")
    notes = Counter(note for converted in report.converted for note in converted.notes)
    for text, files in notes.items():
        table.add_row(_files(files), "note", text, style="dim")
    kinds = report.architectures
    for name, ways in list(kinds.items())[:_MOST_KINDS]:
        counts = ", ".join(f"{count} by {_WAYS[how]}" for how, count in sorted(ways.items()))
        known = report.models[name] or name or "(unknown)"
        table.add_row(_files(ways.total()), "architecture", f"{known}: {counts}", style="dim")
    if len(kinds) > _MOST_KINDS:
        table.add_row("", "architecture", f"and {len(kinds) - _MOST_KINDS} more", style="dim")
    moved = sum(converted.how == "bytes" for converted in report.converted)
    counts = f"{len(report.converted)} converted ({moved} by moving bytes), {len(report.skipped)} skipped, "
    counts += f"{len(report.failed)} failed"
    if report.dry_run:
        counts = f"{len(report.planned)} to be converted, {len(report.skipped)} done, "
        counts += f"{len(report.failed)} would be refused; nothing was written"
    table.add_row("all", f"{report.seconds:.1f} s", counts, style="bold", end_section=True)
    return table


def _files(number: int) -> str:
    return f"{number:,} files" if number > 1 else "1 file"
