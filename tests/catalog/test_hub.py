"""Models of keras_hub come through a rewrite exactly; `scripts/fidelity` goes through all of them."""

from __future__ import annotations

import pytest

from tests import zoo
from tests.catalog import hub
from tests.fidelity import check_exact

SOME = (
    "BartBackbone",
    "BertBackbone, mixed precision",
    "DeiTBackbone",
    "FluxBackbone",
    "GPT2CausalLM",
    "GemmaBackbone",
    "LlamaBackbone",
    "LlamaBackbone, tied",
    "MiTBackbone",
    "MixtralBackbone",
    "ResNetImageClassifier",
    "RobertaBackbone",
    "SAMBackbone",
    "SwinTransformerBackbone",
    "T5Backbone",
    "WhisperBackbone",
)


def test_the_catalog_is_as_large_as_we_say():
    assert len(hub.models()) >= 100


# What Keras says of how keras_hub builds and masks these models; none of it is about their copies.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_models_of_keras_hub(name):
    model = zoo.jitter(hub.models()[name]())
    check_exact(model)
    check_exact(model, share=True)
