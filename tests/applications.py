"""The models of keras.applications by name."""

from __future__ import annotations

import keras

NAMES = sorted(name for name in dir(keras.applications) if name[0].isupper())

FAMILIES = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
)
"""One of each: the largest of some draw hundreds of millions of random numbers."""
