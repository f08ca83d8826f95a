"""What a run has done so far, on disk, so that the next run need not do it again."""

from __future__ import annotations

import contextlib
import os
import platform
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from surgeon.checkpoint.stamp import Fingerprint
from surgeon.errors import CheckpointError

State = Literal["publishing", "done", "failed"]
_VERSION = 2
_TABLE = """
CREATE TABLE IF NOT EXISTS files (
    output        TEXT PRIMARY KEY,  -- path under the output folder
    source        TEXT NOT NULL,     -- absolute path
    size          INTEGER,           -- of the source: bytes
    mtime_ns      INTEGER,
    inode         TEXT,              -- text: some file systems use all 64 bits, SQLite has 63
    digest        TEXT,
    rules         TEXT NOT NULL,     -- digest of the rules (and of the architecture file, if any)
    output_size   INTEGER,
    output_digest TEXT,
    state         TEXT NOT NULL,     -- publishing, done, failed
    error         TEXT,
    seconds       REAL NOT NULL,
    changed_at    TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID
"""


_RUN_TABLE = """
CREATE TABLE IF NOT EXISTS run (  -- the last one: one row
    host      TEXT NOT NULL,
    pid       INTEGER NOT NULL,
    started   REAL NOT NULL,      -- seconds since 1970
    changed   REAL NOT NULL,
    ended     REAL,
    found     INTEGER NOT NULL,
    skipped   INTEGER NOT NULL,
    converted INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    written   INTEGER NOT NULL    -- bytes
)
"""


_REPLACING_TABLE = """
CREATE TABLE IF NOT EXISTS replacing (  -- what an output is that a run was about to replace
    output TEXT PRIMARY KEY,
    size   INTEGER,
    digest TEXT NOT NULL
) WITHOUT ROWID
"""
Content = tuple[int | None, str]
"""Bytes of a file, and a name for its content."""


class Run(NamedTuple):
    """What the manifest says of the last run; the fields are the columns."""

    host: str
    pid: int
    started: float
    changed: float
    ended: float | None
    found: int
    skipped: int
    converted: int = 0
    failed: int = 0
    written: int = 0


class Failure(NamedTuple):
    """What the manifest says of a file that was not converted; the fields are columns."""

    output: str
    source: str
    error: str


