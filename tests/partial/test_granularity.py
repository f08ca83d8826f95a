"""Each cell of the table in `docs/layers.md`: it trains exactly what it says, or an error says why."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

import surgeon as sg
from surgeon.errors import SelectionError
from tests.helpers import assert_same_outputs
from tests.partial import catalog, matrix
from tests.zoo import ROOT

CELLS = [
    pytest.param(layer, granularity, marks=[] if number % 13 == 0 else pytest.mark.sweep)
    for number, (layer, granularity) in enumerate(
        (layer, granularity) for layer in catalog.LAYERS for granularity in catalog.GRANULARITIES
    )
]


@pytest.mark.filterwarnings(
    "ignore:Gradients do not exist:UserWarning"
)  # Keras, of a weight that is not read
@pytest.mark.parametrize("layer, granularity", CELLS)
def test_cells(layer, granularity):
    """All weights of the layer at once, each with a part of this kind where it can have one."""
    stock = catalog.model_with(layer)
    rules, partial = [], {}
    for weight in catalog.weights_in(stock):
        rule = catalog.GRANULARITIES[granularity](weight)
        if catalog.refusal(stock, weight, granularity):
            with pytest.raises(SelectionError, match=weight.name):
                sg.rewrite(stock, rule)
        else:
            rules.append(rule)
            partial[f"{weight.layer}/{weight.name}"] = weight
    if not rules:
        return
    # Without the outputs: some layers set weights of their own in a call.
    tuned = sg.rewrite(stock, rules, validate="structure")
    where = matrix.masks(tuned)
    assert {path for path, weight in partial.items() if _is_some(weight, granularity)} <= where.keys()
    x, y = catalog.samples(layer)
    assert_same_outputs(tuned(x), stock(x))
    assert sg.validate(tuned, sg.restore(tuned)).ok
    tuned.trainable = False
    tuned.trainable = True
    before = matrix.values(tuned)
    tuned.compile(
        keras.optimizers.AdamW(0.01, weight_decay=0.1), "mse", run_eagerly=keras.backend.backend() != "jax"
    )
    for _ in range(2):
        tuned.train_on_batch(x, y)
    after = matrix.values(tuned)
    for path, (frozen, trained) in matrix.changed(before, after, where).items():
        assert np.isfinite(after[path]).all()
        assert (frozen, trained) == (0, int(where[path].sum())), path


def _is_some(weight, granularity):
    """Whether the part that the table chooses of a weight is less than all of it."""
    along = weight.shape[:1] if granularity == "first axis" else weight.shape
    return not weight.is_state and math.prod(along) > 1


def test_the_table_in_the_docs_is_what_these_cells_say():
    page = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    assert "\n".join(catalog.table()) in page, "run scripts/layer_table"
