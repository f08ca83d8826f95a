"""Keras model to graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Literal

import keras

from surgeon import _keras, paths
from surgeon.errors import ModelError, NoGraphError, not_loaded
from surgeon.graph import ModelGraph, Node, Ref, TensorSpec, Weight, map_leaves
from surgeon.partial import PartialVariable
from surgeon.partial.layer import STILL
from surgeon.roundtrip.collection import without_collection


def to_graph(model: Any) -> ModelGraph:
    """Return the graph of a functional or Sequential model; the model is only read.

    Args:
        model: A built `keras.Model` with a graph. A nested model without one is an opaque node.

    Raises:
        NoGraphError: If the model is subclassed, or a Sequential that was not built yet.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> [node.name for node in to_graph(model)][-1]
        'd'
    """
    if not isinstance(model, keras.Model):
        raise NoGraphError(_why_no_graph(model))
    return _Reader(model).read(model, "")


def read_result(model: Any, source: ModelGraph) -> ModelGraph:
    """Return the graph of a model that was made from another one, to compare the two.

    Calls that both models have are not read again, and weights are not described.

    Args:
        model: A model with a graph.
        source: The graph that was read from the other model.
    """
    return _Reader(model, source).read(model, "")


def layers_of(graph: ModelGraph) -> list[tuple[str, Any]]:
    """Return `(path, layer)` for every layer inside the model of a graph, as `paths.walk` does."""
    if "layers" not in graph.derived:
        graph.derived["layers"] = tuple(paths.walk(graph.model))
    return list(graph.derived["layers"])


def sites(graph: ModelGraph) -> list[Node]:
    """Return one node for every layer of a graph at every depth, outermost first.

    Layers inside of other layers (the Dense in a transformer layer) have no call of their own in
    the graph; they appear with their path and weights, without inputs and outputs.
    """
    if "sites" not in graph.derived:
        found: dict[int, Node] = {}
        _collect(graph, found, {} if graph.model is None else _paths_now(graph))
        for node in graph.held:
            found.setdefault(id(node.op), node)
        graph.derived["sites"] = tuple(found.values())
    return list(graph.derived["sites"])


def _paths_now(graph: ModelGraph) -> dict[int, str]:
    """Return the path of each layer inside the model of a graph; what edits have moved is where it is now."""
    known = {id(layer): path for path, layer in layers_of(graph)}
    moved = {known[id(n.op)]: n.path for n in _calls(graph, set()) if known.get(id(n.op), n.path) != n.path}
    return {key: _moved(path, moved) for key, path in known.items()} if moved else known


def _calls(graph: ModelGraph, seen: set[int]) -> Iterator[Node]:
    seen.add(id(graph))
    for node in graph:
        yield node
        if node.inner is not None and id(node.inner) not in seen:
            yield from _calls(node.inner, seen)


def _moved(path: str, moved: Mapping[str, str]) -> str:
    """Return where a path leads once the layers that it may lead into are somewhere else."""
    outer, rest = path, ""
    while outer and outer not in moved:
        outer, _, last = outer.rpartition("/")
        rest = paths.join(last, rest)
    return paths.join(moved[outer], rest) if outer else path


def _collect(graph: ModelGraph, found: dict[int, Node], known: Mapping[int, str]) -> None:
    for node in graph:
        if id(node.op) in found:
            continue
        found[id(node.op)] = node
        if node.inner is not None:
            _collect(node.inner, found, known)
        elif isinstance(node.op, keras.layers.Layer) and _keras.child_layers(node.op):
            of_node = {weight.path: weight for weight in node.weights}
            for path, layer in paths.walk(node.op):
                if id(layer) not in found:
                    found[id(layer)] = _inner_site(node.path, path, layer, of_node, known)


def _inner_site(
    outer: str, path: str, layer: Any, of_node: Mapping[str, Weight], known: Mapping[int, str]
) -> Node:
    lead = path + "/"
    inside = [weight for weight in of_node.values() if weight.path.startswith(lead)]
    weights = tuple(replace(weight, path=weight.path[len(lead) :]) for weight in inside)
    # The same layer may be called further out, too: a head that is tied to the embedding.
    full = known.get(id(layer), paths.join(outer, path))
    return Node(
        full,
        path.rpartition("/")[2],
        full,
        type(layer).__name__,
        weights=weights,
        config=Config(layer),
        op=layer,
    )


class _Reader:
    """Reads a model and the models nested in it; a shared one once."""

    def __init__(self, root: Any, source: ModelGraph | None = None) -> None:
        self.root = root
        self.source = source
        self.trained = None if source else {id(variable) for variable in root.trainable_variables}
        self.layers = tuple(paths.walk(root))
        self.path_of = {id(layer): path for path, layer in self.layers}
        self.read_already: dict[int, ModelGraph] = {}
        self.known: Mapping[int, Node] = source.derived.get("calls", {}) if source else {}
        self.calls: dict[int, Node] = {}

    @without_collection()
    def read(self, model: Any, path: str) -> ModelGraph:
        if id(model) not in self.read_already:
            self.read_already[id(model)] = self._read(model, path)
        return self.read_already[id(model)]

    def _read(self, model: Any, path: str) -> ModelGraph:
        functional = _keras.functional_of(model)
        if functional is None:
            raise NoGraphError(_why_no_graph(model))
        refs, keys = _number(functional, model)
        ref_of = _substitute(refs)
        nodes = {}
        for keras_node in _keras.nodes_in_order(functional):
            node = self._node(keras_node, keys[id(keras_node)], ref_of, path)
            nodes[node.key] = node
        graph = ModelGraph(
            name=model.name,
            class_name=type(model).__name__,
            nodes=nodes,
            inputs=map_leaves(_keras.input_structure(functional), ref_of),
            outputs=map_leaves(_keras.output_structure(functional), ref_of),
            model=model,
        )
        if model is self.root:
            graph.derived.update(layers=self.layers, calls=self.calls)
            if held := self._held(graph):
                graph = replace(graph, held=held)
                graph.derived.update(layers=self.layers, calls=self.calls)
        return graph

    def _held(self, graph: ModelGraph) -> tuple[Node, ...]:
        """Return what attributes of models hold and no graph calls."""
        known = {id(site.op) for site in sites(graph)}
        found = []
        for path, layer in self.layers:
            if id(layer) not in known and not isinstance(layer, keras.Model):
                own = self._weights(layer)
                name, kind = path.rpartition("/")[2], type(layer).__name__
                found.append(Node(path, name, path, kind, weights=own, config=Config(layer), op=layer))
        return tuple(found)

    def _weights(self, op: Any) -> tuple[Weight, ...]:
        described = self.trained is not None and isinstance(op, keras.layers.Layer)
        return layer_weights(op, self.trained) if described else ()

    def _node(self, keras_node: Any, key: str, ref_of: Callable[[Any], Any], path: str) -> Node:
        op = keras_node.operation
        # A layer that is used at several levels has one path, the shortest.
        full = self.path_of.get(id(op), paths.join(path, op.name))
        known = self.known.get(id(keras_node))
        if known is not None and (known.key, known.path, known.inputs) == (
            key, full, tuple(map(ref_of, keras_node.input_tensors)),
        ):  # fmt: skip
            return known
        node = self.calls[id(keras_node)] = self._read_node(keras_node, key, ref_of, full)
        return node

    def _read_node(self, keras_node: Any, key: str, ref_of: Callable[[Any], Any], path: str) -> Node:
        op = keras_node.operation
        given = keras_node.arguments
        args, kwargs = ((), {}) if keras_node.is_input else map_leaves((given.args, given.kwargs), ref_of)
        has_graph = isinstance(op, keras.Model) and _keras.functional_of(op) is not None
        return Node(
            key=key,
            name=op.name,
            path=path,
            class_name=type(op).__name__,
            call_index=int(key.rpartition(":")[2]) if ":" in key[len(op.name) :] else 0,
            args=tuple(args),
            kwargs=kwargs,
            outputs=tuple(spec_of(tensor) for tensor in keras_node.outputs),
            weights=self._weights(op),
            config=Config(op),
            is_input=keras_node.is_input,
            inner=self.read(op, path) if has_graph else None,
            implicit_masks=_implicit_masks(keras_node),
            op=op,
        )


def layer_weights(layer: Any, trained: Container[int] | None = None) -> tuple[Weight, ...]:
    """Describe the weights of a layer, those of layers inside of it included.

    Args:
        layer: A built layer.
        trained: Identities of the variables that an optimizer would see; by default, those that
            the layer itself says are trainable.
    """
    if trained is None:
        trained = {id(variable) for variable in layer.trainable_variables}
    found, owner, parameters, still = [], None, set[int](), False
    for path, name, holder, variable in paths.weights(layer):
        if holder is not owner:
            owner, parameters = holder, set(map(id, _keras.own_variables(holder)[0]))
            still = _holds_still(holder)
        found.append(_weight(paths.join(path, name), variable, id(variable) in parameters, still, trained))
    return tuple(found)


def _holds_still(layer: Any) -> bool:
    """Whether training leaves the layer's moving statistics alone.

    Of Keras's own layers only BatchNormalization holds them still for `trainable = False`.
    """
    if vars(layer).get(STILL):
        return True
    return isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable


def _weight(path: str, variable: Any, is_parameter: bool, still: bool, trained: Container[int]) -> Weight:
    shape = _keras.stored_shape(variable)
    stored = variable.compact if isinstance(variable, PartialVariable) else variable
    count = 0
    if is_parameter and stored is not None and id(stored) in trained:
        count = math.prod(_keras.stored_shape(stored))
    role: Literal["parameter", "state"] = "parameter" if is_parameter else "state"
    return Weight(path, shape, _keras.stored_dtype(variable), role, count, still and not is_parameter)


def _why_no_graph(model: Any) -> str:
    name = f"{type(model).__name__} {getattr(model, 'name', '')!r}"
    if isinstance(model, keras.Sequential):
        return f"{name} was not built yet: call it on data, or add keras.Input(shape) as its first layer"
    if isinstance(model, keras.Model):
        found = (path for path, layer in paths.walk(model) if _keras.functional_of(layer) is not None)
        inside = next(found, None)
        inner = f"operate on the model {inside!r} in it, or " if inside is not None else ""
        return (
            f"{name} is subclassed and has no graph: only functional and Sequential models can be operated "
            f"on. As a next step, {inner}make a functional model of its layers: x = keras.Input(shape), then "
            "keras.Model(x, model.call(x)), where its call is made of layers and keras.ops"
        )
    return f"expected a keras.Model, not {type(model).__name__}{not_loaded(model)}"


def _number(functional: Any, model: Any) -> tuple[dict[int, Ref], dict[int, str]]:
    """Name each call and each tensor: by object identity, for the time of one reading."""
    refs: dict[int, Ref] = {}
    keys: dict[int, str] = {}
    counts: dict[int, int] = {}
    named: dict[str, Any] = {}
    for node in _keras.nodes_in_order(functional):
        if named.setdefault(node.operation.name, node.operation) is not node.operation:
            raise ModelError(_two_of_a_name(model, functional, named[node.operation.name], node.operation))
        calls = counts.get(id(node.operation), 0)
        counts[id(node.operation)] = calls + 1
        key = f"{node.operation.name}:{calls}" if calls else node.operation.name
        keys[id(node)] = key
        refs.update((id(tensor), Ref(key, index)) for index, tensor in enumerate(node.outputs))
    return refs, keys


def _two_of_a_name(model: Any, functional: Any, *ops: Any) -> str:
    """Say which two operations share a name: Keras refuses that, but does not look again after a renaming."""
    where = "layers" if all(isinstance(op, keras.layers.Layer) for op in ops) else "operations"
    places = {id(op): f"{where}[{number}]" for number, op in enumerate(getattr(model, where))}
    # A Sequential model does not list its input: then the other one is the one to rename.
    first, second = sorted(ops, key=lambda op: [*places].index(id(op)) if id(op) in places else -1)
    name, taken = first.name, {op.name for op in functional.operations}
    free = next(new for number in count(1) if (new := f"{name}_{number}") not in taken)
    return (
        f"two layers of {model.name!r} are called {name!r}: "
        f"{type(first).__name__} ({places.get(id(first), 'its input')}) and "
        f"{type(second).__name__} ({places[id(second)]}); paths must tell them apart, so rename one: "
        f"model.{places[id(second)]}.name = {free!r}"
    )


def live_tensors(model: Any) -> dict[Ref, Any]:
    """Return the symbolic tensors of a model with a graph, by the `Ref` that stands for each in its graph."""
    functional = _keras.functional_of(model)
    refs, _ = _number(functional, model)
    return {refs[id(tensor)]: tensor for node in _keras.nodes_in_order(functional) for tensor in node.outputs}


def _substitute(refs: Mapping[int, Ref]) -> Callable[[Any], Any]:
    def ref_of(leaf: Any) -> Any:
        # By identity alone: the tensors live as long as the model, so no other object has their id.
        return refs.get(id(leaf), leaf)

    return ref_of


def spec_of(tensor: Any) -> TensorSpec:
    """Describe a symbolic tensor."""
    ragged = bool(getattr(tensor, "ragged", False))
    return TensorSpec(tuple(tensor.shape), tensor.dtype, tensor.name, bool(tensor.sparse), ragged)


def _implicit_masks(keras_node: Any) -> tuple[str, ...]:
    """Return the mask arguments that Keras filled in from the masks of the inputs."""
    given = dict(keras_node.arguments.kwargs)
    carried = {id(_keras.get_keras_mask(tensor)) for tensor in keras_node.input_tensors}
    names = [name for name in given if name == "mask" or name.endswith("_mask")]
    return tuple(name for name in names if given[name] is not None and id(given[name]) in carried)


class Config(Mapping[str, Any]):
    """A layer's config, asked for when it is first looked at: most never are."""

    def __init__(self, op: Any) -> None:
        self._op = op
        self._config: dict[str, Any] | None = None

    def _get(self) -> dict[str, Any]:
        if self._config is None:
            self._config = stock_config(self._op)
        return self._config

    def __getitem__(self, key: str) -> Any:
        return self._get()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._get())

    def __len__(self) -> int:
        return len(self._get())

    def __repr__(self) -> str:
        return repr(self._get())


def stock_config(op: Any) -> dict[str, Any]:
    """Return the config of the stock layer that an operation is, or stands for.

    Raises:
        ModelError: If the layer's `get_config` fails; names the layer.
    """
    try:
        config: dict[str, Any] = op.get_config()
    except NotImplementedError:
        return {}
    except Exception as error:
        raise ModelError(f"get_config of {type(op).__name__} {op.name!r} failed: {error}") from error
    partial: Sequence[str] = ("layer", "partial")
    return config["layer"]["config"] if set(partial) == set(config) else config
