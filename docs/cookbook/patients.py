"""Models for the recipes: as if trained, and small enough to run in a moment."""

import keras
import numpy as np
from keras import layers


def as_if_trained(model, seed=0):
    """Give a model weights that keep the signal alive, and no two alike; return the model."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        name, shape = variable.path.rsplit("/", 1)[-1], tuple(variable.shape)
        if "float" not in str(variable.dtype):
            continue
        if len(shape) > 1:
            fan_in = np.prod(shape[:2] if "depthwise" in variable.path else shape[:-1])
            value = rng.normal(size=shape) * np.sqrt(1.6 / fan_in)
        elif name in ("gamma", "moving_variance"):
            value = rng.uniform(0.6, 1.4, shape)
        else:
            value = rng.normal(size=shape) * 0.1
        variable.assign(value.astype("float32"))
    return model


def picture(model, batch=2, seed=0):
    """Return random pictures in the shape that a model takes."""
    shape = [size or 64 for size in model.input_shape[1:]]
    return np.random.default_rng(seed).normal(size=(batch, *shape)).astype("float32")


def close(left, right, tolerance=1e-4):
    """Whether two tensors are equal, up to a fraction of the largest value."""
    left, right = (np.asarray(keras.ops.convert_to_numpy(value)) for value in (left, right))
    return bool(np.isfinite(left).all()) and np.abs(left - right).max() <= tolerance * np.abs(left).max()


def application(name, size=64, **options):
    """Return one of keras.applications as if trained."""
    shape = (size, size, 3)
    return as_if_trained(getattr(keras.applications, name)(weights=None, input_shape=shape, **options))


def unet(size=32):
    """Return a small U-Net with BatchNormalization."""
    x = image = keras.Input((size, size, 3), name="image")
    skips = []
    for number, filters in enumerate((16, 32)):
        x = layers.Conv2D(filters, 3, padding="same", name=f"down_{number}")(x)
        x = layers.BatchNormalization(name=f"down_{number}_bn")(x)
        x = layers.ReLU(name=f"down_{number}_relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"down_{number}_pool")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu", name="bottom")(x)
    for number, filters in ((1, 32), (0, 16)):
        x = layers.UpSampling2D(name=f"up_{number}_size")(x)
        x = layers.Concatenate(name=f"up_{number}_skip")([x, skips[number]])
        x = layers.Conv2D(filters, 3, padding="same", name=f"up_{number}")(x)
        x = layers.BatchNormalization(name=f"up_{number}_bn")(x)
        x = layers.ReLU(name=f"up_{number}_relu")(x)
    return as_if_trained(keras.Model(image, layers.Conv2D(2, 1, name="mask")(x), name="unet"))


def siamese():
    """Return a model that embeds two lists of words by one Embedding and compares them."""
    left, right = (
        keras.Input((6,), dtype="int32", name="left"),
        keras.Input((6,), dtype="int32", name="right"),
    )
    embedding = layers.Embedding(50, 8, name="embedding")
    encoder = layers.LSTM(7, name="encoder")
    both = layers.Concatenate(name="both")([encoder(embedding(left)), encoder(embedding(right))])
    return as_if_trained(keras.Model([left, right], layers.Dense(1, name="same")(both), name="siamese"))


def nested():
    """Return a model inside of a model inside of a model."""
    block = keras.Sequential(
        [keras.Input((16,)), layers.Dense(12, activation="relu", name="dense"), layers.Dense(5, name="out")],
        name="block",
    )
    image = keras.Input((16, 16, 3), name="patch")
    x = layers.Conv2D(16, 3, activation="relu", name="conv")(image)
    encoder = keras.Model(image, block(layers.GlobalAveragePooling2D(name="pool")(x)), name="encoder")
    whole = keras.Input((16, 16, 3), name="image")
    return as_if_trained(keras.Model(whole, layers.Dense(3, name="head")(encoder(whole)), name="whole"))


def perceptron():
    """Return a trained-looking stack of Dense layers."""
    return as_if_trained(
        keras.Sequential(
            [
                keras.Input((12,), name="features"),
                layers.Dense(128, activation="relu", name="fc_1"),
                layers.Dense(64, activation="relu", name="fc_2"),
                layers.Dense(16, activation="relu", name="fc_3"),
                layers.Dense(4, name="logits"),
            ],
            name="perceptron",
        )
    )
