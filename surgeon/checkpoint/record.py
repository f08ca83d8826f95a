"""What is done already, what counts as done, and how a file gets there."""

from __future__ import annotations

import os
from pathlib import Path

from surgeon.checkpoint.destination import Destination
from surgeon.checkpoint.identity import still_is
from surgeon.checkpoint.manifest import Manifest, Row
from surgeon.checkpoint.outcome import Cause, Converted, Failed, Outcome, Skipped
from surgeon.checkpoint.per_file import Job, Made, Result
from surgeon.checkpoint.sources import Source
from surgeon.checkpoint.stamp import Fingerprint, Stamp, is_url
from surgeon.checkpoint.stores import stamp_of
from surgeon.errors import CheckpointError


class Record:
    """One run's view of the manifest.

    Args:
        manifest: The manifest of the output folder.
        out: Where outputs go.
        rules: Digest of the rules, and of the architecture if one was given.
        resume: Whether what earlier runs have done counts.
    """

    def __init__(self, manifest: Manifest, out: Destination, rules: str, *, resume: bool) -> None:
        self._manifest, self._out, self._rules = manifest, out, rules
        self._known = manifest.rows() if resume else {}

    def finished(self, source: Source) -> Skipped | None:
        """Return that an earlier run has done this file, if it has and if nothing has changed since.

        A source whose time has changed but whose bytes have not counts as unchanged.
        """
        row = self._known.get(source.output)
        if row is None or row.state == "failed" or row.rules != self._rules or row.digest is None:
            return None
        path, final = source.location, self._out.final(source.output)
        if not self._out.has(final, row.output_size):
            return None
        if row.state == "done" and row.source == path and _is_as_in(row, source):
            return Skipped(path, final)
        return self._known_again(row, source, final)

    def _known_again(self, row: Row, source: Source, final: str) -> Skipped | None:
        """Look closer, where a stamp or a place is another, or a run died just after it gave a name."""
        known = row.fingerprint
        if known is None or (row.state == "publishing" and not still_is(final, str(row.output_digest))):
            return None
        path, now = source.location, known
        if row.source != path or not known.still_holds(path):
            found = _identify(path, known)
            if found is None:
                return None
            now = found
        self._manifest.note(row._replace(source=path, state="done").of(now))
        return Skipped(path, final)

    def settle(self, job: Job, result: Result) -> Outcome:
        """Give a finished output its final name, and write down what became of the file.

        An output is replaced only if the manifest knows it as the work of an earlier run.
        """
        before = self._manifest.read(job.source.output)
        outcome = result if isinstance(result, Failed) else self._publish(job, result, before)
        if isinstance(outcome, Failed):
            self._manifest.write(
                Row(
                    *(job.source.output, outcome.source, self._rules, "failed", outcome.seconds),
                    # An output of an earlier run stays where it is, and stays known as ours.
                    output_size=before.output_size if before else None,
                    output_digest=before.output_digest if before else None,
                    error=f"{outcome.cause}: {outcome.reason}",
                )
            )
        return outcome

    def _publish(self, job: Job, made: Made, before: Row | None) -> Outcome:
        source, final = job.source.location, job.final
        ours = before is not None and before.output_digest is not None
        row = Row(
            *(job.source.output, source, self._rules, "publishing", made.seconds),
            output_size=made.size,
            output_digest=made.digest,
        ).of(made.fingerprint)
        if not ours and self._out.is_taken(final):
            job.temp.unlink()
            reason = f"{final} exists and is not from an earlier run; move it away, or choose another folder"
            return Failed(source, final, made.seconds, "exists", reason)
        self._manifest.write(row)
        try:
            self._out.publish(job.temp, final, replace=ours)
        except (OSError, CheckpointError) as error:
            cause: Cause = "exists" if isinstance(error, CheckpointError) else "error"
            return Failed(source, final, made.seconds, cause, f"cannot write the output: {error}")
        finally:
            job.temp.unlink(missing_ok=True)
        self._manifest.write(row._replace(state="done"))
        return Converted(
            *(source, final, made.seconds, made.size, made.digest, made.notes, made.how, made.verified),
            architecture=made.architecture,
        )


def _is_as_in(row: Row, source: Source) -> bool:
    """Whether a source still has the stamp of its row."""
    try:
        now = source.stamp or Stamp.of_file(os.stat(source.location))  # noqa: PTH116 - thousands of files
    except OSError:
        return False
    return now.size == row.size and now.mtime_ns == row.mtime_ns and str(now.inode) == row.inode


def _identify(location: str, known: Fingerprint) -> Fingerprint | None:
    """Return the new fingerprint of a file whose bytes are still the known ones, else `None`."""
    try:
        now = stamp_of(location) if is_url(location) else Stamp.of_file(Path(location).stat())
    except OSError:
        return None
    if now.size != known.size or not still_is(location, known.digest):
        return None
    return now.named(known.digest)
