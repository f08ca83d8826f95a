"""Layers that are attached to others and taken off again."""

from __future__ import annotations

import gc

from keras import layers

from surgeon import _keras


def test_a_layer_at_the_address_of_one_that_was_taken_off_is_listed():
    outer = layers.Dense(1)
    addresses: list[int] = []
    outer.build((None, 1))
    gc.disable()  # what lies in between must not change where the next object lies
    try:
        while len(addresses) < 2000 and len(set(addresses)) == len(addresses):
            child = layers.Activation("relu", name="child")
            _keras.add_child_layer(outer, "inside", child)
            assert _keras.child_layers(outer) == [child]
            addresses.append(id(child))
            _keras.remove_child_layer(outer, "inside")
            assert _keras.child_layers(outer) == []
            del child
            gc.collect()
    finally:
        gc.enable()
    assert len(set(addresses)) < len(addresses), "no address was used twice: this has shown nothing"
