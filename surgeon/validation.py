"""Checking that surgery changed what it should, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

import keras
import numpy as np

from surgeon import _keras, paths
from surgeon.errors import RuleError, ValidationError, near_misses
from surgeon.graph import ModelGraph
from surgeon.roundtrip import layers_of, read_result, sites, to_graph

Validate = Literal["outputs", "structure", "none"]
MODES = ("outputs", "structure", "none")
SHOWN = 6
"""How many shared layers a report names before it only counts the rest."""


@dataclass(frozen=True)
class ValidationReport:
    """What was compared, and what differs.

    Attributes:
        compared: What was looked at: `"structure"`, `"weights"`, `"outputs"`.
        differences: One line for each difference; empty if there is none.
        notes: What could not be compared, and why.
    """

    compared: tuple[str, ...]
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps({**asdict(self), "ok": self.ok})

    def __str__(self) -> str:
        lines = [f"compared {', '.join(self.compared)}: {'equal' if self.ok else 'different'}"]
        return "\n".join([*lines, *(f"- {line}" for line in (*self.differences, *self.notes))])


def check_mode(mode: str) -> None:
    """Check the value of a `validate=` argument.

    Raises:
        RuleError: If it is none of the three words.
    """
    if mode not in MODES:
        raise RuleError(f"validate is one of {', '.join(MODES)}, not {mode!r}{near_misses(str(mode), MODES)}")


def validate(
    before: Any, after: Any, *, outputs: bool = True, replaced: Collection[str] = (), edited: bool = False
) -> ValidationReport:
    """Compare two models: layers, how they are joined, weights and outputs, bit for bit.

    Args:
        before: A built functional or Sequential model.
        after: Another one, rewritten from it or not.
        outputs: Whether to run both on the same seeded random inputs.
        replaced: Paths of layers that are meant to differ.
        edited: Whether the layers are meant to be joined in another way.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="d")])
        >>> print(validate(model, model))
        compared structure, weights, outputs: equal
    """
    graph = to_graph(before)
    return _compare(graph, read_result(after, graph), outputs=outputs, replaced=replaced, edited=edited)


def _compare(
    old: ModelGraph, new: ModelGraph, *, outputs: bool, replaced: Collection[str], edited: bool
) -> ValidationReport:
    before, after = old.model, new.model
    compared, notes = ["structure", "weights"], []
    differences = _structure(old, new, replaced, edited=edited)
    differences += _weights(old, new, replaced, edited=edited)
    if outputs and (replaced or edited):
        notes.append("outputs are not compared: the structure was changed")
    elif outputs and not differences:
        try:
            olds = _run(before, inputs := random_inputs(before))
        except Exception as error:  # noqa: BLE001 - whatever a model raises on inputs that it is not made for
            reason = str(error).strip().split("\n")[0][:200]
            notes.append(f"outputs are not compared: the source itself cannot run on random inputs: {reason}")
        else:
            compared.append("outputs")
            differences += _outputs(olds, _run(after, inputs))
    if before is not after and (common := _common(old, new)):
        notes.append(f"shared with the source: {common}")
    return ValidationReport(tuple(compared), tuple(differences), tuple(notes))


def _common(before: ModelGraph, after: ModelGraph) -> str:
    """Name the layers with weights that two models have in common: to train one is to train the other."""
    owned = {id(node.op) for node in before if node.weights}
    found = [node.path for node in after if node.call_index == 0 and id(node.op) in owned]
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def check_rewrite(
    before: ModelGraph, after: Any, *, mode: Validate, replaced: Collection[str], edited: bool = False
) -> None:
    """Check a rewritten model against the graph that was read from its source.

    Raises:
        ValidationError: Names every difference.
    """
    if mode == "none":
        return
    outputs = mode == "outputs"
    report = _compare(before, read_result(after, before), outputs=outputs, replaced=replaced, edited=edited)
    if not report.ok:
        raise ValidationError(f"the rewritten {before.name!r} differs from its source:\n{report}")


def _within(path: str, replaced: Collection[str]) -> bool:
    return any(path == outer or path.startswith(outer + "/") for outer in replaced)


def _structure(
    before: ModelGraph, after: ModelGraph, replaced: Collection[str], *, edited: bool = False
) -> list[str]:
    lines = []
    free = edited or bool(replaced)
    if before.class_name != after.class_name and not free:
        lines.append(f"class {before.class_name} became {after.class_name}")
    olds, news = ({site.path: site for site in sites(graph)} for graph in (before, after))
    if not free and list(olds) != list(news):
        lines += [f"{path} is gone" for path in olds.keys() - news.keys()]
        lines += [f"{path} is new" for path in news.keys() - olds.keys()]
        lines = sorted(lines) or ["the layers have another order"]
    for path in olds.keys() & news.keys():
        old, new = olds[path], news[path]
        # A nested model in which something changed becomes a plain one, or its class would undo the edit.
        is_opened = edited and old.inner is not None and new.inner is not None
        if old.class_name != new.class_name and not is_opened and not _within(path, replaced):
            lines.append(f"{path}: class {old.class_name} became {new.class_name}")
        if old.outputs != new.outputs and not free:
            lines.append(f"{path}: outputs {old.outputs} became {new.outputs}")
    if not free and (before.edges, before.inputs, before.outputs) != (
        after.edges,
        after.inputs,
        after.outputs,
    ):
        lines.append("the layers are joined in another way")
    return lines


def _weights(
    before: ModelGraph, after: ModelGraph, replaced: Collection[str], *, edited: bool = False
) -> list[str]:
    layers = dict(layers_of(before)), dict(layers_of(after))
    common = {path for path, layer in layers[0].items() if layers[1].get(path) is layer}
    olds, news = (
        {
            paths.join(path, name): variable
            for path, name, _, variable in paths.weights(
                graph.model, [item for item in inside.items() if item[0] not in common]
            )
        }
        for graph, inside in zip((before, after), layers, strict=True)
    )
    lines = []
    for path, variable in olds.items():
        if _within(path, replaced):
            continue
        if path not in news:
            lines.append(f"weight {path} is gone")
        elif variable is not news[path] and not same_bits(variable, news[path]):
            lines.append(f"weight {path} has other values")
    if not edited and not replaced:
        # It may change no output yet, as a bias of zeros. Adapters are added on purpose, and show in outputs.
        extra = (path for path in news if path not in olds)
        lines += [
            f"weight {path} is new" for path in extra if not path.rpartition("/")[2].startswith("lora_")
        ]
    return lines


def same_bits(left: Any, right: Any) -> bool:
    """Whether two tensors agree in shape, dtype and every bit; equal NaNs count as equal."""
    first, second = _keras.view(left), _keras.view(right)
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    # Copies that were not trained yet may share their memory with the original.
    return first.ctypes.data == second.ctypes.data or first.tobytes() == second.tobytes()


def _run(model: Any, inputs: Any) -> list[Any]:
    """Return a model's outputs, and leave its state (seeds, states of recurrent layers) as it was."""
    variables = _keras.all_variables([model, *(layer for _, layer in paths.walk(model))])
    kept = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]
    try:
        with _keras.without_gradients(variables):
            outputs = keras.tree.flatten(model(inputs, training=False))
        return [np.array(keras.ops.convert_to_numpy(output)) for output in outputs]
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


