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

SIZES: Mapping[str, Any] = {
    "decoder_mlp_dim": 24,
    "embedding_dim": 8,
    "head_dim": 8,
    "head_size": 8,
    "hidden_dim": 16,
    "hidden_size": 16,
    "image_shape": (16, 16, 3),
    "image_size": 16,
    "intermediate_dim": 24,
    "max_sequence_length": 8,
    "mlp_dim": 24,
    "moe_intermediate_dim": 8,
    "num_attention_heads": 2,
    "num_experts": 3,
    "num_frames": 4,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "num_layers": 2,
    "num_layers_dec": 1,
    "num_layers_enc": 1,
    "num_query_heads": 2,
    "patch_size": 4,
    "shared_expert_intermediate_dim": 8,
    "shared_expert_intermediate_size": 8,
    "top_k": 2,
    "vocab_size": 40,
    "vocabulary_size": 40,
}

OPTIONAL = ("image_shape", "max_sequence_length", "num_experts", "top_k")
"""Sizes that have a default, which is far too large."""

_T5GEMMA = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in {
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "num_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    }.items()
} | {"sliding_window": 4}
_LINEAR_ATTENTION = {
    "linear_num_key_heads": 1,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 4,
}

MORE: Mapping[str, Mapping[str, Any]] = {
    "CLIPTextEncoder": {"embedding_dim": 16},
    "MetaCLIP2TextEncoder": {"embedding_dim": 16},
    "SigLIPTextEncoder": {"embedding_dim": 16},
    "CSPNetBackbone": {
        "stem_filters": 8,
        "stem_kernel_size": 3,
        "stem_strides": 1,
        "stackwise_strides": 2,
        "stackwise_depth": [1, 2],
        "stackwise_num_filters": [8, 12],
        "block_type": "dark_block",
        "stage_type": "csp",
        "down_growth": True,
        "bottle_ratio": (0.5, 1.0),
        "block_ratio": (1.0, 0.5),
        "expand_ratio": (2.0, 1.0),
        "stem_padding": "same",
        "image_shape": (32, 32, 3),
    },
    "DenseNetBackbone": {"stackwise_num_repeats": [1, 2, 1], "growth_rate": 4, "image_shape": (32, 32, 3)},
    "EfficientNetBackbone": {
        "image_shape": None,
        "input_shape": (32, 32, 3),
        "stackwise_kernel_sizes": [3, 3],
        "stackwise_num_repeats": [1, 2],
        "stackwise_input_filters": [8, 8],
        "stackwise_output_filters": [8, 16],
        "stackwise_expansion_ratios": [1, 4],
        "stackwise_squeeze_and_excite_ratios": [0.0, 0.25],
        "stackwise_strides": [1, 2],
        "stackwise_block_types": ["fused", "unfused"],
        "stackwise_force_input_filters": [0, 0],
        "stackwise_nores_option": [False, False],
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "num_features": 24,
    },
    "FluxBackbone": {
        "input_channels": 16,
        "hidden_size": 24,
        "mlp_ratio": 2.0,
        "depth": 1,
        "depth_single_blocks": 1,
        "axes_dim": [4, 4, 4],
        "theta": 10_000,
        "use_bias": True,
        "guidance_embed": True,
        "image_shape": (6, 16),
        "text_shape": (5, 16),
        "image_ids_shape": (6, 3),
        "text_ids_shape": (5, 3),
        "y_shape": (16,),
    },
    "HGNetV2Backbone": {
        "embedding_size": 8,
        "stem_channels": [3, 8, 8],
        "hidden_act": "relu",
        "use_learnable_affine_block": True,
        "depths": [1, 1],
        "hidden_sizes": [12, 16],
        "stackwise_stage_filters": [[8, 8, 12, 1, 1, 3], [12, 8, 16, 1, 1, 3]],
        "apply_downsample": [False, True],
        "use_lightweight_conv_block": [False, True],
        "image_shape": (32, 32, 3),
    },
    "MiTBackbone": {
        "layerwise_depths": [1, 1],
        "hidden_dims": [4, 8],
        "layerwise_num_heads": [1, 2],
        "layerwise_sr_ratios": [4, 2],
        "max_drop_path_rate": 0.1,
        "layerwise_patch_sizes": [7, 3],
        "layerwise_strides": [4, 2],
        "image_shape": (32, 32, 3),
    },
    "MobileNetBackbone": {
        "stackwise_expansion": [[8, 12], [16]],
        "stackwise_num_blocks": [2, 1],
        "stackwise_num_filters": [[8, 8], [12]],
        "stackwise_kernel_size": [[3, 3], [5]],
        "stackwise_num_strides": [[2, 1], [2]],
        "stackwise_se_ratio": [[None, 0.25], [0.25]],
        "stackwise_activation": [["relu", "relu"], ["hard_swish"]],
        "stackwise_padding": [[1, 1], [2]],
        "output_num_filters": 24,
        "input_num_filters": 8,
        "depthwise_filters": 8,
        "depthwise_stride": 2,
        "depthwise_residual": False,
        "last_layer_filter": 24,
        "image_shape": (32, 32, 3),
    },
    "MobileNetV5Backbone": {
        "stackwise_block_types": [["er"], ["uir", "uir"]],
        "stackwise_num_blocks": [1, 2],
        "stackwise_num_filters": [[8], [12, 12]],
        "stackwise_strides": [[2], [2, 1]],
        "stackwise_act_layers": [["relu"], ["relu", "relu"]],
        "stackwise_exp_ratios": [[2.0], [2.0, 2.0]],
        "stackwise_se_ratios": [[0.0], [0.0, 0.0]],
        "stackwise_dw_kernel_sizes": [[0], [5, 5]],
        "stackwise_dw_start_kernel_sizes": [[0], [0, 0]],
        "stackwise_dw_end_kernel_sizes": [[0], [0, 0]],
        "stackwise_exp_kernel_sizes": [[3], [0, 0]],
        "stackwise_pw_kernel_sizes": [[1], [0, 0]],
        "stackwise_num_heads": [[0], [0, 0]],
        "stackwise_key_dims": [[0], [0, 0]],
        "stackwise_value_dims": [[0], [0, 0]],
        "stackwise_kv_strides": [[0], [0, 0]],
        "stackwise_use_cpe": [[False], [False, False]],
        "stem_size": 8,
        "use_msfa": False,
        "image_shape": (32, 32, 3),
    },
    "PaliGemmaBackbone": {
        "vit_patch_size": 4,
        "vit_num_layers": 1,
        "vit_num_heads": 2,
        "vit_hidden_dim": 8,
        "vit_intermediate_dim": 16,
    },
    "Qwen3_5Backbone": _LINEAR_ATTENTION,
    "Qwen3_5MoeBackbone": _LINEAR_ATTENTION,
    "RQVAEBackbone": {
        "input_dim": 12,
        "encoder_layer_dims": [10, 8],
        "output_dim": 6,
        "decoder_layer_dims": [8, 10],
        "num_embeddings": 4,
        "num_quantizers": 2,
    },
    "RWKV7Backbone": {"gate_lora": 8, "mv_lora": 4, "aaa_lora": 4, "decay_lora": 4},
    "ResNetBackbone": {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 8],
        "stackwise_num_blocks": [1, 2],
        "stackwise_num_strides": [1, 2],
        "block_type": "bottleneck_block",
        "image_shape": (32, 32, 3),
    },
    "SmolLM3Backbone": {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "rope_layer_enabled_list": [True, False],
        "layer_types": ["attention", "attention"],
        "mlp_bias": False,
        "layer_norm_epsilon": 1e-5,
        "max_position_embeddings": 32,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 1.0,
    },
    "SwinTransformerBackbone": {
        "embed_dim": 8,
        "depths": (2, 2),
        "num_heads": (2, 4),
        "window_size": 4,
        "image_shape": (32, 32, 3),
    },
    "T5Gemma2Backbone": _T5GEMMA,
    "T5GemmaBackbone": _T5GEMMA,
    "VGGBackbone": {"stackwise_num_repeats": [1, 2], "stackwise_num_filters": [8, 12]},
    "ViTDetBackbone": {
        "global_attention_layer_indices": [1],
        "patch_size": 2,
        "num_output_channels": 4,
        "window_size": 2,
    },
    "VideoPrismBackbone": {"num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 1},
    "XceptionBackbone": {
        "stackwise_conv_filters": [[8, 8], [12, 12]],
        "stackwise_pooling": [True, False],
        "image_shape": (64, 64, 3),
    },
}


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
