"""Scores of a model's weights, computed when they are asked for, and once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from surgeon import _keras, paths
from surgeon.errors import SelectionError
from surgeon.roundtrip import to_graph
from surgeon.roundtrip.building import build
from surgeon.scoring.batches import batches
from surgeon.scoring.by_activation import score_by_activation
from surgeon.scoring.by_gradient import score_by_gradient
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

    def scores(self, criterion: Criterion, path: str, wanted: Mapping[str, Axes]) -> NDArray[Any]:
        """Return the score of each element of a weight.

        Args:
            criterion: Which.
            path: Path of the weight.
            wanted: All weights whose scores will be asked for, so that one pass over the data is enough.

        Raises:
            SelectionError: If there are no data or no loss, or the criterion cannot score a weight.
        """
        known = self._scores.setdefault(criterion, {})
        if path not in known:
            known.update(self._score(criterion, {**wanted, path: wanted[path]}))
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
        found = batches(data, batch_size=size, limit=limit, verbose=criterion.verbose, what=criterion.name)
        if criterion.name == "activation":
            return score_by_activation(copy, weights, wanted, found)
        return score_by_gradient(criterion, copy, weights, found)

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
        copy.compile(optimizer="sgd", loss=loss, loss_weights=arguments.get("loss_weights"))
        return copy
