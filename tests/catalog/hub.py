"""Every kind of keras_hub model that has a graph, at a size that builds in a second.

Most constructors ask for the same few sizes, so `SIZES` answers them all by name; `MORE` holds what one class
wants besides, or otherwise. What is built of other models stands in `COMPOSED`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras_hub

from tests.catalog.hub_sizes import MORE, OPTIONAL, SIZES


def backbone(kind: str, **more: Any) -> Any:
    """Return a keras_hub backbone at the sizes above.

    Args:
        kind: Name of a class in `keras_hub.models`.
        **more: What to say otherwise.
    """
    cls = getattr(keras_hub.models, kind)
    given = {**MORE.get(kind, {}), **more}
    parameters = inspect.signature(cls.__init__).parameters
    asked = {
        key: SIZES[key]
        for key, parameter in parameters.items()
        if key in SIZES and (parameter.default is parameter.empty or key in OPTIONAL)
    }
    arguments = {key: value for key, value in {**asked, **given}.items() if value is not None}
    return cls(**arguments)


def _dual(name: str, prefix: str, **more: Any) -> Any:
    """Return an image encoder and a text encoder, joined by what compares their outputs."""
    vision = backbone(f"{prefix}VisionEncoder", name="vision_encoder")
    text = backbone(f"{prefix}TextEncoder", name="text_encoder")
    return getattr(keras_hub.models, name)(vision_encoder=vision, text_encoder=text, **more)


def _segment_anything() -> Any:
    parts = keras_hub.layers
    return keras_hub.models.SAMBackbone(
        image_encoder=backbone(
            "ViTDetBackbone", image_shape=(16, 16, 3), patch_size=4, num_output_channels=8
        ),
        prompt_encoder=parts.SAMPromptEncoder(
            hidden_size=8, image_embedding_size=(4, 4), input_image_size=(16, 16), mask_in_channels=8
        ),
        mask_decoder=parts.SAMMaskDecoder(
            num_layers=1,
            hidden_size=8,
            intermediate_dim=16,
            num_heads=2,
            embedding_dim=8,
            num_multimask_outputs=3,
            iou_head_depth=2,
            iou_head_hidden_dim=8,
        ),
    )


COMPOSED: Mapping[str, Callable[[], Any]] = {
    "BASNetBackbone": lambda: keras_hub.models.BASNetBackbone(
        image_encoder=backbone(
            "ResNetBackbone",
            input_conv_filters=[64],
            stackwise_num_filters=[64, 128, 256, 512],
            stackwise_num_blocks=[2, 2, 2, 2],
            stackwise_num_strides=[1, 2, 2, 2],
            block_type="basic_block",
            image_shape=(None, None, 3),
        ),
        num_classes=1,
        image_shape=(64, 64, 3),
    ),
    "CLIPBackbone": partial(_dual, "CLIPBackbone", "CLIP", projection_dim=8),
    "DeepLabV3Backbone": lambda: keras_hub.models.DeepLabV3Backbone(
        image_encoder=backbone("ResNetBackbone", image_shape=(None, None, 3)),
        spatial_pyramid_pooling_key="P3",
        low_level_feature_key="P2",
        upsampling_size=2,
        dilation_rates=[2, 3],
        projection_filters=8,
        image_shape=(32, 32, 3),
    ),
    "DepthAnythingBackbone": lambda: keras_hub.models.DepthAnythingBackbone(
        image_encoder=backbone(
            "DINOV2Backbone",
            num_layers=4,
            image_shape=(126, 126, 3),
            patch_size=14,
            position_embedding_shape=(126, 126, 3),
            apply_layernorm=True,
        ),
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_dims=[8, 8, 12, 12],
        fusion_hidden_dim=16,
        head_hidden_dim=8,
        head_in_index=-1,
        feature_keys=["stage1", "stage2", "stage3", "stage4"],
    ),
    "MetaCLIP2Backbone": partial(_dual, "MetaCLIP2Backbone", "MetaCLIP2", projection_dim=8),
    "PARSeqBackbone": lambda: keras_hub.models.PARSeqBackbone(
        image_encoder=backbone("ViTBackbone", use_class_token=False),
        vocabulary_size=20,
        max_label_length=8,
        decoder_hidden_dim=16,
        num_decoder_layers=1,
        num_decoder_heads=2,
        decoder_mlp_dim=24,
    ),
    "RetinaNetBackbone": lambda: keras_hub.models.RetinaNetBackbone(
        image_encoder=backbone(
            "ResNetBackbone",
            stackwise_num_filters=[64, 8, 8],
            stackwise_num_blocks=[1, 1, 1],
            stackwise_num_strides=[1, 2, 2],
            image_shape=(64, 64, 3),
        ),
        min_level=3,
        max_level=4,
        use_p5=False,
        image_shape=(64, 64, 3),
    ),
    "SAMBackbone": _segment_anything,
    "SegFormerBackbone": lambda: keras_hub.models.SegFormerBackbone(
        image_encoder=backbone("MiTBackbone"), projection_filters=8
    ),
    "SigLIPBackbone": partial(_dual, "SigLIPBackbone", "SigLIP"),
}

VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "BertBackbone, mixed precision": ("BertBackbone", {"dtype": "mixed_bfloat16"}),
    "Gemma2Backbone": (
        "GemmaBackbone",
        {"use_post_ffw_norm": True, "use_post_attention_norm": True, "final_logit_soft_cap": 30.0},
    ),
    "LlamaBackbone, tied": ("LlamaBackbone", {"tie_word_embeddings": True}),
    "Qwen2Backbone, untied": ("Qwen2Backbone", {"tie_word_embeddings": False}),
    "ResNetBackbone, basic": ("ResNetBackbone", {"block_type": "basic_block", "use_pre_activation": True}),
    "T5Backbone, untied": ("T5Backbone", {"tie_embedding_weights": False}),
    "ViTBackbone, float16": ("ViTBackbone", {"dtype": "float16"}),
}
"""One class once more, built in another way."""

TASKS: Mapping[str, Callable[[], Any]] = {
    f"{name}{task}": partial(
        lambda cls, of, more: getattr(keras_hub.models, cls)(
            backbone=backbone(of), preprocessor=None, **more
        ),
        f"{name}{task}",
        f"{name}Backbone",
        more,
    )
    for task, names, more in [
        ("CausalLM", ["GPT2", "Llama", "Gemma", "Mixtral", "OPT", "Falcon", "Bloom", "Qwen3"], {}),
        ("Seq2SeqLM", ["Bart"], {}),
        ("MaskedLM", ["Bert", "Roberta", "Albert", "DebertaV3", "FNet"], {}),
        ("TextClassifier", ["Bert", "DistilBert", "XLMRoberta"], {"num_classes": 3}),
        (
            "ImageClassifier",
            ["ResNet", "ViT", "EfficientNet", "DenseNet", "MiT", "Xception"],
            {"num_classes": 3},
        ),
    ]
    for name in names
}
"""A backbone with a head: a Functional subclass that is called on the inputs of the backbone inside it."""


def models() -> dict[str, Callable[[], Any]]:
    """Return a builder for every keras_hub model of the catalog, by name."""
    plain = sorted(
        name
        for name, cls in vars(keras_hub.models).items()
        if inspect.isclass(cls) and issubclass(cls, keras_hub.models.Backbone) and _is_known(name, cls)
    )
    variants = {name: partial(backbone, of, **more) for name, (of, more) in VARIANTS.items()}
    return {**{name: partial(backbone, name) for name in plain}, **COMPOSED, **variants, **TASKS}


def _is_known(name: str, cls: type) -> bool:
    parameters = list(inspect.signature(cls).parameters.values())
    required = {p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
    return bool(required) and required <= SIZES.keys() | MORE.get(name, {}).keys()
