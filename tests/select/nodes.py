"""Small nodes to select from, live and not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from surgeon.graph import Node
from surgeon.select import Selector, isa, name


class Layer:
    """Stands for `keras.layers.Layer`: selectors look at names and classes only."""


class Dense(Layer):
    """Stands for `keras.layers.Dense`."""


class WideDense(Dense):
    """A subclass of a user."""


class Conv2D(Layer):
    """Stands for `keras.layers.Conv2D`."""


def node(path: str, cls: type | str = "Dense", **config: Any) -> Node:
    """Return a node with a live operation where `cls` is a class, else without."""
    label = path.rsplit("/", 1)[-1]
    if isinstance(cls, str):
        return Node(label, label, path, cls, config=config)
    return Node(label, label, path, cls.__name__, config=config, op=cls())


MODEL = (
    node("stem", Conv2D, filters=8),
    node("block_1_dense", Dense, units=4),
    node("block_2_dense", WideDense, units=64),
    node("block_2_conv", Conv2D, filters=16),
    node("encoder/conv_1", Conv2D, filters=4),
    node("encoder/stack/dense", Dense, units=8),
)

NODES = st.builds(
    node,
    st.lists(st.sampled_from(["a", "b", "block_1", "block_2"]), min_size=1, max_size=3).map("/".join),
    st.sampled_from([Layer, Dense, WideDense, Conv2D, "Dense", "Conv2D"]),
)

LEAVES: st.SearchStrategy[Selector] = st.one_of(
    st.sampled_from(["a", "*", "**", "**/b", "block_*", "block_[!1]/**"]).map(name),
    st.sampled_from(["Dense", "Conv2D", "Layer", "Missing"]).map(isa),
)

SELECTORS: st.SearchStrategy[Selector] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=6,
)