def _outputs(olds: list[Any], news: list[Any]) -> list[str]:
    return [
        f"output {number} differs by up to {_distance(old, new)}"
        for number, (old, new) in enumerate(zip(olds, news, strict=True))
        if not same_bits(old, new)
    ]


def _distance(old: Any, new: Any) -> Any:
    first, second = (np.asarray(keras.ops.convert_to_numpy(value)) for value in (old, new))
    if first.shape != second.shape:
        return f"its shape: {first.shape} and {second.shape}"
    return np.abs(first.astype("float64") - second.astype("float64")).max()


def random_inputs(model: Any, *, batch: int = 2, seed: int = 0) -> Any:
    """Return seeded random inputs in a model's own input structure, as numpy arrays.

    Integers stay below the smallest vocabulary, masks are zero and one, unknown sizes are 8, and
    32 for the sides of a picture.

    Args:
        model: A built functional or Sequential model.
        batch: Size of the first axis.
        seed: Seed of the values.
    """
    rng = np.random.default_rng(seed)
    sizes = [getattr(layer, "input_dim", None) for _, layer in paths.walk(model)]
    vocabulary = min((size for size in sizes if isinstance(size, int) and size > 0), default=2)

    def sample(tensor: Any) -> Any:
        unknown = 32 if len(tensor.shape) == 4 else 8
        first = batch if tensor.shape[:1] == (None,) else None
        shape = tuple(unknown if size is None else size for size in tensor.shape)
        shape = shape if first is None else (first, *shape[1:])
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if dtype == "string":
            return rng.choice(["a", "b", "c"], shape)
        if dtype == "bool" or "mask" in tensor.name:
            return (rng.random(shape) < 0.8).astype(dtype)
        if "int" in dtype:
            return rng.integers(0, vocabulary, shape).astype(dtype)
        return rng.normal(size=shape).astype(dtype)

    functional = _keras.functional_of(model)
    structure = _keras.input_structure(functional)
    return keras.tree.map_structure(sample, structure)
