"""Many files at a time: threads, each with a worker process of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from surgeon.checkpoint.asking import Ask
from surgeon.checkpoint.per_file import Job, Result
from surgeon.checkpoint.worker_process import StoppedError, WorkerLostError, WorkerProcess

FILES_PER_WORKER = 200
"""After so many files a worker is replaced, so that what Keras never gives back does not add up."""

Step = Job | tuple[Job, Result]
"""A job that starts, or one that is done with its result."""

Perform = Callable[[Job, Ask], Result]


class LocalEngine:
    """Runs jobs on worker processes of this machine.

    A worker starts when the first file needs it, and a new one takes the place of one that died.

    Args:
        command: The command of a worker.
        order: Its first request.
        workers: How many files are in work at a time.
    """

    def __init__(self, command: Sequence[str], order: Mapping[str, Any], workers: int) -> None:
        self._command, self._order, self._count = command, order, workers
        self._stop = threading.Event()

    def run(self, jobs: Sequence[Job], perform: Perform) -> Generator[Step]:
        """Yield each job when it starts, and with its result when it is done, as it happens.

        Closing the generator (or an exception in the caller) stops the workers and waits until they are gone.

        Raises:
            CheckpointError: If a worker does not start, or cannot follow its order.
        """
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        happened: queue.SimpleQueue[Step | BaseException] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=self._serve, args=(waiting, happened, perform))
            for _ in range(min(self._count, len(jobs)))
        ]
        try:
            for thread in threads:
                thread.start()
            left = len(jobs)
            while left:
                try:
                    # With a timeout, Ctrl-C gets through on every system.
                    event = happened.get(timeout=0.5)
                except queue.Empty:
                    continue
                if isinstance(event, BaseException):
                    raise event
                left -= not isinstance(event, Job)
                yield event
        finally:
            self._stop.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _serve(
        self,
        waiting: queue.SimpleQueue[Job],
        happened: queue.SimpleQueue[Step | BaseException],
        perform: Perform,
    ) -> None:
        seat = Seat(lambda: WorkerProcess(self._command, self._order, self._stop))
        try:
            while not self._stop.is_set():
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                happened.put(job)
                happened.put((job, perform(job, seat.ask)))
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 - handed to the thread that reads, which raises it
            happened.put(error)
        finally:
            seat.close()


class Seat:
    """A place for one worker, filled when it is needed.

    Args:
        start: Starts a worker.
    """

    def __init__(self, start: Callable[[], WorkerProcess]) -> None:
        self._start = start
        self._worker: WorkerProcess | None = None
        self._served = 0

    def ask(self, request: Mapping[str, Any], timeout: float, memory_limit: int | None) -> Mapping[str, Any]:
        """Ask the worker; see `WorkerProcess.ask`."""
        if self._served >= FILES_PER_WORKER:
            self.close()
        if self._worker is None:
            self._worker, self._served = self._start(), 0
        self._served += 1
        try:
            return self._worker.ask(request, timeout=timeout, memory_limit=memory_limit)
        except (WorkerLostError, StoppedError):
            # It is dead already.
            self._worker = None
            raise

    def close(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None
