"""Which elements of each weight train once rules were obeyed; several weights may share one budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from surgeon.errors import RuleError
from surgeon.partial import Part, PartialVariable
from surgeon.planning.asks import Ask, WeightSite
from surgeon.scoring import Scorer
from surgeon.select import Candidate, Selection, resolve_together

Result = TypeVar("Result")


class Resolver:
    """Follows what rules ask of the weights of one live model.

    Attributes:
        weights: The weights by path.
        asks: What is asked of them, in order. It may grow while this is in use.
        scorer: Gives the scores of criteria that look at data.
    """

    def __init__(
        self, weights: Mapping[str, WeightSite], asks: Mapping[str, Sequence[Ask]], scorer: Scorer
    ) -> None:
        self.weights, self.asks, self.scorer = weights, asks, scorer
        self._pools: dict[Ask, dict[str, Part]] = {}

    def part(self, path: str, count: int | None = None) -> Part:
        """Return what trains of a weight after the first `count` asks, or all of them.

        Raises:
            RuleError: If a selection does not fit the weight; names rule and weight.
        """
        site = self.weights[path]
        part = site.current
        for ask in self.asks.get(path, ())[:count]:
            part = self._after(ask, part, site)
        return part

    def size(self, path: str) -> int:
        """Return how many elements of a weight will train, without looking at data where that is possible.

        Raises:
            RuleError: If a selection does not fit the weight; names rule and weight.
        """
        site, asks = self.weights[path], self.asks.get(path, ())
        last = asks[-1] if asks else None
        selection = None if last is None else last.selection
        if last is None or selection is None or selection.criterion is None or last.pool:
            return self.part(path).size
        size = _named(last, lambda: selection.size(site.weight.shape, site.axes, path))
        if last.verb == "train":
            return size
        before = self.part(path, len(asks) - 1)
        return before.size - size if before.is_all else self.part(path).size

    def _after(self, ask: Ask, current: Part, site: WeightSite) -> Part:
        if ask.selection is None:
            return Part.none(current.shape) if ask.verb == "freeze" else Part.all(current.shape)
        chosen = self._chosen(ask, ask.selection, site)
        return current - chosen if ask.verb == "freeze" else chosen

    def _chosen(self, ask: Ask, selection: Selection, site: WeightSite) -> Part:
        if not ask.pool and not selection.looks_back:
            values = self._values(selection, site, [site.path])
            return _named(ask, lambda: selection.resolve(site.path, site.weight.shape, site.axes, values))
        if ask not in self._pools or site.path not in self._pools[ask]:
            paths = [path for path in (ask.pool or (site.path,)) if path in self.weights]
            found = _named(
                ask,
                lambda: resolve_together(
                    selection, [self._candidate(ask, selection, path, paths) for path in paths]
                ),
            )
            self._pools.setdefault(ask, {}).update(found)
        return self._pools[ask][site.path]

    def _candidate(self, ask: Ask, selection: Selection, path: str, wanted: Sequence[str]) -> Candidate:
        site = self.weights[path]
        before = self.part(path, list(self.asks[path]).index(ask)) if selection.looks_back else site.current
        return Candidate(
            path,
            site.weight.shape,
            site.axes,
            before,
            self._values(selection, site, wanted),
            lambda: _moved(site.variable),
        )

    def _values(self, selection: Selection, site: WeightSite, wanted: Sequence[str]) -> Any:
        criterion = selection.criterion
        if criterion is None:
            return lambda: _array(site.variable)
        # All weights that this criterion is asked about, so that one pass over the data is enough.
        same = [
            path
            for path, asks in self.asks.items()
            if any(ask.selection is not None and ask.selection.criterion == criterion for ask in asks)
        ]
        axes = {path: self.weights[path].axes for path in [*same, *wanted] if path in self.weights}
        return lambda: self.scorer.scores(criterion, site.path, axes)


def _named(ask: Ask, resolve: Callable[[], Result]) -> Result:
    """Put the rule before the text of an error."""
    try:
        return resolve()
    except RuleError as error:
        raise type(error)(f"{ask.rule}: {error}") from error


def _array(variable: Any) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _moved(variable: Any) -> NDArray[Any]:
    """Return how far each element is from where it was when what trains of the weight last changed."""
    whole: NDArray[Any] = _array(variable).astype("float64")
    if not isinstance(variable, PartialVariable):
        return np.zeros_like(whole)
    return np.asarray(whole - variable.started().astype("float64"))
