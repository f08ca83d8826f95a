"""What is done already, what counts as done, and how a file gets there."""

from __future__ import annotations

from dataclasses import dataclass

from surgeon.checkpoint.config_text import digest_parts
from surgeon.checkpoint.destination import Destination
from surgeon.checkpoint.identity import is_damaged, is_read_again, still_is
from surgeon.checkpoint.manifest import Content, Manifest, Row, as_kept
from surgeon.checkpoint.outcome import Cause, Converted, Failed, Outcome, Skipped
from surgeon.checkpoint.per_file import Job, Result
from surgeon.checkpoint.sources import Kind, Source
from surgeon.checkpoint.stamp import Fingerprint, Stamp
from surgeon.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Publication:
    """An output that is about to get its final name, or what went wrong before that.

    Attributes:
        job: What was to be done.
        result: What came of it.
        before: What the manifest said of the output before.
        row: What it says now; `None` if there is no output.
        replace: Whether an output of ours is there, whose place it takes.
    """

    job: Job
    result: Result
    before: Row | None
    row: Row | None = None
    replace: bool = False


class Record:
    """One run's view of the manifest.

    Args:
        manifest: The manifest of the output folder.
        out: Where outputs go.
        rules: Digest of the rules, and of the architecture if one was given.
        resume: Whether what earlier runs have done counts.
        strict: Whether files with NaN are refused. What a run that is not has done does not count then.
    """

    def __init__(
        self, manifest: Manifest, out: Destination, rules: str, *, resume: bool, strict: bool = False
    ) -> None:
        judged = digest_parts(rules, "strict")
        self._manifest, self._out, self._rules = manifest, out, judged if strict else rules
        self._same = {judged} if strict else {rules, judged}
        self._known = manifest.rows() if resume else {}

    def finished(self, source: Source) -> Skipped | None:
        """Return that an earlier run has done this file, if it has and if nothing has changed since.

        A source whose time has changed but whose bytes have not counts as unchanged.
        """
        row = self._known.get(as_kept(source.output))
        if row is None or row.state == "failed" or row.rules not in self._same or row.digest is None:
            return None
        path, final = source.location, self._out.final(source.output)
        if not self._out.has(final, row.output_size):
            return None
        if row.state == "done" and row.source == as_kept(path) and _is_as_in(row, source):
            return Skipped(path, final)
        return self._known_again(row, source, final)

    def _known_again(self, row: Row, source: Source, final: str) -> Skipped | None:
        """Look closer, where a stamp or a place is another, or a run died just after it gave a name."""
        known = row.fingerprint
        if known is None or (row.state == "publishing" and not still_is(final, str(row.output_digest))):
            return None
        path, now = source.location, known
        if row.source != as_kept(path) or not known.still_holds(path):
            found = _identify(path, known)
            if found is None:
                return None
            now = found
        self._manifest.note(row._replace(source=path, state="done").of(now))
        return Skipped(path, final)

    def announce(self, job: Job, result: Result) -> Publication:
        """Write down which output is about to get its final name, so that a later run knows it for ours.

        An output is replaced only if it is what an earlier run wrote: somebody may have trained it since.
        """
        before = self._manifest.read(job.source.output)
        if isinstance(result, Failed):
            return Publication(job, result, before)
        there: Content | None = None
        if is_taken := self._out.is_taken(job.final):
            there, why = self._found(job.source.output, before, job.final)
            if why:
                job.temp.unlink()
                reason = f"{job.final} {why}; move it away, or choose another folder"
                failed = Failed(job.source.location, job.final, result.seconds, "exists", reason)
                return Publication(job, failed, before)
        row = Row(
            *(job.source.output, job.source.location, self._rules, "publishing", result.seconds),
            output_size=result.size,
            output_digest=result.digest,
        ).of(result.fingerprint)
        self._manifest.write(row, replacing=there)
        return Publication(job, result, before, row, replace=is_taken)

    def _found(self, output: str, before: Row | None, final: str) -> tuple[Content | None, str]:
        """Return what an output that is there is, if an earlier run wrote it, or else why it must stay."""
        if before is None or before.output_digest is None:
            return None, "exists and is not from an earlier run"
        # A run that died between its note and the new name left the output of the run before.
        known = [(before.output_size, before.output_digest), *self._manifest.replacing(output)]
        for size, digest in known:
            if not is_read_again(digest) or (self._out.has(final, size) and still_is(final, digest)):
                return (size, digest), ""
        return None, "" if is_damaged(final) else "was changed since an earlier run wrote it"

    def publish(self, publication: Publication) -> Result:
        """Give an output its final name; from any thread."""
        job, made = publication.job, publication.result
        if isinstance(made, Failed):
            return made
        try:
            self._out.publish(job.temp, job.final, replace=publication.replace)
        except (OSError, CheckpointError) as error:
            cause: Cause = "exists" if isinstance(error, CheckpointError) else "error"
            reason = f"cannot write the output: {error}"
            return Failed(job.source.location, job.final, made.seconds, cause, reason)
        finally:
            job.temp.unlink(missing_ok=True)
        return made

    def conclude(self, publication: Publication, result: Result) -> Outcome:
        """Write down what became of a file."""
        job, ours = publication.job, publication.before
        if isinstance(result, Failed):
            if publication.row is not None and result.cause == "error":
                ours = publication.row  # it may have its name: what came after that may be what failed
            self._manifest.write(
                Row(
                    *(job.source.output, result.source, self._rules, "failed", result.seconds),
                    # An output of an earlier run stays where it is, and stays known as ours.
                    output_size=ours.output_size if ours else None,
                    output_digest=ours.output_digest if ours else None,
                    error=f"{result.cause}: {result.reason}",
                )
            )
            return result
        if publication.row is not None:
            self._manifest.write(publication.row._replace(state="done"))
        return Converted(
            *(job.source.location, job.final, result.seconds, result.size, result.digest),
            *(result.notes, result.how, result.verified),
            architecture=result.architecture,
            model=result.model,
        )


def _is_as_in(row: Row, source: Source) -> bool:
    """Whether a source still has the stamp of its row."""
    try:
        # A listing knows of a map alone, not of its shards.
        listed = None if source.kind is Kind.SHARDED else source.stamp
        now = listed or Stamp.at(source.location)
    except OSError:
        return False
    return now.size == row.size and now.mtime_ns == row.mtime_ns and str(now.inode) == row.inode


def _identify(location: str, known: Fingerprint) -> Fingerprint | None:
    """Return the new fingerprint of a file whose bytes are still the known ones, else `None`."""
    try:
        now = Stamp.at(location)
    except OSError:
        return None
    if now.size != known.size or not still_is(location, known.digest):
        return None
    return now.named(known.digest)
