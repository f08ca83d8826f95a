"""The config of a model, before Keras makes objects of it: only classes that build models, only sane numbers.

Keras's own safe mode refuses lambdas; it has let other callables through (CVE-2025-1550, -8747, -9906). Here
a class is refused unless its module is one of those in which models are made.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.keras_functions import FUNCTIONS

_MODULES = {
    "keras",
    *(
        f"keras.{name}"
        for name in (
            *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses"),
            *("metrics", "models", "ops", "optimizers", "optimizers.schedules", "quantizers"),
            *("random", "regularizers"),
        )
    ),
}
_PREFIXES = tuple(
    f"keras.src.{name}."
    for name in (
        *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses"),
        *("metrics", "models", "ops", "optimizers", "quantizers", "random", "regularizers"),
    )
)
_FUNCTIONS = {"builtins", "keras.activations", "keras.losses", "keras.metrics"}
_RUN_CODE = {
    "Lambda",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "__lambda__",
    "__typespec__",
}
_WORDS = {
    "__keras_tensor__",
    "__tensor__",
    "__numpy__",
    "__bytes__",
    "__ellipsis__",
    "__slice__",
    "__tuple__",
}
_COUNTS = {"units", "filters", "output_dim", "input_dim"}
_SHAPES = {"batch_shape", "batch_input_shape", "input_shape"}
_FILES = {"vocabulary", "idf_weights", "file_path", "filepath", "sparse_vocabulary_file"}
_ALWAYS = 1 << 20


def check_config(
    config: Mapping[str, Any], budgets: Budgets, *, elements: int | None, allowed: Collection[str] = ()
) -> None:
    """Check what a config names and how much it asks for.

    Args:
        config: Parsed JSON, of bounded depth.
        budgets: `positions` is looked at.
        elements: How many elements the file's arrays have: no layer can have more units than that.
        allowed: Modules whose classes the user vouches for (`--import`), those inside of them included.

    Raises:
        ValueError: With the class or setting at fault and the reason.
    """
    for path, item in _walk(config):
        name = item.get("class_name")
        if isinstance(name, str):
            _check_class(path, name, item, allowed)
        for key, value in item.items():
            where = f"{path}/{key}".lstrip("/")
            if key in _COUNTS:
                _check_count(where, value, elements)
            elif key in _SHAPES:
                _check_shape(where, value, budgets)
            elif key in _FILES and isinstance(value, str):
                raise ValueError(f"{where} names a file ({value[:80]!r}), which a checkpoint must not read")


def _walk(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield `(path, object)` for every object in parsed JSON; names of layers stand for their places."""
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            yield path, value
            inner = value.get("config")
            name = inner.get("name") if isinstance(inner, Mapping) else None
            here = f"{path}/{name}" if isinstance(name, str) else path
            waiting += [
                (here if key in ("config", "layers") else f"{here}/{key}", v) for key, v in value.items()
            ]
        elif isinstance(value, list):
            waiting += [(path, each) for each in value]


def _check_class(path: str, name: str, item: Mapping[str, Any], allowed: Collection[str]) -> None:
    module, registered = item.get("module"), item.get("registered_name")
    where = path.strip("/") or "the model"
    names = {name, str(registered).rpartition(">")[2]}
    if names & _RUN_CODE:
        raise ValueError(f"{where}: {name} runs code that is in the file; Surgeon does not open such files")
    if module is not None and not isinstance(module, str):
        raise ValueError(f"{where}: the module of {name} is no text")
    if name in _WORDS:
        return
    package, is_registered, _ = str(registered or "").rpartition(">")
    if is_registered and not (_vouched(package, allowed) or package in ("surgeon", "keras") or allowed):
        raise ValueError(
            f"{where}: {registered} is a class of {package!r}; name the module that defines it "
            "with --import (imports=[…])"
        )
    if name == "function":
        _check_function(where, module, item.get("config"), allowed)
        return
    if module in (None, "", "builtins"):  # as in legacy files: Keras then looks among its own classes alone
        return
    known = module in _MODULES or module.startswith((*_PREFIXES, "surgeon.partial."))
    if not (known or _vouched(module, allowed) or (is_registered and allowed)):
        raise ValueError(
            f"{where}: {name} of module {module!r} is no class of a Keras model; if it is yours, name the "
            "module that defines it with --import (imports=[…])"
        )


def _check_function(where: str, module: str | None, name: Any, allowed: Collection[str]) -> None:
    """Judge a function by its name alone: that, and no `registered_name`, is what Keras looks up."""
    known = False
    if isinstance(name, str):
        package, is_registered, _ = name.partition(">")
        is_ours = bool(is_registered) and package in ("surgeon", "keras")
        # With a module of the user's also bare names: of what it registers, Keras before 3.7 wrote no more.
        by_name = module == "builtins" and (is_ours or bool(allowed))
        known = (module in _FUNCTIONS and name in FUNCTIONS) or by_name or _vouched(module, allowed)
    if not known:
        raise ValueError(
            f"{where}: the function {name!r:.80} of {module!r} is not one of a model; if it is yours, "
            "register it (keras.saving.register_keras_serializable) and name the module that defines it "
            "with --import (imports=[…])"
        )


def _vouched(module: str | None, allowed: Collection[str]) -> bool:
    return any(module == name or str(module).startswith(f"{name}.") for name in allowed)


def _check_count(where: str, value: Any, elements: int | None) -> None:
    if value is None or isinstance(value, str | list | dict):
        return
    if isinstance(value, bool) or not _is_finite(value) or value != int(value) or value < 0:
        raise ValueError(f"{where} is {value!r}, which is no number of units")
    if elements is not None and value > max(elements, _ALWAYS):
        raise ValueError(f"{where} is {value:,}, and the file holds {elements:,} numbers in all")


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # which takes no integer of 400 digits


def _check_shape(where: str, value: Any, budgets: Budgets) -> None:
    total = 1
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list) and all(isinstance(size, int | float | None) for size in item):
            sizes = [size for size in item if size is not None]
            if any(isinstance(size, bool) or not _is_finite(size) or size < -1 for size in sizes):
                raise ValueError(f"{where} is {item!r}, which is no shape")
            total = math.prod(abs(int(size)) or 1 for size in sizes)
            if total > budgets.positions:
                raise ValueError(
                    f"{where} has {total:,} positions, more than the {budgets.positions:,} allowed"
                )
        elif isinstance(item, list):
            waiting += item
