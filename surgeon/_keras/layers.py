"""Layers: what is in them, and putting a variable in the place of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from surgeon._keras.names import KerasVariable
from surgeon._keras.variables import ComposedVariable


def child_layers(layer: Any) -> list[Any]:
    """Return the layers that Keras tracks directly inside a layer."""
    return list(layer._layers)


def adapted_weight(layer: Any) -> Any:
    """Return the weight that Keras's own low-rank adapters of a layer are added to; `None` if it has none.

    Somebody's own layer may mean something else by the same words.
    """
    own = vars(layer)
    is_of_keras = any(
        "enable_lora" in vars(cls) and cls.__module__.startswith("keras.") for cls in type(layer).__mro__
    )
    if own.get("lora_enabled") is not True or not is_of_keras:
        return None
    return own.get("_kernel", own.get("_embeddings"))


def attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the instance attributes of a layer, without Keras's own bookkeeping."""
    for name, value in vars(layer).items():
        if name not in BOOKKEEPING:
            yield name, value
    # PyTorch keeps modules apart from other attributes.
    yield from (vars(layer).get("_modules") or {}).items()


TENSORFLOW_TABLES = frozenset(
    {
        "_self_name_based_restores",
        "_self_saveable_object_factories",
        "_self_setattr_tracking",
        "_self_unconditional_checkpoint_dependencies",
        "_self_unconditional_deferred_dependencies",
        "_self_unconditional_dependency_names",
        "_self_update_uid",
    }
)
"""Where TensorFlow notes what an object holds. Not by prefix: `_self_attention` is somebody's layer."""

BOOKKEEPING = frozenset(
    {
        "_layers",
        "_metrics",
        "_modules",
        "_non_trainable_variables",
        "_operations",
        "_operations_by_depth",
        "_nodes_by_depth",
        "_parameters",
        "_seed_generators",
        "_torch_params",
        "_tracked",
        "_tracker",
        "_trainable_variables",
        "_self_unconditional_checkpoint_dependencies",
        "_self_unconditional_dependency_names",
        "_functional",
        "_inbound_nodes",
        "_outbound_nodes",
    }
)


def own_variables(layer: Any) -> tuple[list[Any], list[Any]]:
    """Return `(parameters, state)`: a layer's own variables, in the order in which it saves them.

    Parameters were created trainable, whatever their flag says now; state (moving statistics,
    quantization scales) never was.
    """
    return list(layer._trainable_variables), list(layer._non_trainable_variables)


def seed_states(layer: Any) -> list[Any]:
    """Return the state variables of a layer's own seed generators."""
    return [generator.state for generator in layer._seed_generators]


def track_variable(layer: Any, variable: Any) -> None:
    """Let a layer own a variable that was made elsewhere, also when it is built already."""
    locked = layer._tracker.locked
    layer._tracker.unlock()
    layer._track_variable(variable)
    if locked:
        layer._tracker.lock()


def loose_variables(layer: Any) -> list[Any]:
    """Return variables that a layer holds and does not list, such as the states of a stateful RNN.

    Not those that are put together from others, and have no value of their own.
    """
    own = {id(v) for v in [*layer._trainable_variables, *layer._non_trainable_variables]}
    found = [v for _, value in attributes(layer) for v in _variables_in(value) if id(v) not in own]
    return list({id(v): v for v in found}.values())


def _variables_in(value: Any) -> Iterator[Any]:
    if isinstance(value, KerasVariable):
        if not isinstance(value, ComposedVariable):
            yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _variables_in(item)


def all_variables(layers: list[Any]) -> list[Any]:
    """Return every variable that layers hold and whose value a call could change."""
    found = [
        v
        for layer in layers
        for v in [*layer._non_trainable_variables, *seed_states(layer), *loose_variables(layer)]
    ]
    return list({id(v): v for v in found if v._initializer is None}.values())


