"""Prints the bytes that one variant of a case of `training.py` takes at most while it trains.

Weights, slots, gradients, activations, temporaries and the batch. On JAX what XLA plans for a step; on
TensorFlow, which plans nothing, the peak that its allocator has counted in some steps, the median of several
rounds: operations run side by side there, and which of them meet is chance.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
from typing import Any

STEPS, ROUNDS = 3, 15


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
    # The allocator that counts; TensorFlow reads this when it is imported.
    os.environ |= {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": "16000"}
    import training
    from _training_cases import CASES

    case = CASES[options.case]()
    x, y = case.x, case.y
    variant = training.variants(case, options.fraction)[options.variant]()
    training.compile_for(variant, case, options)
    del case
    gc.collect()
    variant.train_on_batch(x, y)
    print(planned(variant, x, y) if options.backend == "jax" else counted(variant, x, y))


def counted(model: Any, x: Any, y: Any) -> int:
    """Return the bytes that TensorFlow's allocator has given out at most."""
    import tensorflow as tf

    peaks = []
    for _ in range(ROUNDS):
        gc.collect()
        tf.config.experimental.reset_memory_stats("CPU:0")
        for _ in range(STEPS):
            model.train_on_batch(x, y)
        peaks.append(tf.config.experimental.get_memory_info("CPU:0")["peak"])
    return int(statistics.median(peaks))


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
