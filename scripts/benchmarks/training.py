"""What a partly frozen layer costs: step time, inference time, slot bytes and peak memory.

Each case is timed against the stock layer, the layer frozen whole by Keras's flag, and the mask that people
write by hand. All variants of a case take turns in one process; what counts is processor time, as a ratio to
the stock layer's.

    scripts/benchmark training --backend jax --fractions 0.1 --cases conv_256,dense_1024 --memory
    scripts/benchmark training --page docs     # all that the page of the documentation shows, in an hour
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from _measuring import Task, interleaved, ratio
from _training_cases import CASES, Case
from _training_page import write_page

LARGE_CASES = ("dense_4096", "conv_256")
"""Cases whose peak memory is asked for, each variant in a process of its own."""

TURN, CALLS, ENOUGH = 0.03, 0.1, 1.5
"""Seconds of processor time: of the stock layer's steps in a turn, of its predictions (each finds in the
cache what the one before left there), and of all turns in a place."""

PLACES = 3
"""In how many places in memory a case is timed: where weights come to lie is chance, and counts."""


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
    parser.add_argument("--turns", type=int, default=3, help="the least number of turns in a place")
    parser.add_argument("--memory", action="store_true", help="peak memory too, of large layers at 10 %%")
    parser.add_argument("--page", type=Path, help="folder of the documentation, for training-cost.md")
    return parser.parse_args()


def main() -> None:
    """Print one table for each case, or write the page."""
    options = parse()
    if options.page:
        write_page(options.page, lambda *arguments: run_oneself(*arguments, "--turns", str(options.turns)))
        return
    os.environ["KERAS_BACKEND"] = options.backend
    for case in options.cases.split(","):
        print(f"\n### {case}\n")
        print("| variant | train step | inference | slots | peak memory |\n|---|---|---|---|---|", flush=True)
        for fraction in map(float, options.fractions.split(",")):
            measure(case, fraction, options)


def run_oneself(*arguments: str) -> str:
    """Print and return what this benchmark prints with other arguments: a process has one backend."""
    lines = []
    with subprocess.Popen(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return "".join(lines)


def measure(case: str, fraction: float, options: argparse.Namespace) -> None:
    """Print the rows of one case at one fraction."""
    import keras

    keras.utils.clear_session()
    subject = CASES[case]()
    x, y = subject.x, subject.y
    found = {name: make() for name, make in variants(subject, fraction).items()}
    for variant in found.values():
        compile_for(variant, subject, options)
        variant.train_on_batch(x, y)
        variant.predict_on_batch(x)
    steps = {name: lambda v=v: v.train_on_batch(x, y) for name, v in found.items()}
    calls = {name: lambda v=v: v.predict_on_batch(x) for name, v in found.items()}
    placed = []
    for place in range(PLACES):
        move_weights(list(found.values()), place)
        placed.append(
            (
                ratios(steps, ["stock"], options.turns, TURN),
                ratios(calls, ["stock", "frozen"], options.turns, CALLS),  # both predict alike
            )
        )
    step, call = (
        {name: median(each[name] for each in kind) for name in found} for kind in zip(*placed, strict=True)
    )
    slots = {name: slot_bytes(v) for name, v in found.items()}
    memory = {}
    if options.memory and case in LARGE_CASES and fraction == 0.1:
        memory = peak_memory(case, list(found), fraction, options)
    for name in found:
        part = "" if name in ("stock", "frozen", "kernel frozen") else f" {fraction:.0%}"
        row = (
            f"{step[name]:.2f}",
            f"{call[name]:.2f}",
            f"{slots[name] / slots['stock']:.3f}",
            f"{memory[name] / memory['stock']:.2f}" if memory else "-",
        )
        print(f"| {name}{part} | {' | '.join(row)} |", flush=True)


def compile_for(model: Any, case: Case, options: argparse.Namespace) -> None:
    """Compile a variant as the options say."""
    model.compile("adam", case.loss, jit_compile=options.jit if options.backend == "tensorflow" else "auto")


def variants(case: Case, fraction: float) -> dict[str, Callable[[], Any]]:
    """Return what makes the model in each variant; only the case's layers differ."""
    import surgeon as sg

    def copied() -> Any:
        return sg.rewrite(case.model, [], validate="none")

    def partly(selection: Any) -> Any:
        return sg.rewrite(case.model, sg.train(case.selector, kernel=selection), validate="none")

    def frozen() -> Any:
        made = copied()
        for layer in case.subjects(made):
            layer.trainable = False
        return made

    def split(selection: Any) -> Any:
        made = partly(selection)
        sg.split_compute(made, case.selector)
        return made

    channels, rows, elements = (kind(fraction, by="random") for kind in (sg.channels, sg.rows, sg.elements))
    made = {
        "stock": copied,
        "frozen": frozen,
        "kernel frozen": lambda: sg.rewrite(case.model, sg.freeze(case.selector, "kernel"), validate="none"),
        "channels": lambda: partly(channels),
        "rows": lambda: partly(rows),
        "elements": lambda: partly(elements),
    }
    if all(isinstance(getattr(type(layer), "kernel", None), property) for layer in case.subjects(case.model)):
        made["mask by hand"] = lambda: masked(case, fraction)
    if case.is_one_layer and hasattr(case.model.get_layer(case.selector), "units"):
        made |= {"channels, split": lambda: split(channels), "rows, split": lambda: split(rows)}
    return made


