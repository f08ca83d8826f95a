"""Prints the bytes that one variant of a case of `training.py` takes at most while it trains.

Weights, slots, gradients, activations, temporaries and the batch. On JAX what XLA plans for a step.
TensorFlow plans nothing, and which operations meet is chance there: it is what all of them together had asked
for at most in some steps, by the record of its profiler. What its allocator says to have given out is up to
twice that, and differs from process to process, as it hands out pieces that it has rather than cut them.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEPS = 45


def main() -> None:
    """Train one variant and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case")
    parser.add_argument("variant")
    parser.add_argument("fraction", type=float)
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--jit", action="store_true")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    # The allocator that keeps a record; TensorFlow reads this when it is imported.
    os.environ |= {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": "16000"}
    if options.backend == "jax":
        model, x, y = prepared(options)
        print(planned(model, x, y))
    else:
        with tempfile.TemporaryDirectory() as folder:
            record_steps(options, folder)
            print(most_in_steps(Path(folder)))


def prepared(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Return the variant's model, after a step of training, and its batch."""
    import training
    from _training_cases import CASES

    case = CASES[options.case]()
    x, y = case.x, case.y
    variant = training.variants(case, options.fraction)[options.variant]()
    training.compile_for(variant, case, options)
    del case
    gc.collect()
    variant.train_on_batch(x, y)
    return variant, x, y


def record_steps(options: argparse.Namespace, folder: str) -> None:
    """Build and train a model on TensorFlow while the profiler keeps a record."""
    import tensorflow as tf

    profiler = tf.profiler.experimental
    with profiler.Profile(folder, options=profiler.ProfilerOptions(host_tracer_level=3)):
        model, x, y = prepared(options)
        with profiler.Trace("steps"):
            for _ in range(STEPS):
                model.train_on_batch(x, y)


def most_in_steps(folder: Path) -> int:
    """Return the bytes that were asked for and not yet given back, at most, in a record's steps."""
    events = sorted(events_of(folder), key=lambda event: event[0])
    (start,) = (time for time, name, _ in events if name == "steps")
    taken: dict[int, int] = {}
    now = most = 0
    for time, name, stats in events:
        if name == "MemoryAllocation":
            taken[stats["addr"]] = stats["requested_bytes"]
            now += taken[stats["addr"]]
        elif name == "MemoryDeallocation":
            now -= taken.pop(stats["addr"], 0)
        most = max(most, now if time >= start else 0)
    return most


def events_of(folder: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield time in ps, name and details of what a record says of memory and steps."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = folder.rglob("*.xplane.pb")
    space = xplane_pb2.XSpace()
    space.ParseFromString(path.read_bytes())
    for plane in space.planes:
        stats = {key: about.name for key, about in plane.stat_metadata.items()}
        events = {key: about.name for key, about in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                name = events[event.metadata_id]
                if name in ("MemoryAllocation", "MemoryDeallocation", "steps"):
                    found = {stats[s.metadata_id]: getattr(s, s.WhichOneof("value")) for s in event.stats}
                    yield line.timestamp_ns * 1000 + event.offset_ps, name, found


def planned(model: Any, x: Any, y: Any) -> int:
    """Return the bytes that XLA plans for Keras's own step: arguments, results and temporaries."""
    import jax

    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([variable.value for variable in group] for group in groups)
    step = jax.jit(model.train_step, donate_argnums=0)  # as `make_train_function` compiles it
    plan = step.lower(state, (x, y, None)).compile().memory_analysis()
    return int(
        plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        + plan.temp_size_in_bytes
        - plan.alias_size_in_bytes
    )


if __name__ == "__main__":
    main()