def replace_variable(layer: Any, old: Any, new: Any) -> None:
    """Put one variable in the place of another: same position, same attributes."""
    for store, variables in (
        ("trainable_variables", layer._trainable_variables),
        ("non_trainable_variables", layer._non_trainable_variables),
    ):
        for position, variable in enumerate(variables):
            if variable is old:
                variables[position] = new
                layer._tracker.stored_ids[store].discard(id(old))
                layer._tracker.stored_ids[store].add(id(new))
    replace_attribute(layer, old, new)
    layer._post_untrack_variable(old)
    _replace_dependency(layer, old, new)


def replace_attribute(layer: Any, old: Any, new: Any) -> None:
    """Let every attribute of a layer that holds `old`, also within containers, hold `new`."""
    # TensorFlow keeps a second table of dependencies, which a SavedModel would follow.
    for table in (vars(layer), layer.__dict__.get("_self_unconditional_dependency_names") or {}):
        for name, value in list(table.items()):
            if value is old:
                table[name] = new
            elif isinstance(value, list) and name not in BOOKKEEPING:
                for position, item in enumerate(value):
                    if item is old:
                        list.__setitem__(value, position, new)


def _replace_dependency(layer: Any, old: Any, new: Any) -> None:
    """Let TensorFlow's own checkpoints save `new`; `old` would be kept, and saved as it was."""
    listed = layer.__dict__.get("_self_unconditional_checkpoint_dependencies") or []
    for position, dependency in enumerate(listed):
        if dependency.ref is old:
            list.__setitem__(listed, position, type(dependency)(dependency.name, new))


def add_child_layer(layer: Any, name: str, child: Any) -> None:
    """Attach a layer as an attribute to a layer that may be built, and so locked, already."""
    locked = layer._tracker.locked
    layer._tracker.unlock()
    setattr(layer, name, child)
    if locked:
        layer._tracker.lock()


def refresh_parameters(layer: Any) -> None:
    """Let PyTorch see that the variables of a layer have changed."""
    if hasattr(layer, "_torch_params"):
        layer._track_variables()


def set_trainable_flag(layer: Any, value: bool) -> None:
    """Set a layer's own flag, and nobody else's: the public setter reaches all that is inside."""
    layer._trainable = value


def trainable_flag(layer: Any) -> bool:
    """Return a layer's own flag, whatever its class makes of it."""
    return bool(layer._trainable)


def rename_variables(layer: Any, old_name: str) -> None:
    """Bring the paths of a layer, of those inside of it and of all their variables up to date.

    Args:
        layer: A layer that has another name now.
        old_name: The name that it had when its paths were made.
    """
    before = layer._path or old_name  # a nested model that was not called yet has no path of its own
    after = "/".join([*before.split("/")[:-1], layer.name])

    def now(path: str | None) -> str | None:
        led = path == before or (path or "").startswith(f"{before}/")
        return after + path[len(before) :] if path and led else path

    for inside in layer._flatten_layers():
        inside._path, inside._parent_path = now(inside._path), now(inside._parent_path)
        for variable in inside._trainable_variables + inside._non_trainable_variables:
            variable._path = now(variable._path)


def copy_paths(old: Any, new: Any) -> None:
    """Give a layer and its own variables the paths that they have in another model."""
    new._path, new._parent_path = old._path, old._parent_path
    olds, news = (layer._trainable_variables + layer._non_trainable_variables for layer in (old, new))
    for before, after in zip(olds, news, strict=True):
        after._path = before.path


def remove_child_layer(layer: Any, name: str) -> None:
    """Detach a layer that is an attribute of another, which may be locked already."""
    child = getattr(layer, name)
    locked = layer._tracker.locked
    layer._tracker.unlock()
    delattr(layer, name)
    layer._layers[:] = [other for other in layer._layers if other is not child]
    # Another object may get the address of this one, and Keras would take it for tracked already.
    layer._tracker.stored_ids["layers"].discard(id(child))
    if locked:
        layer._tracker.lock()
