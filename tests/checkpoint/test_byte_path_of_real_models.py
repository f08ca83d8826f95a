"""What the byte path writes is what Keras writes, for models as people have them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from surgeon.checkpoint import convert
from surgeon.rules import freeze, train
from surgeon.select import channels, elements, isa
from tests import zoo
from tests.checkpoint.test_byte_path import weights_member
from tests.helpers import assert_same_outputs, same_bits, tiers, to_numpy, train_steps

pytestmark = pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")

RULES = [
    freeze("*"),
    train(isa("Dense"), kernel=channels(0.25, by="magnitude"), bias=elements(1, by="magnitude")),
]


class Made(NamedTuple):
    """A source, and what the two paths made of it."""

    source: Path
    moved: Path
    saved: Path


def with_adam() -> Any:
    """Return an MLP that was trained with Adam."""
    model = zoo.mlp()
    train_steps(model, zoo.sample_inputs(model, 8), optimizer=keras.optimizers.Adam(0.01), steps=3)
    return model


def mobilenet() -> Any:
    """Return MobileNetV2 as it comes, 15 MB of it."""
    return zoo.jitter(keras.applications.MobileNetV2(weights=None))


def resnet(name: str) -> Any:
    """Return ResNet50, 103 MB of it, or ResNet152, 244 MB."""
    return zoo.jitter(getattr(keras.applications, name)(weights=None))


MODELS: dict[str, Callable[[], Any]] = {
    "mlp": zoo.mlp,
    "with_adam": with_adam,
    "tiny_bert": zoo.tiny_bert,
}


def by_both(folder: Path, models: dict[str, Callable[[], Any]]) -> dict[str, Made]:
    """Convert models by both paths."""
    sources = folder / "in"
    sources.mkdir()
    for name, build in models.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        build().save(sources / f"{name}.keras")
    options: dict[str, Any] = {"imports": ["keras_hub"], "timeout": 1800.0}
    moved = convert(sources, RULES, folder / "moved", **options)
    saved = convert(sources, RULES, folder / "saved", move_bytes=False, **options)
    assert {done.how for done in moved.converted} == {"bytes"}, moved.to_json()
    assert {done.how for done in saved.converted} == {"keras"}, saved.to_json()
    paths = (folder / kind for kind in ("in", "moved", "saved"))
    found = zip(*([path / f"{name}.keras" for name in models] for path in paths), strict=True)
    return {name: Made(*files) for name, files in zip(models, found, strict=True)}


def check(made: Made) -> tuple[Any, Any]:
    """Compare bytes, then outputs; return the models that the two paths made."""
    assert weights_member(made.moved) == weights_member(made.saved)
    source, moved, saved = (keras.saving.load_model(path) for path in made)
    inputs = zoo.sample_inputs(source)
    assert_same_outputs(source(inputs, training=False), moved(inputs, training=False))
    assert_same_outputs(saved.predict(inputs, verbose=0), moved.predict(inputs, verbose=0))
    trained = sum(int(np.prod(v.shape)) for v in moved.trainable_variables)
    assert 0 < trained < sum(int(np.prod(v.shape)) for v in source.trainable_variables) / 3
    return moved, saved


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Made]:
    return by_both(tmp_path_factory.mktemp("real"), MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "tiny_bert"])
def test_the_weights_are_those_that_keras_writes(made, name):
    check(made[name])


@pytest.mark.slow
def test_slots_are_gathered_as_keras_would_have_them(made):
    moved, saved = check(made["with_adam"])
    old = keras.saving.load_model(made["with_adam"].source).optimizer
    assert len(old.variables) > len(moved.trainable_variables)
    pairs = list(zip(saved.optimizer.variables, moved.optimizer.variables, strict=True))
    assert all(same_bits(to_numpy(one), to_numpy(other)) for one, other in pairs)
    # Iterations and learning rate, and two moments for each weight that trains; none is as at the start.
    assert len(pairs) == 2 + 2 * len(moved.trainable_variables)
    assert all(np.any(to_numpy(slot)) for _, slot in pairs)
    assert int(moved.optimizer.iterations) == 3


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", tiers(["ResNet50", "ResNet152"], slow=["ResNet50"]))
def test_the_weights_of_large_models_are_those_that_keras_writes(tmp_path, name):
    found = by_both(tmp_path, {"mobilenet": mobilenet, "resnet": partial(resnet, name)})
    check(found["mobilenet"])
    check(found["resnet"])
    assert (tmp_path / "moved" / "resnet.keras").stat().st_size > 100_000_000
