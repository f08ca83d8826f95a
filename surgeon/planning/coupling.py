"""Which channels of a graph stand and fall together.

Every channel of every tensor has an identity, a number. Layers with a kernel make new ones;
elementwise layers hand on those that they get; an Add makes those of its inputs one. Channels
whose identity cannot be followed are pinned, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from surgeon import paths
from surgeon.graph import ModelGraph, Node, Ref, refs_in
from surgeon.planning.attention_uses import HEADS, attention_uses, call_arguments, why_fixed
from surgeon.planning.channel_uses import (
    KERNELS,
    Ids,
    Uses,
    depthwise_uses,
    kernel_uses,
    norm_uses,
    reshape_uses,
)
from surgeon.planning.zeros import MERGES, is_alone, stays_zero
from surgeon.roundtrip.copying import stock_class

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


@dataclass
class Coupling:
    """What is known of the channels of one graph.

    Attributes:
        uses: For each layer with weights that depend on channels, by path.
        pinned: Why channels cannot go, by identity.
        elsewhere: Where else a layer is, by the `id` of the layer.
    """

    uses: dict[str, Uses] = field(default_factory=dict)
    pinned: dict[int, str] = field(default_factory=dict)
    elsewhere: dict[int, str] = field(default_factory=dict)
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

    def why_closed(self, node: Node) -> str:
        """Return why a layer's weights cannot be cut, whatever its class; empty if they can."""
        return self.elsewhere.get(id(node.op)) or _why_closed(node)


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
        self.coupling = Coupling(elsewhere=_elsewhere(graph))
        self.ids: dict[Ref, Ids] = {}
        self.not_zero: dict[Ref, str] = {}

    def visit(self, node: Node) -> None:
        given = [self.ids[ref] for ref in node.inputs if ref in self.ids]
        made = None if node.is_input or not node.outputs else self._made(node, given)
        if made is None:
            closed = self.coupling.why_closed(node)
            what = f"read or made by {node.class_name} {node.path!r}{closed and f', which {closed}'}"
            what = "an input of the model" if node.is_input else what
            for ids in given:
                self.coupling.pin(ids, f"they are {what}")
            self._pinned_outputs(node, f"they are {what}")
        else:
            self.ids[Ref(node.key)] = made
            self._follow_zero(node, given)

    def _pinned_outputs(self, node: Node, reason: str, start: int = 0) -> None:
        for index, spec in list(enumerate(node.outputs))[start:]:
            ids = self.coupling.fresh(_channels(spec.shape) or 1)
            self.coupling.pin(ids, reason)
            self.ids[Ref(node.key, index)] = ids

    def _follow_zero(self, node: Node, given: Sequence[Ids]) -> None:
        """Pin channels that would not be zero, were they made zero, where a kernel reads them."""
        causes = [self.not_zero.get(ref, "") for ref in node.inputs if ref in self.ids]
        kind = node.class_name
        if kind in KERNELS or kind in HEADS or kind.startswith("Depthwise"):
            for ids, cause in zip(given, causes, strict=True):
                if cause:
                    self.coupling.pin(ids, f"{cause} makes another value than zero of them")
        if not stays_zero(node, [not cause for cause in causes]):
            self.not_zero[Ref(node.key)] = next(filter(None, causes), repr(node.path))

    def _made(self, node: Node, given: Sequence[Ids]) -> Ids | None:
        """Return the channels of a node's output; `None` if they cannot be followed."""
        if not given or not _is_open(node) or self.coupling.why_closed(node):
            return None
        shape, kind = node.outputs[0].shape, node.class_name
        if kind in HEADS:
            return self._attention(node)
        if kind in KERNELS:
            return self._kernel(node, given[0])
        if len(node.outputs) != 1 or _has_constants(node):
            return None
        if kind in MERGES or kind == "Concatenate":
            return self._merged(given) if kind in MERGES else self._concatenated(node, given)
        return self._alone(node, given[0], len(shape)) if len(given) == 1 else None

    def _alone(self, node: Node, given: Ids, rank: int) -> Ids | None:
        """Return the channels of what is made of one tensor."""
        kind = node.class_name
        if kind == "BatchNormalization":
            return self._use(norm_uses(node, given)) if node.config["axis"] in (-1, rank - 1) else None
        if kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
            made = np.repeat(given, node.config["depth_multiplier"])
            return self._use(depthwise_uses(node, given, made))
        if kind in ("Flatten", "Reshape"):
            return self._reshaped(node, given)
        return given if kind in KEEPS and is_alone(node) and not _numbers_each(node) else None

    def _kernel(self, node: Node, given: Ids) -> Ids:
        groups, count = node.config.get("groups", 1), node.outputs[0].shape[-1] or 0
        made = self.coupling.fresh(count) if groups == 1 else self._groups(given, groups, count)
        made = self._use(kernel_uses(node, given, made))
        if not is_alone(node):
            ending = getattr(node.op.activation, "__name__", None) or node.op.activation.name
            self.coupling.pin(made, f"{node.path!r} ends in {ending}, which looks at all of them")
        return made

    def _groups(self, given: Ids, groups: int, count: int) -> Ids:
        """Make one what a group of a convolution reads and makes: it goes as a whole, or stays."""
        members = given.reshape(groups, -1)
        for other in members.T[1:]:
            self.coupling.unite(members[:, 0], other)
        return np.repeat(members[:, 0], count // groups)

    def _attention(self, node: Node) -> Ids:
        """Note the heads of an attention layer, and the channels that it reads and makes."""
        given = call_arguments(node)
        parts = ("query", "value", "key")
        reads = {part: self._read(given[part], node) for part in parts}
        for ref in node.inputs:
            if ref in self.ids and not any(given[part] == ref for part in parts):
                self.coupling.pin(self.ids[ref], f"they are a mask for {node.path!r}")
        numbers = [int(getattr(node.op, setting)) for setting in HEADS[node.class_name]]
        queries, keys = (self.coupling.fresh(number) for number in numbers)
        if numbers[0] == numbers[1]:
            self.coupling.unite(queries, keys)
        # A layer without a setting for the size of its output makes as many channels as its query has,
        # and Keras wants its value to have as many, too.
        sized = "output_shape" in node.config
        if not sized:
            self.coupling.unite(reads["query"], reads["value"])
        followed = len(node.config.get("output_shape") or [0]) == 1
        made = self.coupling.fresh(node.outputs[0].shape[-1] or 1) if sized else reads["query"]
        uses = attention_uses(node, reads, made if followed else made[:0], queries, keys)
        made_before = self._use(replace(uses, fixed=why_fixed(node, self.graph)))
        if not followed:
            self.coupling.pin(made, f"the output of {node.path!r} has several axes of them")
        self._pinned_outputs(node, f"they are attention scores of {node.path!r}", start=1)
        return made_before if followed else made

    def _read(self, given: Any, node: Node) -> Ids:
        """Return the channels of an argument, which may be a constant."""
        if isinstance(given, Ref) and given in self.ids:
            return self.ids[given]
        ids = self.coupling.fresh(int(given.shape[-1]))
        self.coupling.pin(ids, f"they are a constant that {node.path!r} reads")
        return ids

    def _use(self, uses: Uses) -> Ids:
        """Note what a layer reads and makes; in a further call these are the same channels."""
        before = self.coupling.uses.get(uses.node.path)
        if before is None:
            self.coupling.uses[uses.node.path] = uses
            return uses.makes
        for one, other in zip(before.along, uses.along, strict=True):
            self.coupling.unite(one.ids, other.ids)
        self.coupling.unite(before.makes, uses.makes)
        self.coupling.uses[uses.node.path] = replace(before, fixed=before.fixed or uses.fixed)
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
        made = given
        if before[-1] != after[-1]:
            if len(after) != 2 or not after[-1] or None in before[1:]:
                return None
            made = np.tile(given, after[-1] // len(given))
        if node.class_name == "Flatten" or _target_shape(node)[-1] == -1:
            return made
        # An operation has no settings to be made anew with.
        return self._use(reshape_uses(node, made)) if isinstance(node.op, keras.layers.Layer) else None


def _channels(shape: tuple[int | None, ...]) -> int | None:
    return shape[-1] if shape else None


def _target_shape(node: Node) -> Any:
    return (
        node.op.target_shape if isinstance(node.op, keras.layers.Layer) else np.atleast_1d(node.op.newshape)
    )


def _numbers_each(node: Node) -> bool:
    """Whether a layer without weights has a setting for each channel: there would be one too many."""
    config: Any = node.config
    names = ("scale", "offset") if node.class_name == "Rescaling" else ()
    noise = config.get("noise_shape") if node.class_name == "Dropout" else None
    has_noise = noise is not None and noise[-1] not in (None, 1)
    return has_noise or any(np.ndim(config[name]) > 0 for name in names)


def _is_channels_last(node: Node) -> bool:
    return node.config.get("data_format") in (None, "channels_last")


def _is_open(node: Node) -> bool:
    """Whether it is what its class says: a layer of Keras's own, with the channels last."""
    is_of_keras = stock_class(node.op).__module__.partition(".")[0] == "keras"
    return is_of_keras and node.inner is None and _is_channels_last(node)


def _elsewhere(graph: ModelGraph) -> dict[int, str]:
    """Return which layers are also inside of another one, where what they make is not followed."""
    found: dict[int, str] = {}
    for node in graph:
        for _, layer in paths.walk(node.op) if isinstance(node.op, keras.layers.Layer) else ():
            inline = f": inline({node.path!r}) takes that apart" if node.inner is not None else ""
            found.setdefault(id(layer), f"is also a part of {node.class_name} {node.path!r}{inline}")
    return found


def _why_closed(node: Node) -> str:
    if not isinstance(node.op, keras.layers.Layer):
        return ""
    inside = [layer for _, layer in paths.walk(node.op)]
    if any(getattr(layer, "quantization_mode", None) for layer in (node.op, *inside)):
        return "is quantized"
    if any(getattr(layer, "lora_enabled", False) for layer in inside):
        return "has low-rank adapters inside"
    return ""


def _has_constants(node: Node) -> bool:
    leaves: list[Any] = keras.tree.flatten((node.args, dict(node.kwargs)))
    return any(np.ndim(leaf) > 0 for leaf in leaves if leaf is not None and not isinstance(leaf, Ref | str))
