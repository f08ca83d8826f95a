"""Giving outputs their final names, one after the other or several at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from surgeon.checkpoint.engine import Step
from surgeon.checkpoint.outcome import Outcome
from surgeon.checkpoint.per_file import Job, Result
from surgeon.checkpoint.record import Publication, Record

Settled = Job | tuple[Job, Outcome]
"""A job that starts, or one of which is known what became of it."""


def settled(steps: Iterable[Step], record: Record, at_a_time: int) -> Generator[Settled]:
    """Yield each job when it starts, and with its outcome when its output has its name.

    The manifest is written by the thread that calls this alone.

    Args:
        steps: What an engine yields.
        record: What is done.
        at_a_time: How many outputs may be on their way to a store; 0 where that is a matter of an instant.
    """
    if not at_a_time:
        for step in steps:
            if isinstance(step, Job):
                yield step
                continue
            announced = record.announce(*step)
            yield step[0], record.conclude(announced, record.publish(announced))
        return
    under_way: deque[tuple[Publication, Future[Result]]] = deque()

    def conclude() -> Settled:
        announced, future = under_way.popleft()
        return announced.job, record.conclude(announced, future.result())

    with ThreadPoolExecutor(at_a_time) as pool:
        for step in steps:
            if isinstance(step, Job):
                yield step
                continue
            announced = record.announce(*step)
            under_way.append((announced, pool.submit(record.publish, announced)))
            # The first in the row may hold up others that are done: their temporary files take room.
            while under_way and (len(under_way) > 2 * at_a_time or under_way[0][1].done()):
                yield conclude()
        while under_way:
            yield conclude()