def masked(case: Case, fraction: float) -> Any:
    """Return the model with a mask in the forward pass of each layer that counts."""
    import surgeon as sg

    copied = sg.rewrite(case.model, [], validate="none")
    for layer in case.subjects(copied):
        mask_kernel(layer, fraction)
    return copied


def mask_kernel(layer: Any, fraction: float) -> None:
    """Let a layer compute with a kernel of which a mask keeps the gradient from most elements."""
    from keras import ops

    mask = (np.random.default_rng(0).random(layer.kernel.shape) < fraction).astype("float32")
    base = type(layer)

    def kernel(self: Any) -> Any:
        whole = base.kernel.fget(self)
        return whole * mask + ops.stop_gradient(whole * (1.0 - mask))

    layer.__class__ = type(base.__name__, (base,), {"kernel": property(kernel)})


def move_weights(models: list[Any], seed: int) -> None:
    """Put weights of models, and their optimizers' variables, into new memory, in an order that is drawn."""
    import keras

    for place in np.random.default_rng(seed).permutation(len(models)):
        for variable in (*models[place].variables, *models[place].optimizer.variables):
            variable.assign(keras.ops.add(variable.value, 0))


def ratios(
    runs: dict[str, Callable[[], Any]], references: Sequence[str], turns: int, turn: float
) -> dict[str, float]:
    """Return the processor time of each as a ratio to that of some, in at least so many turns.

    In a turn each one runs as often as takes the stock layer `turn` seconds; there are more turns as long as
    all of them take `ENOUGH` seconds.

    Args:
        runs: What to time, by name.
        references: Names: the mean of these is what the others are divided by.
        turns: The least number of turns.
        turn: Seconds.
    """
    gc.collect()
    gc.freeze()  # what is there already is not looked through between the runs
    start = time.process_time()
    runs["stock"]()
    count = max(1, int(turn / max(time.process_time() - start, 1e-4)))

    def task(run: Callable[[], Any]) -> Task:
        return lambda: [run() for _ in range(count)]

    # The first turn does not count: there the first prediction after training puts weights together.
    times = interleaved({name: task(run) for name, run in runs.items()}, turns, enough=ENOUGH)
    reference = [mean(taken) for taken in zip(*(times[name] for name in references), strict=True)]
    return {name: ratio(taken, reference) for name, taken in times.items()}


def slot_bytes(model: Any) -> int:
    """Return the bytes of the optimizer's variables."""
    return sum(
        int(v.value.nbytes if hasattr(v.value, "nbytes") else v.numpy().nbytes)
        for v in model.optimizer.variables
    )


def peak_memory(case: str, names: list[str], fraction: float, options: argparse.Namespace) -> dict[str, int]:
    """Return the bytes that each model and training steps of it take at most, in processes of their own.

    On TensorFlow in the worst of three: whether two operations, or two batches, meet is chance.
    """
    command = [sys.executable, str(Path(__file__).parent / "_step_memory.py"), case]
    others = [str(fraction), "--backend", options.backend, *(["--jit"] if options.jit else [])]
    times = 1 if options.backend == "jax" else 3

    def measured(name: str) -> int:
        done = subprocess.run([*command, name, *others], capture_output=True, text=True, check=True)
        return int(done.stdout.split()[-1])

    with ThreadPoolExecutor(2) as pool:  # nothing is timed here
        found = list(pool.map(measured, names * times))
    return {name: max(found[place :: len(names)]) for place, name in enumerate(names)}


if __name__ == "__main__":
    main()
