"""A worker process seen from its parent: started, asked, watched and, if need be, killed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, cast

import psutil

from surgeon.checkpoint.outcome import Cause
from surgeon.checkpoint.sources import absolute
from surgeon.errors import CheckpointError

_CLOSE_SECONDS = 5
_POLL_SECONDS = 0.05
_START_SECONDS = 300.0
_LAST_WORDS = 2000


class WorkerLostError(Exception):
    """The worker was killed, or died, over one file. Never leaves the engine."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause: Cause = cause


class StoppedError(Exception):
    """The run was stopped while the worker was busy. Never leaves the engine."""


class WorkerProcess:
    """One process that answers requests, one at a time.

    A fresh interpreter, not a fork, and not multiprocessing's spawn either, which would import the caller's
    script again: `surgeon.convert(…)` works in a script without `if __name__ == "__main__"`.

    Attributes:
        stop: Set from any thread to end a request early.
    """

    def __init__(self, command: Sequence[str], order: Mapping[str, Any], stop: threading.Event) -> None:
        """Start the process and wait until it is ready.

        Args:
            command: What to run.
            order: The first request: what to do with each file.
            stop: Set to give up.

        Raises:
            CheckpointError: If it does not start, or cannot follow the order.
        """
        self.stop = stop
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `kill`
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of this package
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(),
            # Ctrl-C is for the parent, which then stops its workers in order.
            start_new_session=True,
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            reply = self.ask(order, timeout=_START_SECONDS, memory_limit=None)
        except WorkerLostError as error:
            raise CheckpointError(f"a worker process did not start: {error}") from error
        if not reply["ok"]:
            self.kill()
            raise CheckpointError(f"a worker process cannot do this: {reply['reason']}")

    def ask(self, request: Mapping[str, Any], *, timeout: float, memory_limit: int | None) -> dict[str, Any]:
        """Send a request and return the answer.

        Args:
            request: JSON data.
            timeout: Seconds to wait.
            memory_limit: Resident bytes that the process may hold, or `None` for no limit.

        Raises:
            WorkerLostError: If it died, took too long or too much memory. It is dead then.
            StoppedError: If `stop` was set meanwhile. It is dead then too.
        """
        deadline = time.monotonic() + timeout
        try:
            # A worker that is gone already is told by its answer, the end of its output.
            with contextlib.suppress(BrokenPipeError):
                self._requests.write(json.dumps(request).encode() + b"\n")
                self._requests.flush()
            return self._wait(deadline, timeout, memory_limit)
        except BaseException:
            self.kill()
            raise

    def _wait(self, deadline: float, timeout: float, memory_limit: int | None) -> dict[str, Any]:
        while True:
            try:
                line = self._lines.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self.stop.is_set():
                    raise StoppedError from None
                if time.monotonic() > deadline:
                    raise WorkerLostError(
                        "timeout", f"took more than {timeout:g} s; the worker was stopped"
                    ) from None
                held = self._resident()
                if memory_limit is not None and held > memory_limit:
                    reason = (
                        f"took {held:,} bytes of memory, more than {memory_limit:,}; the worker was stopped"
                    )
                    raise WorkerLostError("memory", reason) from None
            else:
                if line is None:
                    raise WorkerLostError("crash", self._death())
                answer: dict[str, Any] = json.loads(line)
                return answer

    def close(self) -> None:
        """Let the process end, which it does at the end of its input; kill it if it does not."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process now, if it still runs, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._requests, self._answers):
            # What could not be sent any more does not matter any more.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._errors.close()

    def _listen(self) -> None:
        for line in self._answers:
            self._lines.put(line)
        self._lines.put(None)

    def _resident(self) -> int:
        try:
            found = psutil.Process(self._process.pid).memory_info()
            # Pages of files that are mapped are not held: the system takes them back when it needs them.
            return int(found.rss - getattr(found, "shared", 0))
        except psutil.NoSuchProcess:
            return 0

    def _death(self) -> str:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _LAST_WORDS))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the worker process died ({how})" + (f": {lines[-1]}" if lines else "")


def worker_command() -> list[str]:
    """Return the command of the worker that runs Keras."""
    # -P: no module is taken from the current folder, which may be the one that is being converted.
    return [sys.executable, "-P", "-m", "surgeon.checkpoint.worker"]


def _environment() -> dict[str, str]:
    environment = {
        **os.environ,
        # The same modules as in this process, in the same order; an empty entry would be the current folder.
        "PYTHONPATH": os.pathsep.join(str(absolute(entry)) for entry in sys.path if entry),
        # Loading and saving need no accelerator, and several workers would fight over its memory.
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
    }
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        environment["KERAS_BACKEND"] = sys.modules["keras"].backend.backend()
    return environment
