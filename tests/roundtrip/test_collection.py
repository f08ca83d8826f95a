"""Garbage collection is put off while a model is built, and goes on afterwards as it was set."""

from __future__ import annotations

import gc

import keras
import pytest
from keras import layers

import surgeon as sg
from surgeon.graph import graph_from_json, graph_to_json


@pytest.mark.parametrize("on", [True, False])
def test_it_goes_on_as_it_was_set(on):
    was_on = gc.isenabled()
    seen = []

    class Looking(layers.Dense):
        def __getattribute__(self, name):
            if name == "_tracker":
                seen.append(gc.isenabled())
            return super().__getattribute__(name)

    x = keras.Input((4,))
    model = keras.Model(x, Looking(2)(x))
    try:
        gc.enable() if on else gc.disable()
        seen.clear()
        sg.to_model(sg.to_graph(model))
        assert seen
        assert not any(seen)
        assert gc.isenabled() is on
        with pytest.raises(sg.GraphError):
            sg.to_model(graph_from_json(graph_to_json(sg.to_graph(model))))
        assert gc.isenabled() is on
    finally:
        gc.enable() if was_on else gc.disable()