class Row(NamedTuple):
    """One file in the manifest; the fields are the columns.

    `publishing` is written when the output is complete and synced under its temporary name, just before
    it gets its final one: a run that dies in between leaves a row from which the next run knows the
    output for its own.
    """

    output: str
    source: str
    rules: str
    state: State
    seconds: float
    size: int | None = None
    mtime_ns: int | None = None
    inode: str | None = None
    digest: str | None = None
    output_size: int | None = None
    output_digest: str | None = None
    error: str | None = None

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The state of the source that was converted; `None` if it was not."""
        if self.size is None or self.mtime_ns is None or self.inode is None or self.digest is None:
            return None
        return Fingerprint(self.size, self.mtime_ns, int(self.inode), self.digest)

    def of(self, mark: Fingerprint) -> Row:
        """Return the row for this state of the source."""
        return self._replace(
            size=mark.size, mtime_ns=mark.mtime_ns, inode=str(mark.inode), digest=mark.digest
        )


def as_kept(text: str) -> str:
    r"""Return a name as the manifest keeps it: those of files need not be UTF-8, its texts must be.

    Example:
        >>> as_kept("a.keras"), as_kept(os.fsdecode(bytes([0xFF])))
        ('a.keras', '\\udcff')
    """
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


_COLUMNS = ", ".join(Row._fields)
_SELECT = f"SELECT {_COLUMNS} FROM files"  # noqa: S608 - of names in this file alone
_PLACES = ", ".join("?" for _ in Row._fields)
# Finer than the default, which is of seconds: of two rows of a source one must be known for the later.
_NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
_INSERT = f"INSERT OR REPLACE INTO files ({_COLUMNS}, changed_at) VALUES ({_PLACES}, {_NOW})"  # noqa: S608


def _connect_to_look(path: Path) -> sqlite3.Connection:
    # Without a log beside it nobody has the file open; then SQLite needs no file to share with others.
    has_log = path.with_name(f"{path.name}-wal").exists()
    return sqlite3.connect(f"{path.as_uri()}?mode=ro{'' if has_log else '&immutable=1'}", uri=True)


class Manifest:
    """The SQLite file `OUT/.surgeon/manifest.sqlite`: one row per output.

    Example:
        >>> with Manifest(Path(":memory:")) as manifest:
        ...     manifest.write(Row("a.keras", "/in/a.keras", "r", "failed", 0.1, error="damaged"))
        ...     manifest.read("a.keras").error
        'damaged'
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or make the manifest.

        Args:
            path: The file.
            read_only: Whether it is only looked at; then it must be there.

        Raises:
            CheckpointError: If the file is not a manifest that this version can read.
        """
        self._path, self._read_only, self._counts = path, read_only, False
        with self._explained():
            self._database = _connect_to_look(path) if read_only else sqlite3.connect(path)
            try:
                version = self._database.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, _VERSION):
                    raise CheckpointError(
                        f"{path} is a manifest of version {version}, this Surgeon writes {_VERSION}; "
                        "convert into a new folder"
                    )
                if read_only:
                    return
                self._database.execute("PRAGMA journal_mode = WAL")
                # A row that says "done" must survive a power cut as well as the file that it speaks of.
                self._database.execute("PRAGMA synchronous = FULL")
                if version == 0:
                    with self._database:
                        self._database.execute(_TABLE)
                        self._database.execute(f"PRAGMA user_version = {_VERSION}")
                with self._database:
                    self._database.execute(_RUN_TABLE)
                    self._database.execute(_REPLACING_TABLE)
            except BaseException:
                self._database.close()
                raise

    def read(self, output: str) -> Row | None:
        """Return the row of an output, or `None`."""
        with self._explained():
            found = self._database.execute(f"{_SELECT} WHERE output = ?", (as_kept(output),)).fetchone()
        return None if found is None else Row(*found)

    def rows(self) -> dict[str, Row]:
        """Return every row by its output, read at once."""
        with self._explained():
            return {row.output: row for row in map(Row._make, self._database.execute(_SELECT))}

    def write(self, row: Row, *, replacing: Content | None = None) -> None:
        """Write a row and sync it to disk before returning.

        Args:
            row: The row.
            replacing: With `publishing`, what is there until the output gets its name.
        """
        row = Row._make(as_kept(value) if isinstance(value, str) else value for value in row)
        with self._explained(), self._database:
            self._database.execute(_INSERT, row)
            if replacing is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO replacing VALUES (?, ?, ?)", (row.output, *replacing)
                )
            if self._counts and row.state != "publishing":
                done = row.state == "done"
                self._database.execute(
                    "UPDATE run SET changed = ?, converted = converted + ?, failed = failed + ?, "
                    "written = written + ?",
                    (time.time(), done, not done, (done and row.output_size) or 0),
                )

    def replacing(self, output: str) -> list[Content]:
        """Return what an output may still be if a run died while it replaced it."""
        with self._explained():
            asked = "SELECT size, digest FROM replacing WHERE output = ?"
            return list(self._database.execute(asked, (as_kept(output),)))

    def begin(self, found: int, skipped: int) -> None:
        """Begin to count for this run; `skipped` of its files were done before."""
        now = time.time()
        run = Run(platform.node(), os.getpid(), now, now, None, found, skipped)
        with self._explained(), self._database:
            self._database.execute("DELETE FROM run")
            self._database.execute(f"INSERT INTO run VALUES ({', '.join('?' for _ in run)})", run)  # noqa: S608
        self._counts = True

    def end(self) -> None:
        """Note that the run has come to its end."""
        with self._explained(), self._database:
            self._database.execute("UPDATE run SET ended = ?", (time.time(),))

    def run(self) -> Run | None:
        """Return what is known of the last run; `None` in a manifest of an older Surgeon."""
        with self._explained():
            if not self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone():
                return None
            found = self._database.execute("SELECT * FROM run").fetchone()
        return None if found is None else Run(*found)

    def failures(self) -> list[Failure]:
        """Return what has failed, but for what a later run has done, maybe under another name."""
        # SQLite takes the other columns from the row that has the maximum.
        asked = "SELECT output, source, error, state, max(changed_at) FROM files GROUP BY source"
        with self._explained():
            rows = list(self._database.execute(f"{asked} HAVING state = 'failed'"))
        return [Failure(*row[:3]) for row in rows]

    def note(self, row: Row) -> None:
        """Write a row that says nothing new of the files, unless the manifest is only looked at."""
        if not self._read_only:
            self.write(row)

    def close(self) -> None:
        """Close the file; SQLite then folds its log into it."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise CheckpointError(
                f"{self._path}: the manifest cannot be used: {error}; move it away to start afresh "
                "(outputs that exist are never overwritten without it)"
            ) from error
