"""Making weights partial: in a built layer or model, at any depth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

import keras

from surgeon import _keras, paths
from surgeon.errors import ModelError, SelectionError, WeightNameError, near_misses
from surgeon.partial.layer import KEEPERS, PENDING, SPLIT, STILL, refresh_reads, set_class, spec_of
from surgeon.partial.part import Part
from surgeon.partial.spec import Spec
from surgeon.partial.state import PartialState

read_spec = spec_of


def attach(root: Any, spec: Spec) -> None:
    """Freeze what `spec` says, in place.

    Args:
        root: A built layer or model whose weights are not partial yet.
        spec: Paths count from `root`.

    Raises:
        WeightNameError: If there is no such layer or weight.
        SelectionError: If a part does not have the weight's shape.
        ModelError: If a plain model lists a weight of a layer as its own, too.
    """
    inside = [("", root), *paths.walk(root)]
    layers = dict(inside)
    found = {path: _find(layers, path, part) for path, part in spec.weights.items()}
    unknown = (spec.still | spec.split) - layers.keys()
    if unknown:
        raise WeightNameError(f"no layer {min(unknown)!r}{near_misses(min(unknown), layers)}")
    holders = _holders(layers)
    _check_places(layers, holders, found)
    touched: dict[str, Any] = {path: layers[path] for path in spec.still}
    for path, (stock, part) in found.items():
        if part.is_all:
            continue
        layer_path, _, name = path.rpartition("/")
        variable = _state(layers[layer_path]).hold(layers[layer_path], name, stock, part)
        for holder_path in holders[id(stock)]:
            _keras.replace_variable(layers[holder_path], stock, variable)
            touched[holder_path] = layers[holder_path]
    for path in spec.still:
        vars(layers[path])[STILL] = True
    for path in spec.split:
        vars(layers[path])[SPLIT] = True
    _set_classes([layer for _, layer in inside], layers, touched)


def _find(layers: Mapping[str, Any], path: str, part: Part | str) -> tuple[Any, Part]:
    layer_path, _, name = path.rpartition("/")
    if layer_path not in layers:
        raise WeightNameError(f"no layer {layer_path!r}{near_misses(layer_path, layers)}")
    own = paths.own_weights(layers[layer_path])
    if name not in own:
        known = ", ".join(own) or "none"
        raise WeightNameError(f"layer {layer_path!r} has no weight {name!r}; it has: {known}")
    shape = tuple(own[name].shape)
    if isinstance(part, str):
        if part not in ("all", "none"):
            raise SelectionError(f"{path!r}: a part is 'all', 'none' or a Part, not {part!r}")
        part = Part.all(shape) if part == "all" else Part.none(shape)
    if shape != part.shape:
        raise SelectionError(f"{path!r} has shape {shape}, the selection is for {part.shape}")
    return own[name], part


def _holders(layers: Mapping[str, Any]) -> Mapping[int, list[str]]:
    """Map each variable to the layers that own it or refer to it: a tied weight has several."""
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for path, layer in layers.items():
        parameters, state = _keras.own_variables(layer)
        attributes = [value for _, value in _keras.attributes(layer)]
        for variable in {id(v): v for v in [*parameters, *state, *attributes]}.values():
            if isinstance(variable, keras.Variable):
                holders[id(variable)].append(path)
    return holders


def _check_places(
    layers: Mapping[str, Any], holders: Mapping[int, list[str]], found: Mapping[str, tuple[Any, Part]]
) -> None:
    """Refuse weights that a plain model has as an attribute: its config, and so a file, would not say so."""
    for path, (stock, part) in found.items():
        models = [layers[where] for where in holders[id(stock)] if _keras.is_plain_graph(layers[where])]
        if models and not part.is_all:
            held = next((name for name, value in _keras.attributes(models[0]) if value is stock), None)
            where, way = (
                (f", as its attribute {held!r}", f"`del model.{held}`")
                if held
                else ("", "make the model without that")
            )
            raise ModelError(
                f"{path!r} is a weight of a layer and of the model {models[0].name!r} itself, too{where}: "
                f"a weight of which a part is frozen has one place; {way}, and read it from the layer"
            )


def _state(layer: Any) -> PartialState:
    state = getattr(layer, paths.STATE, None)
    if state is None:
        state = PartialState(name=paths.STATE, dtype="float32", trainable=_keras.trainable_flag(layer))
        _keras.add_child_layer(layer, paths.STATE, state)
    return state


def _set_classes(every: Iterable[Any], layers: Mapping[str, Any], touched: Mapping[str, Any]) -> None:
    """Give every touched layer, and all that is around it and has a config of its own, its new class."""
    changed: dict[int, Any] = {}
    for path in touched:
        host = layers[host_path(layers, path)]
        set_class(host, host=True)
        changed[id(host)] = host
    around = _around(every)
    for layer in touched.values():
        set_class(layer, host=False)
        changed[id(layer)] = layer
        for outer in around(layer):
            # A plain list of layers is saved as such, each with its own config.
            if not _keras.is_plain_graph(outer):
                set_class(outer, host=False)
                changed[id(outer)] = outer
    for layer in changed.values():
        refresh_reads(layer)
        _keras.refresh_parameters(layer)


def _around(every: Iterable[Any]) -> Callable[[Any], Iterable[Any]]:
    """Return what tells of a layer all layers that it lies in, also those that no path leads through.

    The layers of a backbone can be called by its task one by one: they lie in both.
    """
    parents: defaultdict[int, list[Any]] = defaultdict(list)
    for layer in every:
        for child in _keras.child_layers(layer):
            parents[id(child)].append(layer)

    def around(layer: Any) -> Iterable[Any]:
        found: dict[int, Any] = {}
        waiting = [layer]
        while waiting:
            for parent in parents[id(waiting.pop())]:
                if id(parent) not in found:
                    found[id(parent)] = parent
                    waiting.append(parent)
        return found.values()

    return around


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["", *("/".join(parts[:count]) for count in range(1, len(parts) + 1) if path)]


def host_path(layers: Mapping[str, Any], path: str) -> str:
    """Return the path of the outermost layer whose config rebuilds what lies at `path`."""
    return next(p for p in _prefixes(path) if p in layers and not _keras.is_plain_graph(layers[p]))


@keras.saving.register_keras_serializable(package="surgeon", name="Partial")
class Reviver:
    """Rebuilds a partly trainable layer or model from its config; never has objects itself."""

    def get_config(self) -> dict[str, Any]:
        """Return nothing; Keras wants the method to be there."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """Return the stock layer, partly trainable at once or as soon as it is built."""
        layer = keras.saving.deserialize_keras_object(config["layer"], custom_objects=custom_objects)
        return promise(layer, Spec.from_config(config["partial"]))


def promise(layer: Any, spec: Spec) -> Any:
    """Make a layer partly trainable: now, or as soon as everything that the spec names is built.

    That is at once for a built layer, else after `build`; and after the first call for layers that
    build what is inside of them only then.
    """
    set_class(layer, host=True)
    vars(layer)[PENDING] = spec
    if layer.built and keep_promise(layer):
        return layer
    build = layer.build

    @wraps(build)
    def build_and_attach(*args: Any, **kwargs: Any) -> None:
        build(*args, **kwargs)
        keep_promise(layer)

    vars(layer)["build"] = build_and_attach
    return layer


def keep_promise(layer: Any, *, at_last: bool = False) -> bool:
    """Attach the spec that waits in a layer if all layers that it names are built; whether it was.

    Args:
        layer: A layer with a waiting spec, or without one.
        at_last: Attach it in any case: nothing more will be built.

    Raises:
        WeightNameError: If the spec names what is not there.
    """
    spec: Spec | None = vars(layer).get(PENDING)
    if spec is None:
        return True
    inside = list(paths.walk(layer))
    layers, spec = {"": layer, **dict(inside)}, spec.under(path for path, _ in inside)
    if not at_last and any(path not in layers or not layers[path].built for path in spec.named):
        return False
    vars(layer).pop(PENDING)
    attach(layer, spec)
    return True


KEEPERS.append(keep_promise)

# Whoever imports this module before Keras gets the classes with names of their own, too.
from surgeon.partial import conv as _conv  # noqa: E402, F401 - imported for its effect
from surgeon.partial import dense as _dense  # noqa: E402, F401
from surgeon.partial import einsum as _einsum  # noqa: E402, F401
from surgeon.partial import keras2 as _keras2  # noqa: E402, F401
from surgeon.partial import transposed as _transposed  # noqa: E402, F401
