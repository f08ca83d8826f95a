"""Scores of a model's weights, computed when they are asked for, and once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
from numpy.typing import NDArray

from surgeon import _keras, paths
from surgeon.errors import SelectionError, SurgeonError, near_misses
from surgeon.roundtrip import to_graph
from surgeon.roundtrip.building import build
from surgeon.scoring.batches import batches
from surgeon.scoring.by_activation import score_by_activation
from surgeon.scoring.by_gradient import score_by_gradient
from surgeon.scoring.looking import Looked, refusal
from surgeon.select import Axes, Criterion


class Scorer:
    """What criteria give the weights of one model, as it is now.

    Attributes:
        model: The model; it is only read.
        data: The data of criteria that bring none of their own.
    """

    def __init__(self, model: Any, data: Any = None) -> None:
        self.model, self.data = model, data
        self._scores: dict[Criterion, dict[str, NDArray[Any]]] = {}

    def scores(
        self, criterion: Criterion, path: str, wanted: Mapping[str, Axes], *, chooses: bool = True
    ) -> NDArray[Any]:
        """Return the score of each element of a weight.

        Args:
            criterion: Which.
            path: Path of the weight.
            wanted: All weights whose scores will be asked for, so that one pass over the data is enough.
            chooses: Whether elements are chosen by them, so that a weight without a signal is worth a
                warning.

        Raises:
            SelectionError: If there are no data or no loss, the model cannot be trained on the data, or the
                criterion cannot score a weight.
        """
        known = self._scores.setdefault(criterion, {})
        if path not in known:
            found = self._score(criterion, {**wanted, path: wanted[path]})
            if chooses:
                _warn_of_silence(criterion.name, found)
            known.update(found)
        return known[path]

    def _score(self, criterion: Criterion, wanted: Mapping[str, Axes]) -> dict[str, NDArray[Any]]:
        data = self.data if criterion.data is None else criterion.data
        if data is None:
            raise SelectionError(
                f"{criterion.name!r} looks at data, and there are none: write by={criterion.name}(data), or "
                "give them when it is carried out: rewrite(model, rules, data=...), "
                "plan.apply(model, data=...), adjust(model, rules, data=...) or schedule.callback(data=...)"
            )
        copy = self._copy(criterion)
        variables = {paths.join(where, name): v for where, name, _, v in paths.weights(copy)}
        weights = {path: variables[path] for path in wanted}
        options = criterion.options
        size = options.get("batch_size", 32)
        limit = options.get("batches")
        if criterion.name == "fisher":
            limit = -(-options.get("samples", 256) // size) if isinstance(data, tuple) else None
        looked = Looked(
            batches(data, batch_size=size, limit=limit, verbose=criterion.verbose, what=criterion.name)
        )
        try:
            if criterion.name == "activation":
                return score_by_activation(copy, weights, wanted, iter(looked))
            return score_by_gradient(criterion, copy, weights, iter(looked))
        except (SurgeonError, MemoryError):
            raise
        except Exception as error:  # each backend has its own
            if looked.batch is None:
                raise
            raise refusal(error, criterion.name, copy, data, looked.batch) from error

    def _copy(self, criterion: Criterion) -> Any:
        """Return a stock copy in which every parameter trains, compiled with the loss alone."""
        copy = build(to_graph(self.model), shared=lambda node: False)
        for layer in (copy, *(layer for _, layer in paths.walk(copy))):
            _keras.set_trainable_flag(layer, True)
            for variable in _keras.own_variables(layer)[0]:
                variable.trainable = True
        if criterion.name == "activation":
            return copy
        arguments = _keras.compile_arguments(self.model) or {}
        loss = criterion.options.get("loss", arguments.get("loss"))
        if loss is None:
            raise SelectionError(
                f"{criterion.name!r} needs a loss: compile {self.model.name!r} first, or write "
                f"by={criterion.name}(data, loss=...)"
            )
        _check_loss(criterion.name, loss)
        copy.compile(optimizer="sgd", loss=loss, loss_weights=arguments.get("loss_weights"))
        return copy


_CROSSENTROPIES = ("crossentropy", "ce")  # Keras finds out which from the targets
_SHORT_LOSSES = ("mse", "mae", "mape", "msle", "bce", "kld")  # known to Keras, and listed nowhere


def _check_loss(name: str, loss: Any) -> None:
    if not isinstance(loss, str) or loss.lower() in _CROSSENTROPIES:
        return
    try:
        keras.losses.get(loss)
    except ValueError as error:
        close = near_misses(loss, [*_SHORT_LOSSES, *_CROSSENTROPIES, *vars(keras.losses)])
        raise SelectionError(f"{name}(...): Keras has no loss {loss!r}{close}") from error


def _warn_of_silence(name: str, found: Mapping[str, NDArray[Any]]) -> None:
    """Warn of weights all of whose scores are 0: where they are ranked, the order of the elements decides."""
    silent = [path for path, scores in found.items() if scores.size and not scores.any()]
    if silent:
        more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
        warnings.warn(
            f"{name} saw no signal at {', '.join(map(repr, silent[:3]))}{more}: all scores are 0 there, and "
            "of equal ones the first are taken. Is this weight, or a layer above it, still zero?",
            stacklevel=2,
        )
