"""Models of other people's builders, from packages that Surgeon does not depend on.

`scripts/fidelity` fetches the packages; what cannot be used with Keras 3, and why, stands in `UNUSABLE`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

PACKAGES = ("kimm==0.2.5", "k3im==0.1.1", "keras-tcn==3.5.7", "keras-unet-collection==0.1.13")

UNUSABLE: Mapping[str, str] = {
    "segmentation-models 1.0.1": "needs `efficientnet`, which is for Keras 2",
    "image-classifiers 1.0.0": "needs `keras_applications`, which is for Keras 2",
    "keras-unet-collection 0.1.13, resunet_a_2d": "asks a tensor for get_shape, which Keras 3 has not",
}

KIMM = (
    "ConvMixer736D32", "ConvNeXtAtto", "DenseNet121", "EfficientNetB0", "EfficientNetLiteB0",
    "EfficientNetV2B0", "GhostNetV2W100", "GhostNetV3W050", "GhostNetW050", "HGNetTiny", "HGNetV2B0",
    "InceptionNeXtTiny",
    "LCNet035", "MobileNetV2W050", "MobileNetV3W050Small", "MobileOneS0", "MobileViTV2W050",
    "MobileViTXXS", "RegNetX002", "RegNetY002", "ResNet18", "TinyNetE", "Xception",
    "VisionTransformerTiny16",
)  # fmt: skip

SIZES: Mapping[str, Any] = {
    "attention_dropout": 0.1,
    "channels": 3,
    "cls_depth": 1,
    "freq_patch_size": 8,
    "depth": 1,
    "dim": 16,
    "dim_coefficient": 2,
    "dim_head": 8,
    "dropout_rate": 0.1,
    "embedding_dim": 16,
    "frame_patch_size": 2,
    "frames": 4,
    "heads": 2,
    "hidden_units": 16,
    "image_patch_size": 8,
    "image_size": (32, 32),
    "kernel_size": 3,
    "mlp_dim": 16,
    "input_shape": (32, 32, 3),
    "num_blocks": 1,
    "num_classes": 3,
    "num_heads": 2,
    "num_patches": 4,
    "num_transformer_blocks": 1,
    "padding": 1,
    "patch_size": 8,
    "pool": "mean",
    "projection_dim": 16,
    "projection_dropout": 0.1,
    "seq_len": 16,
    "stochastic_depth_rate": 0.1,
    "stride": 2,
    "transformer_layers": 1,
    "transformer_units": [16, 16],
}
OTHERWISE: Mapping[str, Mapping[str, Any]] = {"deepvit": {"image_size": 32}}
ONE_DIMENSIONAL: Mapping[str, Any] = {"patch_size": 4, "image_size": 16}

K3IM = {
    "vit": "ViT", "simple_vit": "SimpleViT", "simple_vit_with_fft": "SimpleViTFFT",
    "simple_vit_with_register_tokens": "SimpleViT_RT", "deepvit": "DeepViT", "fnet": "FNetModel",
    "vit_1d": "ViT1DModel", "simple_vit_1d": "SimpleViT1DModel", "vit_3d": "ViT3DModel",
    "simple_vit_3d": "SimpleViT3DModel", "convmixer": "ConvMixer", "mlp_mixer_1d": "Mixer1DModel",
    "convmixer_1d": "ConvMixer1DModel", "cait": "CaiTModel", "eanet": "EANet", "cct": "CCT",
}  # fmt: skip


def _kimm(name: str) -> Any:
    return getattr(import_module("kimm.models"), name)(input_shape=(64, 64, 3), weights=None, classes=3)


def _k3im(module: str, name: str) -> Any:
    build = getattr(import_module(f"k3im.{module}"), name)
    usual = ONE_DIMENSIONAL if module.endswith("_1d") else {}
    sizes = {**SIZES, **usual, **OTHERWISE.get(module, {})}
    parameters = inspect.signature(build).parameters.values()
    asked = {p.name: sizes[p.name] for p in parameters if p.default is p.empty or p.name == "channels"}
    return build(**asked)


def _tcn(**options: Any) -> Any:
    import keras
    from tcn import TCN

    x = keras.Input((12, 3), name="series")
    return keras.Model(x, keras.layers.Dense(2, name="head")(TCN(4, dilations=(1, 2), **options)(x)))


def _unet(name: str, *args: Any, **options: Any) -> Any:
    return getattr(import_module("keras_unet_collection.models"), name)((32, 32, 3), *args, **options)


TCN: Mapping[str, Mapping[str, Any]] = {
    "TCN": {},
    "TCN, sequences": {"return_sequences": True},
    "TCN, layer norm": {"use_layer_norm": True},
    "TCN, batch norm": {"use_batch_norm": True},
}
UNETS: Mapping[str, Callable[[], Any]] = {
    "unet_2d": partial(_unet, "unet_2d", [4, 8, 12], 2),
    "unet_plus_2d": partial(_unet, "unet_plus_2d", [4, 8, 12], 2),
    "r2_unet_2d": partial(_unet, "r2_unet_2d", [4, 8, 12], 2),
    "att_unet_2d": partial(_unet, "att_unet_2d", [4, 8, 12], 2),
    "unet_3plus_2d": partial(_unet, "unet_3plus_2d", 2, [4, 8, 12]),
}


def models() -> dict[str, Callable[[], Any]]:
    """Return a builder for every model, by package and name."""
    return {
        **{f"kimm {name}": partial(_kimm, name) for name in KIMM},
        **{f"k3im {name}": partial(_k3im, module, name) for module, name in K3IM.items()},
        **{f"keras-tcn {name}": partial(_tcn, **options) for name, options in TCN.items()},
        **{f"keras-unet-collection {name}": build for name, build in UNETS.items()},
    }
