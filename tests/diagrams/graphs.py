"""Model graphs built by hand: what a picture has to cope with, without Keras."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from surgeon.graph import ModelGraph, Node, Ref, TensorSpec, Weight

Shape = tuple[int | None, ...]
IMAGE: Shape = (None, 8, 8, 4)


class Builder:
    """Adds one call after the other; each method returns the key of the call that it added."""

    def __init__(self, name: str = "model", prefix: str = "") -> None:
        self.name, self.prefix = name, prefix
        self.nodes: dict[str, Node] = {}

    def add(
        self,
        name: str,
        class_name: str,
        *sources: str,
        weights: Iterable[Weight] = (),
        shape: Shape = IMAGE,
        inner: ModelGraph | None = None,
    ) -> str:
        calls = sum(node.name == name for node in self.nodes.values())
        key = f"{name}:{calls}" if calls else name
        self.nodes[key] = Node(
            key=key,
            name=name,
            path=self.prefix + name,
            class_name=class_name,
            call_index=calls,
            args=tuple(Ref(source) for source in sources),
            outputs=(TensorSpec(shape, "float32"),),
            weights=tuple(weights),
            is_input=class_name == "InputLayer",
            inner=inner,
        )
        return key

    def input(self, name: str = "image", shape: Shape = IMAGE) -> str:
        return self.add(name, "InputLayer", shape=shape)

    def dense(self, name: str, source: str, *, trains: bool = True, shape: Shape = (None, 5)) -> str:
        return self.add(
            name, "Dense", source, weights=(weight("kernel", (4, 5), trains), weight("bias", (5,), trains))
        )

    def conv(self, name: str, source: str, *, trains: bool = True, shape: Shape = IMAGE) -> str:
        """Convolution, BatchNormalization, ReLU."""
        key = self.add(
            f"{name}_conv", "Conv2D", source, weights=(weight("kernel", (3, 3, 4, 4), trains),), shape=shape
        )
        key = self.add(f"{name}_bn", "BatchNormalization", key, weights=norm(trains), shape=shape)
        return self.add(f"{name}_relu", "ReLU", key, shape=shape)

    def residual(self, name: str, source: str, *, trains: bool = True) -> str:
        """Two convolutions and a shortcut, named as Keras names the blocks of a ResNet."""
        key = self.conv(f"{name}_1", source, trains=trains)
        key = self.conv(f"{name}_2", key, trains=trains)
        return self.add(f"{name}_add", "Add", source, key)

    def graph(self, *outputs: str) -> ModelGraph:
        inputs = tuple(Ref(key) for key, node in self.nodes.items() if node.is_input)
        return ModelGraph(self.name, "Functional", self.nodes, inputs, tuple(Ref(key) for key in outputs))


def weight(path: str, shape: Sequence[int], trains: bool | int = True) -> Weight:
    made = Weight(path, tuple(shape))
    return replace(made, trainable=made.size * trains if isinstance(trains, bool) else trains)


def norm(trains: bool = True) -> tuple[Weight, ...]:
    scale = tuple(weight(name, (4,), trains) for name in ("gamma", "beta"))
    return (*scale, *(Weight(name, (4,), role="state") for name in ("moving_mean", "moving_variance")))


def chain(length: int, *, trains_from: int = 0, name: str = "dense", **kwargs: Any) -> ModelGraph:
    build = Builder("chain", **kwargs)
    key = build.input(shape=(None, 4))
    for number in range(length):
        key = build.dense(f"{name}_{number}", key, trains=number >= trains_from)
    return build.graph(key)


def resnet(blocks: int = 60, *, frozen: int = 30, name: str = "resnet") -> ModelGraph:
    """Seven calls a block: 60 blocks are 420 calls and some."""
    build = Builder(name)
    key = build.conv("conv1", build.input(), trains=not frozen)
    for number in range(blocks):
        key = build.residual(f"conv2_block{number + 1}", key, trains=number >= frozen)
    key = build.add("pool", "GlobalAveragePooling2D", key, shape=(None, 4))
    return build.graph(build.dense("head", key))


def nested(*, trains: bool = True, calls: int = 1, depth: int = 1) -> ModelGraph:
    """A model in a model, called once or more."""

    def encoder(level: int, prefix: str) -> ModelGraph:
        inside = Builder(f"encoder_{level}", prefix)
        key = inside.conv("a", inside.input("inner_image"), trains=trains)
        if level > 1:
            deeper = encoder(level - 1, f"{prefix}encoder_{level - 1}/")
            key = inside.add(deeper.name, "Functional", key, inner=deeper, weights=deeper.weights)
        return inside.graph(inside.residual("b", key, trains=trains))

    build = Builder("outer")
    inner = encoder(depth, f"encoder_{depth}/")
    keys = [
        build.add(
            inner.name, "Functional", build.input(f"image_{number}"), inner=inner, weights=inner.weights
        )
        for number in range(calls)
    ]
    joined = build.add("join", "Concatenate", *keys) if calls > 1 else keys[0]
    return build.graph(build.dense("head", joined))


def shared() -> ModelGraph:
    build = Builder("siamese")
    left, right = build.input("left", (None, 4)), build.input("right", (None, 4))
    first = build.dense("embed", left)
    second = build.add("embed", "Dense", right, weights=build.nodes["embed"].weights, shape=(None, 5))
    return build.graph(build.add("join", "Concatenate", first, second, shape=(None, 10)))


def partly() -> ModelGraph:
    build = Builder("partly")
    weights = (weight("kernel", (10, 10), 25), weight("bias", (10,), False))
    return build.graph(
        build.add("d", "Dense", build.input(shape=(None, 10)), weights=weights, shape=(None, 10))
    )


def tangle(count: int, seed: int = 0) -> ModelGraph:
    """Calls that each read from one to three earlier ones at random, named without any system."""
    import random

    draw = random.Random(seed)
    build = Builder("tangle")
    keys = [build.input()]
    for number in range(count):
        sources = [keys[-1], *draw.sample(keys, min(len(keys), draw.randrange(3)))]
        name = f"{draw.choice('abc')}_{draw.randrange(6)}_{number}"
        keys.append(build.add(name, "Conv2D", *dict.fromkeys(sources), weights=(weight("kernel", (2, 2)),)))
    return build.graph(keys[-1])


def empty() -> ModelGraph:
    return ModelGraph("empty", "Functional", {}, (), ())


def totals(graph: ModelGraph) -> tuple[int, int, int]:
    """Return how many elements are frozen, trainable, and state."""
    return (
        sum(one.frozen for one in graph.weights),
        sum(one.trainable for one in graph.weights),
        sum(one.size for one in graph.weights if one.role == "state"),
    )


MODELS = {
    "chain": chain(5, trains_from=2),
    "resnet": resnet(),
    "nested": nested(),
    "nested twice": nested(calls=2),
    "nested deep": nested(depth=3, trains=False),
    "shared": shared(),
    "partly": partly(),
    "tangle": tangle(120),
    "empty": empty(),
}
