"""Which channels of a graph stand and fall together.

Every channel of every tensor has an identity, a number. Layers with a kernel make new ones;
elementwise layers hand on those that they get; an Add makes those of its inputs one. Channels
whose identity cannot be followed are pinned, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from surgeon.graph import ModelGraph, Node, Ref, refs_in
from surgeon.planning.zeros import MERGES, stays_zero

Ids = np.ndarray

KEEPS = frozenset(
    [
        "Activation",
        "ActivityRegularization",
        "AlphaDropout",
        "AveragePooling1D",
        "AveragePooling2D",
        "AveragePooling3D",
        "Cropping1D",
        "Cropping2D",
        "Cropping3D",
        "Dropout",
        "ELU",
        "GaussianDropout",
        "GaussianNoise",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalAveragePooling3D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "GlobalMaxPooling3D",
        "LeakyReLU",
        "MaxPooling1D",
        "MaxPooling2D",
        "MaxPooling3D",
        "ReLU",
        "Rescaling",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "UpSampling1D",
        "UpSampling2D",
        "UpSampling3D",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "ZeroPadding3D",
        "Relu",
        "Relu6",
        "Silu",
        "Gelu",
        "Sigmoid",
        "HardSigmoid",
        "Tanh",
        "Identity",
    ]
)
"""Classes whose output has the channels of the input, each computed from itself alone."""

KERNELS = {
    "Dense": ("units", -1, -2),
    "Conv1D": ("filters", -1, -2),
    "Conv2D": ("filters", -1, -2),
    "Conv3D": ("filters", -1, -2),
    "Conv1DTranspose": ("filters", -2, -1),
    "Conv2DTranspose": ("filters", -2, -1),
    "Conv3DTranspose": ("filters", -2, -1),
    "SeparableConv1D": ("filters", -1, -2),
    "SeparableConv2D": ("filters", -1, -2),
}
"""By class of a layer that makes channels: their setting; axis of output and of input in its kernel."""


@dataclass
class Uses:
    """The channels that a layer reads and makes, in all of its calls.

    Attributes:
        node: One call of the layer.
        reads: Identity of each input channel.
        makes: Identity of each output channel.
    """

    node: Node
    reads: Ids
    makes: Ids


@dataclass
class Coupling:
    """What is known of the channels of one graph.

    Attributes:
        uses: For each layer with weights that depend on channels, by path.
        pinned: Why channels cannot go, by identity.
    """

    uses: dict[str, Uses] = field(default_factory=dict)
    pinned: dict[int, str] = field(default_factory=dict)
    _parents: list[int] = field(default_factory=list)

    def fresh(self, count: int) -> Ids:
        """Return identities for new channels."""
        start = len(self._parents)
        self._parents += range(start, start + count)
        return np.arange(start, start + count)

    def root(self, one: int) -> int:
        """Return the identity that stands for all that were made one with this."""
        while self._parents[one] != one:
            self._parents[one] = self._parents[self._parents[one]]
            one = self._parents[one]
        return one

    def roots(self, ids: Ids) -> Ids:
        """Return the identities that stand for these."""
        return np.array([self.root(int(one)) for one in ids], dtype=int)

    def unite(self, left: Ids, right: Ids) -> None:
        """Make channels one, pairwise."""
        for one, other in zip(left, right, strict=True):
            a, b = self.root(int(one)), self.root(int(other))
            if a != b:
                self._parents[b] = a
                if b in self.pinned:
                    self.pinned.setdefault(a, self.pinned[b])

    def pin(self, ids: Ids, reason: str) -> None:
        """Note that channels must stay."""
        for one in {self.root(int(one)) for one in ids}:
            self.pinned.setdefault(one, reason)


def couple(graph: ModelGraph) -> Coupling:
    """Follow the channels of a graph from its inputs to its outputs."""
    walker = _Walker(graph)
    for node in graph:
        walker.visit(node)
    for _, ref in refs_in(graph.outputs):
        walker.coupling.pin(walker.ids[ref], "they are an output of the model")
    return walker.coupling


class _Walker:
    def __init__(self, graph: ModelGraph) -> None:
        self.graph = graph
        self.coupling = Coupling()
        self.ids: dict[Ref, Ids] = {}
        self.not_zero: dict[Ref, str] = {}

    def visit(self, node: Node) -> None:
        given = [self.ids[ref] for ref in node.inputs if ref in self.ids]
        made = None if node.is_input or not node.outputs else self._made(node, given)
        if made is None:
            what = (
                "an input of the model"
                if node.is_input
                else f"read or made by {node.class_name} {node.path!r}"
            )
            for ids in given:
                self.coupling.pin(ids, f"they are {what}")
            for index, spec in enumerate(node.outputs):
                ids = self.coupling.fresh(_channels(spec.shape) or 1)
                self.coupling.pin(ids, f"they are {what}")
                self.ids[Ref(node.key, index)] = ids
        else:
            self.ids[Ref(node.key)] = made
            self._follow_zero(node, given)

    def _follow_zero(self, node: Node, given: Sequence[Ids]) -> None:
        """Pin channels that would not be zero, were they made zero, where a kernel reads them."""
        causes = [self.not_zero.get(ref, "") for ref in node.inputs if ref in self.ids]
        if node.class_name in KERNELS or node.class_name.startswith("Depthwise"):
            for ids, cause in zip(given, causes, strict=True):
                if cause:
                    self.coupling.pin(ids, f"{cause} makes another value than zero of them")
        if not stays_zero(node, [not cause for cause in causes]):
            self.not_zero[Ref(node.key)] = next(filter(None, causes), repr(node.path))

    def _made(self, node: Node, given: Sequence[Ids]) -> Ids | None:
        """Return the channels of a node's output; `None` if they cannot be followed."""
        if not given or node.inner is not None or len(node.outputs) != 1 or not _is_channels_last(node):
            return None
        shape, kind = node.outputs[0].shape, node.class_name
        if kind in KERNELS:
            return self._kernel(node, given[0])
        if _has_constants(node):
            return None
        if kind in MERGES or kind == "Concatenate":
            return self._merged(given) if kind in MERGES else self._concatenated(node, given)
        return self._alone(node, given[0], len(shape)) if len(given) == 1 else None

    def _alone(self, node: Node, given: Ids, rank: int) -> Ids | None:
        """Return the channels of what is made of one tensor."""
        kind = node.class_name
        if kind == "BatchNormalization":
            return self._use(node, given, given) if node.config["axis"] in (-1, rank - 1) else None
        if kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
            return self._use(node, given, np.repeat(given, node.config["depth_multiplier"]))
        if kind in ("Flatten", "Reshape"):
            return self._reshaped(node, given)
        return given if kind in KEEPS and _is_elementwise(node) else None

    def _kernel(self, node: Node, given: Ids) -> Ids | None:
        if node.config.get("groups", 1) != 1:
            return None
        made = self._use(node, given, self.coupling.fresh(node.outputs[0].shape[-1] or 0))
        if not _is_elementwise(node):
            self.coupling.pin(
                made, f"{node.path!r} ends in {node.config['activation']}, which looks at all of them"
            )
        return made

    def _use(self, node: Node, reads: Ids, makes: Ids) -> Ids:
        """Note what a layer reads and makes; in a further call these are the same channels."""
        before = self.coupling.uses.get(node.path)
        if before is None:
            self.coupling.uses[node.path] = Uses(node, reads, makes)
            return makes
        self.coupling.unite(before.reads, reads)
        self.coupling.unite(before.makes, makes)
        return before.makes

    def _merged(self, given: Sequence[Ids]) -> Ids | None:
        widest = max(given, key=len)
        for ids in given:
            if len(ids) == len(widest):
                self.coupling.unite(widest, ids)
            elif len(ids) != 1:
                return None
            else:
                self.coupling.pin(ids, "it is combined with all channels of another tensor")
        return widest

    def _concatenated(self, node: Node, given: Sequence[Ids]) -> Ids:
        rank = len(node.outputs[0].shape)
        if node.config["axis"] % rank == rank - 1:
            return np.concatenate(list(given))
        for ids in given[1:]:
            self.coupling.unite(given[0], ids)
        return given[0]

    def _reshaped(self, node: Node, given: Ids) -> Ids | None:
        before, after = self.graph.spec(node.inputs[0]).shape, node.outputs[0].shape
        if before[-1] == after[-1]:
            return given
        if len(after) == 2 and after[-1] and None not in before[1:]:
            return np.tile(given, after[-1] // len(given))
        return None


def _channels(shape: tuple[int | None, ...]) -> int | None:
    return shape[-1] if shape else None


def _is_channels_last(node: Node) -> bool:
    return node.config.get("data_format") in (None, "channels_last")


def _is_elementwise(node: Node) -> bool:
    """Whether a layer's activation looks at each channel alone."""
    activation = getattr(node.op, "activation", None)
    return activation not in (keras.activations.softmax, keras.activations.log_softmax)


def _has_constants(node: Node) -> bool:
    leaves: list[Any] = keras.tree.flatten((node.args, dict(node.kwargs)))
    return any(np.ndim(leaf) > 0 for leaf in leaves if leaf is not None and not isinstance(leaf, Ref | str))
