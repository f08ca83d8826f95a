"""Prints the bytes that one variant of a case of `training.py` takes at most while it trains.

Weights, slots, gradients, activations and temporaries. On JAX what XLA plans for a step; on TensorFlow, which
plans nothing, the peak of the resident memory in some steps, less what it was before the model: Linux
only, and of use for models of some hundred megabytes, because compilers take their share now and then.
"""

from __future__ import annotations

import argparse
import gc
import os
from pathlib import Path
from typing import Any

STEPS = 3


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
    import training
    from _training_cases import CASES, dense

    # What Keras, its backend and their compilers take for themselves.
    case = dense(512, 2, "zeros")
    for variant in ("stock", "channels", "elements"):
        warm = training.variants(case, 0.1)[variant]()
        training.compile_for(warm, case, options)
        warm.train_on_batch(case.x, case.y)
    del case, warm
    gc.collect()
    before = resident("VmRSS")
    # Random numbers leave garbage behind that would count.
    case = CASES[options.case](start_with="zeros")
    x, y = case.x, case.y
    variant = training.variants(case, options.fraction)[options.variant]()
    training.compile_for(variant, case, options)
    del case
    gc.collect()
    variant.train_on_batch(x, y)
    if options.backend == "jax":
        print(planned(variant, x, y))
        return
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is that of now
    for _ in range(STEPS):
        variant.train_on_batch(x, y)
    print(resident("VmHWM") - before)


def planned(model: Any, x: Any, y: Any) -> int:
    """Return the bytes that XLA plans for a step: arguments, results and temporaries."""
    import jax

    def loss(trainable: Any, rest: Any) -> Any:
        outputs, rest = model.stateless_call(trainable, rest, x, training=True)
        return ((outputs - y) ** 2).mean(), rest

    def step(trainable: Any, rest: Any, slots: Any) -> Any:
        gradients, rest = jax.grad(loss, has_aux=True)(trainable, rest)
        return *model.optimizer.stateless_apply(slots, gradients, trainable), rest

    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    state = [[variable.value for variable in group] for group in groups]
    plan = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*state).compile().memory_analysis()
    return int(
        plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        + plan.temp_size_in_bytes
        - plan.alias_size_in_bytes
    )


def resident(name: str) -> int:
    """Return a figure of the process's status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


if __name__ == "__main__":
    main()
