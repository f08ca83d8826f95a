"""One call of a Keras operation, and what it needs to be described."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from surgeon.graph.model_graph import ModelGraph


@dataclass(frozen=True, order=True)
class Ref:
    """A tensor of the graph: output number `index` of the node `node`."""

    node: str
    index: int = 0


@dataclass(frozen=True)
class TensorSpec:
    """Shape and kind of one output tensor; `None` in the shape is an unknown dimension."""

    shape: tuple[int | None, ...]
    dtype: str
    name: str = field(default="", compare=False)
    sparse: bool = False
    ragged: bool = False


@dataclass(frozen=True)
class Weight:
    """One weight of a layer, as a picture or a plan needs to know it.

    Attributes:
        path: Path from the node's layer to the weight: `kernel`, `cell/recurrent_kernel`.
        shape: Shape of the whole weight, frozen part included.
        dtype: Name of the variable's dtype.
        role: `"parameter"` for what an optimizer could train, `"state"` for what never is
            (moving statistics, seeds, vocabulary tables).
        trainable: How many of its elements train now. Always 0 for state.
        still: Whether it is moving statistics that training leaves alone, as its layer was frozen.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    role: Literal["parameter", "state"] = "parameter"
    trainable: int = 0
    still: bool = False

    @property
    def name(self) -> str:
        """The weight's own name, as its layer gives it."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def frozen(self) -> int:
        """Number of parameters that do not train. 0 for state."""
        return self.size - self.trainable if self.role == "parameter" else 0


@dataclass(frozen=True)
class Node:
    """One *call* of an operation: a layer that is called twice is two nodes with one `op`.

    Attributes:
        key: Unique in its graph: the operation's name, then `name:1`, `name:2` for more calls.
        name: The operation's name.
        path: The layer's path from the outermost model, parts joined by `/`.
        class_name: Name of the operation's class.
        call_index: 0 for the operation's first call in this graph.
        args: Positional arguments of the call; tensors stand as `Ref`.
        kwargs: Keyword arguments of the call; tensors stand as `Ref`.
        outputs: One spec for each output tensor.
        weights: The weights of the layer, inner layers included, without duplicates.
        config: What distinguishes this layer, as JSON data. Empty where there is none.
        is_input: Whether this node is one of the model's entry points.
        inner: For a nested model, its own graph.
        implicit_masks: Names of the mask arguments that Keras filled in by itself; they are
            derived anew when the call is made again.
        is_new: Whether an edit put this operation here, so that its outputs are not known yet.
        is_rewired: Whether an edit changed which tensors this call reads, so that it is made anew.
        op: The live Keras operation, or `None` in a graph that was read from JSON.
    """

    key: str
    name: str
    path: str
    class_name: str
    call_index: int = 0
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[TensorSpec, ...] = ()
    weights: tuple[Weight, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    is_input: bool = False
    inner: ModelGraph | None = None
    implicit_masks: tuple[str, ...] = ()
    is_new: bool = False
    is_rewired: bool = False
    op: Any = field(default=None, compare=False, repr=False)

    @property
    def layer(self) -> Any:
        """The live layer (or operation), or `None` in a graph read from JSON."""
        return self.op

    @cached_property
    def inputs(self) -> tuple[Ref, ...]:
        """The tensors that this call reads, in the order of its arguments."""
        return tuple(ref for _, ref in self.reads)

    @cached_property
    def reads(self) -> tuple[tuple[tuple[Any, ...], Ref], ...]:
        """The same, each with its path inside `(args, kwargs)`."""
        return tuple(refs_in((self.args, self.kwargs)))

    @property
    def sources(self) -> tuple[Ref, ...]:
        """The tensors that this call was given, each once; not the masks that Keras filled in."""
        given = {name: value for name, value in self.kwargs.items() if name not in self.implicit_masks}
        return tuple(dict.fromkeys(ref for _, ref in refs_in((self.args, given))))


def refs_in(structure: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Ref]]:
    """Return every `Ref` in nested lists, tuples and dicts, with its path."""
    if isinstance(structure, Ref):
        return [(path, structure)]
    found: list[tuple[tuple[Any, ...], Ref]] = []
    _collect_refs(structure, path, found)
    return found


def _collect_refs(structure: Any, path: tuple[Any, ...], found: list[tuple[tuple[Any, ...], Ref]]) -> None:
    if isinstance(structure, dict):
        items: Any = structure.items()
    elif isinstance(structure, list | tuple):
        items = enumerate(structure)
    elif isinstance(structure, Mapping):
        items = structure.items()
    else:
        return
    for key, value in items:
        if type(value) is Ref:
            found.append(((*path, key), value))
        elif value is not None:
            _collect_refs(value, (*path, key), found)


def map_leaves(structure: Any, function: Callable[[Any], Any]) -> Any:
    """Return nested lists, tuples and dicts of the same kinds with a function applied to all else."""
    if isinstance(structure, tuple):
        items = [map_leaves(item, function) for item in structure]
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    if isinstance(structure, list):
        return [map_leaves(item, function) for item in structure]
    if isinstance(structure, dict):
        return {key: map_leaves(item, function) for key, item in structure.items()}
    return function(structure)
