"""What a partly frozen layer costs: step time, inference time, slot bytes and peak memory.

Each case is timed against the stock layer, the layer frozen whole by Keras's flag, and the mask that people
write by hand. All variants of a case take turns in one process; what counts is processor time, as a ratio to
the stock layer's.

    scripts/benchmark training --backend jax --fractions 0.1 --cases conv_256,dense_1024 --memory
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parse() -> argparse.Namespace:
    """Return the options; they are read before Keras is imported."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax"])
    parser.add_argument(
        "--jit", action="store_true", help="compile with XLA on TensorFlow, as JAX always does"
    )
    parser.add_argument("--fractions", default="0.01,0.1,0.5,0.9")
    parser.add_argument("--cases", default="dense_1024,dense_4096,conv_64,conv_256")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="peak memory too, each in a process of its own")
    return parser.parse_args()


def main() -> None:
    """Print one table for each case."""
    options = parse()
    os.environ["KERAS_BACKEND"] = options.backend
    for case in options.cases.split(","):
        print(f"\n## {case} on {options.backend}{' with jit' if options.jit else ''}\n")
        print("| variant | train step | inference | slots | peak memory |\n|---|---|---|---|---|", flush=True)
        for fraction in map(float, options.fractions.split(",")):
            measure(case, fraction, options)


def measure(case: str, fraction: float, options: argparse.Namespace) -> None:
    """Print the rows of one case at one fraction."""
    import keras

    keras.utils.clear_session()
    model, x, y, layer = CASES[case]()
    found = {name: make() for name, make in variants(model, layer, fraction).items()}
    for variant in found.values():
        compile_for(variant, options)
        variant.train_on_batch(x, y)
        variant.predict_on_batch(x)
    steps = interleaved(
        {name: lambda v=v: v.train_on_batch(x, y) for name, v in found.items()}, options.repeats
    )
    calls = interleaved(
        {name: lambda v=v: v.predict_on_batch(x) for name, v in found.items()}, options.repeats
    )
    slots = {name: slot_bytes(v) for name, v in found.items()}
    memory = {name: peak_memory(case, name, fraction, options) for name in found} if options.memory else {}
    for name in found:
        part = "" if name in ("stock", "frozen", "kernel frozen") else f" {fraction:.0%}"
        row = (
            f"{steps[name] / steps['stock']:.2f}",
            f"{calls[name] / calls['stock']:.2f}",
            f"{slots[name] / slots['stock']:.3f}",
            f"{memory[name] / memory['stock']:.2f}" if memory else "-",
        )
        print(f"| {name}{part} | {' | '.join(row)} |", flush=True)


def compile_for(model: Any, options: argparse.Namespace) -> None:
    """Compile a variant as the options say."""
    model.compile("adam", "mse", jit_compile=options.jit if options.backend == "tensorflow" else "auto")


def variants(model: Any, layer: str, fraction: float) -> dict[str, Callable[[], Any]]:
    """Return what makes the model in each variant; only `layer` differs."""
    import surgeon as sg

    def copied() -> Any:
        return sg.rewrite(model, [], validate="none")

    def partly(selection: Any) -> Any:
        return sg.rewrite(model, sg.train(layer, kernel=selection), validate="none")

    def frozen() -> Any:
        made = copied()
        made.get_layer(layer).trainable = False
        return made

    def split(selection: Any) -> Any:
        made = partly(selection)
        sg.split_compute(made, layer)
        return made

    channels, rows, elements = (kind(fraction, by="random") for kind in (sg.channels, sg.rows, sg.elements))
    made = {
        "stock": copied,
        "frozen": frozen,
        "kernel frozen": lambda: sg.rewrite(model, sg.freeze(layer, "kernel"), validate="none"),
        "channels": lambda: partly(channels),
        "rows": lambda: partly(rows),
        "elements": lambda: partly(elements),
        "mask by hand": lambda: masked(model, layer, fraction),
    }
    if hasattr(model.get_layer(layer), "units"):
        made |= {"channels, split": lambda: split(channels), "rows, split": lambda: split(rows)}
    return made


def masked(model: Any, layer: str, fraction: float) -> Any:
    """Return the model with a mask in the layer's forward pass."""
    import numpy as np
    from keras import ops

    import surgeon as sg

    copied = sg.rewrite(model, [], validate="none")
    subject = copied.get_layer(layer)
    mask = (np.random.default_rng(0).random(subject.kernel.shape) < fraction).astype("float32")
    base = type(subject)

    def kernel(self: Any) -> Any:
        whole = base.kernel.fget(self)
        return whole * mask + ops.stop_gradient(whole * (1.0 - mask))

    subject.__class__ = type(base.__name__, (base,), {"kernel": property(kernel)})
    return copied


def interleaved(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median processor time of each, measured in turns; each turn lasts 50 ms at least."""
    start = time.process_time()
    next(iter(runs.values()))()
    count = max(1, int(0.05 / max(time.process_time() - start, 1e-4)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.process_time()
            for _ in range(count):
                run()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(of) for name, of in times.items()}


def slot_bytes(model: Any) -> int:
    """Return the bytes of the optimizer's variables."""
    return sum(
        int(v.value.nbytes if hasattr(v.value, "nbytes") else v.numpy().nbytes)
        for v in model.optimizer.variables
    )


def peak_memory(case: str, variant: str, fraction: float, options: argparse.Namespace) -> int:
    """Return the bytes that the model and a training step of it take at most, in a process of its own."""
    command = [sys.executable, str(Path(__file__).parent / "_step_memory.py"), case, variant, str(fraction)]
    command += ["--backend", options.backend, *(["--jit"] if options.jit else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def dense(units: int, batch: int, start_with: str) -> Any:
    """Return a Dense of so many units between two cheap layers."""
    import keras
    import numpy as np

    start = keras.Input((units,))
    x = keras.layers.Rescaling(1.0)(start)
    x = keras.layers.LayerNormalization(name="before")(x)  # the gradient of the inputs is needed
    x = keras.layers.Dense(units, activation="relu", kernel_initializer=start_with, name="subject")(x)
    model = keras.Model(start, keras.layers.Dense(1, name="head")(x))
    return model, np.ones((batch, units), "float32"), np.ones((batch, 1), "float32"), "subject"


def conv(filters: int, side: int, batch: int, start_with: str) -> Any:
    """Return a 3 × 3 Conv2D between two cheap layers."""
    import keras
    import numpy as np

    start = keras.Input((side, side, filters))
    x = keras.layers.DepthwiseConv2D(1, name="before")(start)
    x = keras.layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer=start_with, name="subject"
    )(x)
    model = keras.Model(start, keras.layers.Dense(1, name="head")(keras.layers.GlobalAveragePooling2D()(x)))
    return model, np.ones((batch, side, side, filters), "float32"), np.ones((batch, 1), "float32"), "subject"


CASES: dict[str, Callable[[], Any]] = {
    "dense_1024": lambda start_with="glorot_uniform": dense(1024, 256, start_with),
    "dense_4096": lambda start_with="glorot_uniform": dense(4096, 64, start_with),
    "conv_64": lambda start_with="glorot_uniform": conv(64, 28, 16, start_with),
    "conv_256": lambda start_with="glorot_uniform": conv(256, 14, 16, start_with),
}

if __name__ == "__main__":
    main()
