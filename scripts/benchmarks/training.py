"""What a partly frozen layer costs: step time, inference time, slot bytes and peak memory.

Each case is timed against the stock layer, the layer frozen whole by Keras's flag, and the mask that people
write by hand. All variants of a case take turns in one process; what counts is processor time, as a ratio to
the stock layer's.

    scripts/benchmark training --backend jax --fractions 0.1 --cases conv_256,dense_1024
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

Variant = tuple[str, Any]


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
    found = variants(model, layer, fraction)
    for _, variant in found:
        variant.compile("adam", "mse", jit_compile=options.jit if options.backend == "tensorflow" else "auto")
        variant.train_on_batch(x, y)
        variant.predict_on_batch(x)
    steps = interleaved({name: lambda v=v: v.train_on_batch(x, y) for name, v in found}, options.repeats)
    calls = interleaved({name: lambda v=v: v.predict_on_batch(x) for name, v in found}, options.repeats)
    memory = {name: peak_memory(v, x, y) if options.backend == "jax" else None for name, v in found}
    slots = {name: slot_bytes(v) for name, v in found}
    for name, _ in found:
        share = f"{memory[name] / memory['stock']:.2f}" if memory[name] and memory["stock"] else "-"
        row = (
            f"{steps[name] / steps['stock']:.2f}",
            f"{calls[name] / calls['stock']:.2f}",
            f"{slots[name] / slots['stock']:.3f}",
            share,
        )
        print(
            f"| {name} {f'{fraction:.0%}' if name not in ('stock', 'frozen') else ''} | {' | '.join(row)} |",
            flush=True,
        )


def variants(model: Any, layer: str, fraction: float) -> list[Variant]:
    """Return the model in every variant; only `layer` differs."""
    import surgeon as sg

    def partly(selection: Any) -> Any:
        return sg.rewrite(model, sg.train(layer, kernel=selection), validate="none")

    frozen = sg.rewrite(model, [], validate="none")
    frozen.get_layer(layer).trainable = False
    splits = []
    if hasattr(frozen.get_layer(layer), "units"):
        splits = [
            ("channels, split", partly(sg.channels(fraction, by="random"))),
            ("rows, split", partly(sg.rows(fraction, by="random"))),
        ]
        for _, variant in splits:
            sg.split_compute(variant, layer)
    return [
        ("stock", sg.rewrite(model, [], validate="none")),
        ("frozen", frozen),
        ("kernel frozen", sg.rewrite(model, sg.freeze(layer, "kernel"), validate="none")),
        ("channels", partly(sg.channels(fraction, by="random"))),
        ("rows", partly(sg.rows(fraction, by="random"))),
        ("elements", partly(sg.elements(fraction, by="random"))),
        *splits,
        ("mask by hand", masked(model, layer, fraction)),
    ]


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


def peak_memory(model: Any, x: Any, y: Any) -> float:
    """Return the bytes that a step needs, as XLA plans them: arguments, results and temporaries."""
    import jax

    def loss(trainable: Any, rest: Any) -> Any:
        outputs, rest = model.stateless_call(trainable, rest, x, training=True)
        return ((outputs - y) ** 2).mean(), rest

    def step(trainable: Any, rest: Any, slots: Any) -> Any:
        gradients, rest = jax.grad(loss, has_aux=True)(trainable, rest)
        return *model.optimizer.stateless_apply(slots, gradients, trainable), rest

    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    state = [[variable.value for variable in group] for group in groups]
    plan = jax.jit(step, donate_argnums=(0, 2)).lower(*state).compile().memory_analysis()
    return float(
        plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        + plan.temp_size_in_bytes
        - plan.alias_size_in_bytes
    )


def dense(units: int, batch: int) -> Any:
    """Return a Dense of so many units between two cheap layers."""
    import keras
    import numpy as np

    start = keras.Input((units,))
    x = keras.layers.Rescaling(1.0)(start)
    x = keras.layers.LayerNormalization(name="before")(x)  # the gradient of the inputs is needed
    x = keras.layers.Dense(units, activation="relu", name="subject")(x)
    model = keras.Model(start, keras.layers.Dense(1, name="head")(x))
    return model, np.ones((batch, units), "float32"), np.ones((batch, 1), "float32"), "subject"


def conv(filters: int, side: int, batch: int) -> Any:
    """Return a 3 × 3 Conv2D between two cheap layers."""
    import keras
    import numpy as np

    start = keras.Input((side, side, filters))
    x = keras.layers.DepthwiseConv2D(1, name="before")(start)
    x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name="subject")(x)
    model = keras.Model(start, keras.layers.Dense(1, name="head")(keras.layers.GlobalAveragePooling2D()(x)))
    return model, np.ones((batch, side, side, filters), "float32"), np.ones((batch, 1), "float32"), "subject"


CASES: dict[str, Callable[[], Any]] = {
    "dense_1024": lambda: dense(1024, 256),
    "dense_4096": lambda: dense(4096, 64),
    "conv_64": lambda: conv(64, 28, 16),
    "conv_256": lambda: conv(256, 14, 16),
}

if __name__ == "__main__":
    main()
