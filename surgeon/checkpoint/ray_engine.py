"""Many files at a time on a Ray cluster, of this machine or of many: the same work, the same manifest.

The driver alone writes the manifest and gives outputs their final names; tasks make them under temporary
names in the output folder, which must be one that all machines share.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from importlib import import_module
from typing import Any

from surgeon.checkpoint.engine import Perform, Seat, Step
from surgeon.checkpoint.per_file import Job, Result
from surgeon.checkpoint.sources import absolute
from surgeon.checkpoint.worker_process import WorkerProcess
from surgeon.errors import CheckpointError

_MOST_FILES = 200
"""In one task; at a millisecond for a file a task is then far above what Ray takes for it."""

_TASKS_PER_WORKER = 4


class RayEngine:
    """Runs jobs as Ray tasks, several files each.

    A cluster that this process is connected to, or that `RAY_ADDRESS` names, is used; without one, one is
    started on this machine and ended again.

    Args:
        command: The command of a worker that runs Keras; each task has one, if it needs it.
        order: Its first request.
        workers: How many tasks run at a time on a cluster of this machine.
    """

    def __init__(self, command: Sequence[str], order: Mapping[str, Any], workers: int) -> None:
        self._command, self._order, self._count = tuple(command), dict(order), workers

    def run(self, jobs: Sequence[Job], perform: Perform) -> Generator[Step]:
        """Yield each job, and then with its result, when the task that it is part of is done.

        Raises:
            CheckpointError: If Ray is not installed, or a task was lost.
        """
        if not jobs:
            return
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _start(ray, self._count)
        try:
            yield from self._run(ray, jobs, perform)
        finally:
            if ours:
                ray.shutdown()

    def _run(self, ray: Any, jobs: Sequence[Job], perform: Perform) -> Generator[Step]:
        task = ray.remote(num_cpus=1, max_retries=0)(_work)
        shared = ray.put((perform, self._command, self._order))
        waiting = [task.remote(batch, shared) for batch in _batches(jobs, self._count)]
        try:
            while waiting:
                done, waiting = ray.wait(waiting)
                for job, result in ray.get(done[0]):
                    yield job
                    yield job, result
        except ray.exceptions.RayError as error:
            text = " ".join(str(error).split())
            raise CheckpointError(f"a Ray task was lost: {text[:500]}; run again to do the rest") from error
        finally:
            for left in waiting:
                ray.cancel(left, force=True)


def _batches(jobs: Sequence[Job], workers: int) -> list[list[Job]]:
    size = max(1, min(_MOST_FILES, len(jobs) // (_TASKS_PER_WORKER * workers)))
    return [list(jobs[begin : begin + size]) for begin in range(0, len(jobs), size)]


def _work(
    jobs: Sequence[Job], shared: tuple[Perform, Sequence[str], Mapping[str, Any]]
) -> list[tuple[Job, Result]]:
    """Do some files, in a process of Ray's."""
    perform, command, order = shared
    seat = Seat(lambda: WorkerProcess(command, order, threading.Event()))
    try:
        return [(job, perform(job, seat.ask)) for job in jobs]
    finally:
        seat.close()


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError as error:
        raise CheckpointError(
            "the engine 'ray' needs Ray: pip install 'surgeon-keras[ray]', or use the engine 'local'"
        ) from error


def _start(ray: Any, workers: int) -> None:
    # The same modules as in this process; an empty entry would be the current folder.
    path = os.pathsep.join(str(absolute(entry)) for entry in sys.path if entry)
    options: dict[str, Any] = {"runtime_env": {"env_vars": {"PYTHONPATH": path}}, "log_to_driver": False}
    if "RAY_ADDRESS" not in os.environ:
        options |= {"num_cpus": workers, "include_dashboard": False}
    ray.init(**options)
