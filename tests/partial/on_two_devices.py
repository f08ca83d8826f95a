"""Trains the subject of the matrix on two devices; run by `test_devices.py` in a process of its own.

python -m tests.partial.on_two_devices tensorflow|data|model
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext

import numpy as np

KIND = sys.argv[1] if __name__ == "__main__" else ""
os.environ["KERAS_BACKEND"] = "tensorflow" if KIND == "tensorflow" else "jax"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"


def mirrored():
    """Return a strategy over two halves of the processor."""
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def mesh(kind):
    """Let Keras spread batches, or the channels of Dense layers, over two devices."""
    from keras import distribution

    devices = distribution.list_devices()
    if kind == "data":
        return distribution.DataParallel(distribution.DeviceMesh((2,), ["batch"], devices))
    layout = distribution.LayoutMap(distribution.DeviceMesh((1, 2), ["batch", "model"], devices))
    layout["(rows|few|most|whole)/kernel"] = (None, "model")
    return distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")


def main():
    """Print as JSON how many frozen and trainable elements changed, and on how many devices weights lie."""
    strategy = mirrored() if KIND == "tensorflow" else None
    import keras

    if strategy is None:
        keras.distribution.set_distribution(mesh(KIND))
    import surgeon as sg
    from tests.partial import matrix

    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else nullcontext():
        stock = matrix.subject()
    # Outside of the scope: the rewritten model belongs to the strategy of the one that it is made from.
    model = sg.rewrite(stock, matrix.RULES, validate="none")
    where, before = matrix.masks(model), matrix.values(model)
    # Keras cannot overwrite weights with an average under `MirroredStrategy`, stock models included.
    option = "clipvalue, loss scale" if strategy else "decay, global clipnorm, EMA"
    with strategy.scope() if strategy else nullcontext():
        model.compile(matrix.optimizer("AdamW", option), "mse")
    model.fit(*matrix.samples(), batch_size=matrix.BATCH, shuffle=False, verbose=0)
    kernel = model.get_layer("few").kernel
    parts = {"base": kernel.base.value, "compact": kernel.compact.value}
    if strategy:
        places = {name: len(value.values) for name, value in parts.items()}
    else:
        places = {name: len(value.sharding.device_set) for name, value in parts.items()}
        places["split"] = not kernel.base.value.sharding.is_fully_replicated
    restored = sg.restore(model)
    same = all(
        np.array_equal(value, matrix.values(restored)[path]) for path, value in matrix.values(model).items()
    )
    found = {"changed": matrix.changed(before, matrix.values(model), where), "places": places, "same": same}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
