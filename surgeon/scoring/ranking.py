"""Which layers matter most."""

from __future__ import annotations

from typing import Any

import numpy as np

from surgeon import _keras, paths
from surgeon.errors import SelectionError
from surgeon.roundtrip import sites, to_graph
from surgeon.scoring.scorer import Scorer
from surgeon.select import Axes, Criterion
from surgeon.select.criteria import summed


def rank_layers(model: Any, by: Criterion) -> list[tuple[str, float]]:
    """Return the path of every layer with parameters of its own, best first, with its mean score.

    Args:
        model: A built functional or Sequential model, compiled unless the criterion has a loss.
        by: A criterion that looks at data: `relative_gradient_norm(data)`, `fisher(data)`, ...

    Raises:
        NoGraphError: If the model has no graph.
        SelectionError: If the criterion does not look at data, there are no data or no loss, or a score is
            NaN.

    Example:
        >>> import keras, numpy, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="a")])
        >>> data = numpy.ones((8, 4)), numpy.ones((8, 2))
        >>> by = surgeon.relative_gradient_norm(data, loss="mse", verbose=0)
        >>> [path for path, _ in rank_layers(model, by)]
        ['a']
    """
    graph = to_graph(model)
    if not isinstance(by, Criterion):
        raise SelectionError(
            f"rank_layers(...): by is a criterion that looks at data, not {by!r}: write by=fisher(data)"
        )
    scorer = Scorer(model)
    wanted: dict[str, Axes] = {}
    for site in sites(graph):
        if site.inner is None and hasattr(site.op, "trainable"):
            rows = {weight.path: weight for weight in site.weights}
            parameters = [id(variable) for variable in _keras.own_variables(site.op)[0]]
            for name, variable in paths.own_weights(site.op).items():
                if id(variable) in parameters and name in rows:
                    wanted.setdefault(paths.join(site.path, name), Axes(len(variable.shape) - 1, None))
    layers: dict[str, list[np.ndarray]] = {}
    for path in wanted:
        scores = scorer.scores(by, path, wanted, chooses=False)
        try:
            layers.setdefault(path.rpartition("/")[0], []).append(summed(scores, None, path))
        except SelectionError as error:
            raise SelectionError(f"rank_layers(..., by={by!r}): {error}") from error
    with np.errstate(invalid="ignore"):  # refused below
        means = {layer: float(np.concatenate(scores).mean()) for layer, scores in layers.items()}
    for layer, mean in means.items():
        if np.isnan(mean):
            raise SelectionError(
                f"rank_layers(..., by={by!r}): some scores of {layer!r} are infinite, some minus infinite: "
                "they have no mean. Look at the data, the loss, and the weights"
            )
    return sorted(means.items(), key=lambda item: -item[1])
