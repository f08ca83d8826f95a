"""Frozen elements that changed: none, under every optimizer and option; and the mask by hand, which leaks."""

from __future__ import annotations

from unittest.mock import Mock

import keras
import numpy as np
import pytest

from surgeon import _keras, paths
from tests.partial import matrix

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
FULL = [(name, option) for name in matrix.OPTIMIZERS for option in ("alone", *matrix.OPTIONS)]
# Elsewhere every optimizer alone and with one option: the rest of the matrix costs minutes more.
QUICK = (
    [
        ("Adam", "decay, clipnorm, accumulation"),
        ("Adam amsgrad", "clipvalue, loss scale"),
        ("Muon", "decay, global clipnorm, EMA"),
    ]
    if ON_TENSORFLOW
    else [
        (name, option)
        for number, name in enumerate(matrix.OPTIMIZERS)
        for option in ("alone", list(matrix.OPTIONS)[number % 3])
    ]
)
CELLS = [
    pytest.param(*cell, id=" with ".join(cell), marks=[] if cell in QUICK else pytest.mark.sweep)
    for cell in FULL
]
# AdamW decays by itself; Adafactor divides zero by zero where a whole tensor has no gradient.
MOVES_WITHOUT_A_GRADIENT = {"AdamW", "Muon", "Ftrl", "ScheduleFreeAdamW", "Adafactor"}
# These look at the shape of a tensor, or at norms over all of it: they see the compact part for what it is.
SHAPE_AWARE = {"Muon", "Lamb", "Adafactor"}


@pytest.fixture
def in_place(monkeypatch):
    """Let weights of every size be written in place, as large ones are; return what makes the writers."""
    monkeypatch.setattr(_keras.in_place, "LARGE", 1)
    writer = Mock(wraps=_keras.in_place._writer)
    monkeypatch.setattr(_keras.in_place, "_writer", writer)
    return writer


def fit(model, name, option, **compile_options):
    """Train for the steps of the matrix; return the values before and after."""
    before = matrix.values(model)
    model.compile(matrix.optimizer(name, option), "mse", **compile_options)
    model.fit(*matrix.samples(), batch_size=matrix.BATCH, shuffle=False, verbose=0)
    return before, matrix.values(model)


@pytest.mark.parametrize("name, option", CELLS)
def test_no_frozen_element_changes_in_fifty_steps(name, option):
    if "loss scale" in option:
        keras.config.set_dtype_policy("mixed_float16")
    model = matrix.rewritten()
    where = matrix.masks(model)
    before, after = fit(model, name, option)
    for path, (frozen, trained) in matrix.changed(before, after, where).items():
        assert np.isfinite(after[path]).all(), f"{path} is not finite: comparing it proves nothing"
        assert frozen == 0, f"{path}: {frozen} frozen elements changed"
        # A constraint may hold a trainable element where it is: at zero, say.
        assert trained > 0 or not where[path].any(), f"{path}: nothing trained"
    for statistic in ("batch_norm/moving_mean", "batch_norm/moving_variance"):
        assert np.array_equal(before[statistic], after[statistic])
    assert not np.array_equal(before["head/kernel"], after["head/kernel"])


@pytest.mark.skipif(not ON_TENSORFLOW, reason="only TensorFlow's variables are written in place")
@pytest.mark.parametrize("name, option", CELLS)
def test_no_frozen_element_changes_where_weights_are_written_in_place(name, option, in_place):
    test_no_frozen_element_changes_in_fifty_steps(name, option)
    assert in_place.called


@pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX always compiles; PyTorch's compiler needs a C++ toolchain")
@pytest.mark.parametrize("jit", [True, False], ids=["compiled by XLA", "eagerly"])
def test_no_frozen_element_changes_however_a_step_runs(jit):
    model = matrix.rewritten()
    where = matrix.masks(model)
    before, after = fit(model, "AdamW", "decay, clipnorm, accumulation", jit_compile=jit, run_eagerly=not jit)
    counts = matrix.changed(before, after, where)
    assert all(frozen == 0 for frozen, _ in counts.values())
    assert any(trained for _, trained in counts.values())


def test_a_mask_by_hand_leaks_in_every_weight_that_has_a_penalty():
    where = matrix.masks(matrix.rewritten())
    keras.backend.clear_session()
    before, after = fit(matrix.naive(where), "Adam", "alone")
    leaks = {path for path, (count, _) in matrix.changed(before, after, where).items() if count}
    assert {"embedding/embeddings", "conv/kernel", "rows/kernel", "few/kernel", "most/kernel"} <= leaks


@pytest.mark.sweep
@pytest.mark.parametrize("option", ["alone", "decay, global clipnorm, EMA"])
@pytest.mark.parametrize("name", matrix.OPTIMIZERS)
def test_a_mask_by_hand_leaks_without_penalties_too(name, option):
    """What moves an element without a gradient: weight decay, an average, the optimizer itself."""
    where = matrix.masks(matrix.rewritten(penalties=False))
    keras.backend.clear_session()
    before, after = fit(matrix.naive(where, penalties=False), name, option)
    exact = option == "alone" and name not in MOVES_WITHOUT_A_GRADIENT
    # Biases are not masked by hand: nobody does.
    masked = {path: mask for path, mask in where.items() if path.endswith(("kernel", "embeddings"))}
    leaks = sum(frozen for frozen, _ in matrix.changed(before, after, masked).values())
    assert (leaks == 0) == exact


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("AdamW", "Muon") else pytest.mark.sweep)
        for name in matrix.OPTIMIZERS
    ],
)
def test_the_trainable_part_goes_the_way_of_a_reference_that_resets_the_rest(name):
    """The reference trains all of the stock weight and puts the frozen elements back after each step."""
    tuned = matrix.rewritten(penalties=False)
    where = matrix.masks(tuned)
    keras.backend.clear_session()
    # On TensorFlow a stock Embedding gives the optimizer a sparse gradient, whose repeated rows are squared
    # one by one; a mask that lets everything through makes it the dense one that ours is.
    reference = matrix.naive({"embedding/embeddings": np.full((9, 6), True)}, penalties=False)
    reference.get_layer("batch_norm").trainable = False
    x, y = matrix.samples(steps=12)
    for model in (tuned, reference):
        model.compile(matrix.optimizer(name, "alone"), "mse")
    frozen = matrix.values(reference)
    weights = {f"{p}/{n}": v for p, n, _, v in paths.weights(reference)}
    for step in range(0, len(x), matrix.BATCH):
        batch = slice(step, step + matrix.BATCH)
        tuned.train_on_batch(x[batch], y[batch])
        reference.train_on_batch(x[batch], y[batch])
        now = matrix.values(reference)
        for path, mask in where.items():
            weights[path].assign(np.where(mask, now[path], frozen[path]))
    ours, theirs = matrix.values(tuned), matrix.values(reference)
    close = all(np.allclose(ours[path], theirs[path], rtol=1e-4, atol=1e-5) for path in where)
    assert close == (name not in SHAPE_AWARE)
