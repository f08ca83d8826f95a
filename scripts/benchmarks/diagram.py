"""How much processor time a picture costs: graph, cards, layout, SVG.

    scripts/benchmark diagram [--repeats 3]

Children count too: Graphviz runs in one. The least of the repeats is told, since a busy machine
only ever adds to it.
"""

from __future__ import annotations

import argparse
import os
import resource
from collections.abc import Callable
from typing import Any

from surgeon.diagrams import draw
from tests.diagrams.graphs import resnet, tangle


def cpu_seconds(task: Callable[[], Any], repeats: int) -> float:
    """Return the least processor time that a task took, its child processes included."""

    def now() -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    times = []
    for _ in range(repeats):
        start = now()
        task()
        times.append(now() - start)
    return min(times)


def nasnet() -> tuple[Any, Callable[[], Any]]:
    """Return NASNetLarge and how its graph is read."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras

    import surgeon

    model = keras.applications.NASNetLarge(weights=None)
    return surgeon.to_graph(model), lambda: surgeon.to_graph(model)


def main() -> None:
    """Print a table of layers, seconds and limits."""
    parser = argparse.ArgumentParser(description="Processor time of pictures.")
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    graph, read = nasnet()
    cases: list[tuple[str, int, Callable[[], Any], float | None]] = [
        ("NASNetLarge: model to graph", len(graph), read, None),
        ("NASNetLarge: graph to SVG", len(graph), lambda: draw(graph).svg, None),
        ("NASNetLarge: model to SVG", len(graph), lambda: draw(read()).svg, 0.25),
        (
            "NASNetLarge: model to SVG, overview",
            len(graph),
            lambda: draw(read(), detail="overview").svg,
            0.25,
        ),
    ]
    long, tangled = resnet(715), tangle(1000)
    cases += [
        ("blocks in a row", len(long), lambda: draw(long).svg, 2.0),
        (
            "random skips, a card for each layer",
            len(tangled),
            lambda: draw(tangled, detail="layers").svg,
            10.0,
        ),
    ]
    print(f"{'':40}{'layers':>8}{'CPU s':>8}{'limit':>8}")
    for name, layers, task, limit in cases:
        seconds = cpu_seconds(task, repeats)
        print(f"{name:40}{layers:>8,}{seconds:>8.3f}{f'{limit:g}' if limit else '':>8}", flush=True)


if __name__ == "__main__":
    main()
