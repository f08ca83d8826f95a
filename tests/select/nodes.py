"""Small nodes to select from, live and not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from surgeon.graph import Node
from surgeon.select import (
    Pattern,
    Selector,
    any_tensor,
    between,
    called,
    chain,
    consumers_of,
    depth,
    downstream_of,
    either,
    ends,
    every,
    first,
    has_weight,
    inside,
    isa,
    last,
    name,
    nth,
    optional,
    pattern,
    producers_of,
    upstream_of,
)
from surgeon.select import node as node_of


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


def around(inner: st.SearchStrategy[Selector]) -> st.SearchStrategy[Selector]:
    """Return selectors that look at the graph around others, and others combined with them."""
    numbers = st.integers(1, 3)
    return st.one_of(
        st.builds(lambda a: upstream_of(a) | downstream_of(a), inner),
        st.builds(lambda a: producers_of(a) & ~consumers_of(a), inner),
        st.builds(between, inner, inner),
        st.builds(first, inner, numbers),
        st.builds(last, inner, numbers),
        st.builds(nth, inner, st.integers(-3, 3)),
        st.builds(lambda a, step, start: every(step, a, start), inner, numbers, st.integers(0, 2)),
        st.builds(lambda a, n: a.expect(n), inner, numbers),
        st.builds(
            lambda low, high, back: depth(low, high, from_output=back),
            numbers,
            st.none() | numbers,
            st.booleans(),
        ),
        st.builds(called, numbers),
        st.builds(lambda a: ends() & a, inner),
        st.builds(has_weight, st.sampled_from(["kernel", "*"]), st.sampled_from([None, (None, 10), (3,)])),
        st.builds(inside, st.sampled_from(["a", "encoder/b"])),
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

AROUND: st.SearchStrategy[Selector] = st.recursive(SELECTORS, around, max_leaves=4)

NAMES = ("a", "b", "c")


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    """A pattern without conditions: a chain, or nodes that read what came before."""
    links = draw(st.lists(SELECTORS, min_size=1, max_size=3))
    if draw(st.booleans()):
        rest = [optional(one) if draw(st.booleans()) else one for one in links[1:]]
        return chain(**dict(zip(NAMES, [links[0], *rest], strict=False)))
    tensors: list[Any] = [any_tensor("x"), any_tensor()]
    made = None
    for label, selector in zip(NAMES, links, strict=False):
        made = node_of(label, selector, commutative=draw(st.booleans()))
        reads = draw(st.lists(st.sampled_from(tensors), max_size=2))
        made = made(*reads) if reads else made
        tensors += [made, either(made, any_tensor())]
    assert made is not None
    return pattern(made, exclusive=draw(st.booleans()))


PATTERNS = patterns()
