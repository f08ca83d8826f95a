"""What the benchmarks share: interleaved measuring in processor time, and tables.

Machines are shared and their speed drifts: only ratios of figures that were taken in turns, in one
process, mean anything.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Task = Callable[[], Any]


def interleaved(
    tasks: Mapping[str, Task], repeats: int = 5, warm_up: int = 1, enough: float = 0.0
) -> dict[str, list[float]]:
    """Run tasks in turns and return the seconds of processor time that each run of each took.

    The order is drawn for each turn, because what ran before leaves its traces in caches and in memory.

    Args:
        tasks: What to measure, by name. What a task returns is thrown away.
        repeats: Runs of each that count.
        warm_up: Runs of each before those that count.
        enough: Seconds that all runs that count take together at least; there are more of them until then.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    draw, turn, spent = np.random.default_rng(0), 0, 0.0
    while turn < warm_up + repeats or spent < enough:
        for name in draw.permutation(list(tasks)):
            gc.collect()
            start = time.process_time()
            tasks[name]()
            took = time.process_time() - start
            if turn >= warm_up:
                seconds[name].append(took)
                spent += took
        turn += 1
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median, over the turns, of how many times `slow` takes of `fast`."""
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows with the same keys as a Markdown table; numbers to three figures."""
    rows = list(rows)
    head = list(rows[0])
    cells = [[_text(row[key]) for key in head] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: Any) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def write_json(path: Path | None, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON, if a path is given."""
    if path is not None:
        path.write_text(json.dumps(list(rows), indent=1) + "\n", encoding="utf-8")
