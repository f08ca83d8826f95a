"""A certificate of every frozen element, to be checked later."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from surgeon import _keras, paths
from surgeon.errors import ModelError, RuleError, SealBrokenError, check_built
from surgeon.partial import Part, PartialVariable

FORMAT = 1
"""Version of a seal's JSON."""

SHOWN = 10
"""How many broken weights an error names before it only counts the rest."""


@dataclass(frozen=True)
class Sealed:
    """The frozen elements of one weight: how many they are, and their digest with their places."""

    count: int
    digest: str
    part: Part


@dataclass(frozen=True)
class Seal:
    """What was frozen when it was made, bit for bit. Made by `seal`.

    Attributes:
        weights: For each weight with frozen elements, by path.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> tuned = surgeon.rewrite(model, surgeon.freeze("head", "kernel"))
        >>> seal = surgeon.seal(tuned)
        >>> seal
        <Seal of 8 frozen elements in 1 weights>
        >>> seal.verify(tuned)
    """

    weights: Mapping[str, Sealed]

    @property
    def count(self) -> int:
        """Number of frozen elements."""
        return sum(sealed.count for sealed in self.weights.values())

    def __repr__(self) -> str:
        return f"<Seal of {self.count:,} frozen elements in {len(self.weights):,} weights>"

    def verify(self, model: Any, *, values_only: bool = False) -> None:
        """Check that every element that was frozen still is, and has not changed a bit.

        Args:
            model: The model that was sealed, later: trained, saved and loaded, restored.
            values_only: Accept that frozen elements can train again, as in a restored model.

        Raises:
            ModelError: If this is no built model.
            SealBrokenError: Names each weight that has changed, is gone, or can train again.
        """
        check_built(model)
        found = {paths.join(path, name): (layer, v) for path, name, layer, v in paths.weights(model)}
        trained = {id(variable) for variable in model.trainable_variables}
        broken = []
        for path, sealed in self.weights.items():
            if path not in found:
                broken.append(f"{path} is gone")
                continue
            layer, variable = found[path]
            if tuple(variable.shape) != sealed.part.shape:
                broken.append(f"{path} has another shape")
            elif frozen_digest(_array(variable), sealed.part) != sealed.digest:
                broken.append(f"{path}: some of its {sealed.count:,} frozen elements have changed")
            elif not values_only and not (moving_part(layer, variable, trained) - sealed.part).is_none:
                broken.append(f"{path}: frozen elements can train again")
        if broken:
            more = [f"and {len(broken) - SHOWN:,} more"] if len(broken) > SHOWN else []
            lines = "\n- ".join([*broken[:SHOWN], *more])
            raise SealBrokenError(f"the seal of {model.name!r} is broken:\n- {lines}")

    def to_json(self) -> str:
        """Return the seal as JSON, to be kept beside a checkpoint."""
        weights = {p: [s.count, s.digest, s.part.to_config()] for p, s in self.weights.items()}
        return json.dumps({"surgeon_seal": FORMAT, "weights": weights})

    @classmethod
    def from_json(cls, text: str) -> Seal:
        """Inverse of `to_json`.

        Raises:
            RuleError: If the text is not a seal.
        """
        try:
            data = json.loads(text)
            if data["surgeon_seal"] != FORMAT:
                raise ValueError(f"surgeon_seal is {data['surgeon_seal']!r}, and only {FORMAT} is known")
            weights = {
                p: Sealed(count, digest, Part.from_config(part))
                for p, (count, digest, part) in data["weights"].items()
            }
            if not weights:
                raise ValueError("it certifies nothing, so it would hold whatever happened")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RuleError(f"this is no seal: {type(error).__name__}: {error}") from error
        return cls(weights)


def seal(model: Any) -> Seal:
    """Certify every frozen element of a model: whole weights, parts, and state that holds still.

    Args:
        model: A built model. It is only read.

    Raises:
        ModelError: If nothing is frozen: such a seal would hold whatever happened.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> certificate = seal(surgeon.rewrite(model, surgeon.freeze("d", "kernel")))
        >>> certificate.count
        8
    """
    check_built(model)
    trained = {id(variable) for variable in model.trainable_variables}
    weights = dict(_sealed(model, trained))
    if not weights:
        raise ModelError(
            f"nothing of {model.name!r} is frozen, so there is nothing to seal: "
            "seal the model that rewrite returned"
        )
    return Seal(weights)


def _sealed(model: Any, trained: set[int]) -> Iterator[tuple[str, Sealed]]:
    for path, name, layer, variable in paths.weights(model):
        part = moving_part(layer, variable, trained)
        count = math.prod(part.shape) - part.size
        if count:
            yield paths.join(path, name), Sealed(count, frozen_digest(_array(variable), part), part)


def moving_part(layer: Any, variable: Any, trained: set[int]) -> Part:
    """Return what of a weight training can change.

    Args:
        layer: The layer that owns it.
        variable: The weight.
        trained: Identities of the model's trainable variables.
    """
    shape = tuple(variable.shape)
    parameters, _ = _keras.own_variables(layer)
    if not any(variable is parameter for parameter in parameters):
        # State moves with its layer, unless it was made to hold still.
        still = isinstance(variable, PartialVariable) or not layer.trainable
        return Part.none(shape) if still else Part.all(shape)
    if isinstance(variable, PartialVariable):
        return variable.part if id(variable.compact) in trained else Part.none(shape)
    return Part.all(shape) if id(variable) in trained else Part.none(shape)


def frozen_digest(whole: NDArray[Any], part: Part) -> str:
    """Return a digest of the elements of a weight that lie outside of a part, with dtype and shape."""
    whole = np.ascontiguousarray(whole)
    frozen = whole[~part.to_mask()] if not part.is_none else whole
    digest = hashlib.sha256(f"{whole.dtype}{whole.shape}".encode())
    digest.update(np.ascontiguousarray(frozen).tobytes())
    return digest.hexdigest()


def _array(variable: Any) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable.value))
