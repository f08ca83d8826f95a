"""Criteria that look at data: what the elements of a weight mean for a loss, or for what comes out.

These are values. What they stand for is computed by `surgeon.scoring` when a plan is carried out.
Gradients are those of the loss that the model is compiled with (or `loss=`), of the whole weights, frozen
elements included, with the model at inference (no dropout, moving statistics in use), so that equal data give
equal choices. The model itself is never changed. Of a group (a channel, a row) the scores are added up; of
equal ones the first is taken.
"""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec

from surgeon.errors import SelectionError, near_misses
from surgeon.select.criteria import MAGNITUDE, RANDOM

_P = ParamSpec("_P")


@dataclass(frozen=True, eq=False)
class Criterion:
    """A criterion that needs data, with its options.

    Attributes:
        name: `"fisher"`, `"gradient"`, ...
        options: What it was told, as JSON data (a `loss` may be an object).
        data: The data; `None` where they are given when the plan is carried out.
        verbose: Whether progress is shown, as in `fit`.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Any = None
    verbose: int = 1

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Criterion)
            and (self.name, dict(self.options)) == (other.name, dict(other.options))
            and self.data is other.data
        )

    def __hash__(self) -> int:
        return hash((self.name, id(self.data)))

    def __repr__(self) -> str:
        parts = ["..."] * (self.data is not None) + [
            f"{key}={value!r}" for key, value in self.options.items()
        ]
        return f"{self.name}({', '.join(parts)})"

    def to_data(self) -> dict[str, Any]:
        """Return JSON data; the data that it looks at are left out.

        Raises:
            SelectionError: If the loss is Python code.
        """
        loss = self.options.get("loss")
        if loss is not None and not isinstance(loss, str):
            raise SelectionError(
                f"{self!r} cannot be written as data, its loss is Python code: compile the model with it"
            )
        return {"by": self.name, **self.options}


def _of_one_thing(make: Callable[_P, Criterion]) -> Callable[_P, Criterion]:
    """Refuse `fisher(x, y)`: data are one thing, as an argument of a rule is."""

    @functools.wraps(make)
    def made(*args: _P.args, **options: _P.kwargs) -> Criterion:
        if len(args) > 1:
            name = make.__name__
            raise SelectionError(f"{name}(...) takes data as one argument: write {name}((x, y))")
        return make(*args, **options)

    return made


@_of_one_thing
def fisher(
    data: Any = None, *, samples: int = 256, batch_size: int = 32, loss: Any = None, verbose: int = 1
) -> Criterion:
    """Rank by Fisher information: the mean squared gradient of single samples, its diagonal.

    The empirical Fisher information of Sung, Nair and Raffel, "Training Neural Networks with Fixed Sparse
    Masks" (FISH Mask, 2021, arXiv:2111.09839); the diagonal as in Kirkpatrick et al. (2017,
    arXiv:1612.00796).

    Args:
        data: Anything that `fit` takes: `(x, y)`, `(x, y, sample_weight)`, a `tf.data.Dataset`, a
            `PyDataset`, a PyTorch `DataLoader`, a generator. Without it, the data are those that `rewrite`
            or `Plan.apply` is given.
        samples: How many samples are looked at, one by one.
        batch_size: How arrays are cut into batches.
        loss: The loss, if not the one that the model is compiled with.
        verbose: 0 shows no progress.

    Example:
        >>> import surgeon
        >>> surgeon.elements(0.01, by=surgeon.fisher(samples=64))
        elements(0.01, by=fisher(samples=64))
    """
    return _made("fisher", data, verbose, samples=samples, batch_size=batch_size, loss=loss)


@_of_one_thing
def gradient(
    data: Any = None, *, batches: int | None = None, batch_size: int = 32, loss: Any = None, verbose: int = 1
) -> Criterion:
    """Rank by the absolute value of the mean gradient.

    As in Zhang et al., "Gradient-based Parameter Selection for Efficient Fine-Tuning" (2023,
    arXiv:2312.10136).

    Args:
        data: As for `fisher`.
        batches: How many batches are looked at; all, unless given.
        batch_size: As for `fisher`.
        loss: As for `fisher`.
        verbose: As for `fisher`.

    Example:
        >>> import surgeon
        >>> surgeon.elements(0.01, by=surgeon.gradient(batches=8))
        elements(0.01, by=gradient(batches=8))
    """
    return _made("gradient", data, verbose, batches=batches, batch_size=batch_size, loss=loss)


@_of_one_thing
def snip(
    data: Any = None, *, batches: int | None = None, batch_size: int = 32, loss: Any = None, verbose: int = 1
) -> Criterion:
    """Rank by connection sensitivity: the absolute value of weight times mean gradient.

    Lee, Ajanthan and Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity" (2019,
    arXiv:1810.02340).

    Args:
        data: As for `fisher`.
        batches: As for `gradient`.
        batch_size: As for `fisher`.
        loss: As for `fisher`.
        verbose: As for `fisher`.

    Example:
        >>> import surgeon
        >>> surgeon.channels(0.1, by=surgeon.snip(batches=8))
        channels(0.1, by=snip(batches=8))
    """
    return _made("snip", data, verbose, batches=batches, batch_size=batch_size, loss=loss)


@_of_one_thing
def movement(
    data: Any = None,
    *,
    batches: int | None = None,
    learning_rate: float = 0.01,
    batch_size: int = 32,
    loss: Any = None,
    verbose: int = 1,
) -> Criterion:
    """Rank by movement away from zero: minus weight times gradient, added up along some steps of SGD.

    Sanh, Wolf and Rush, "Movement Pruning: Adaptive Sparsity by Fine-Tuning" (2020, arXiv:2005.07683). The
    steps are taken on a copy.

    Args:
        data: As for `fisher`.
        batches: How many steps are taken; one for each batch, unless given.
        learning_rate: Of these steps.
        batch_size: As for `fisher`.
        loss: As for `fisher`.
        verbose: As for `fisher`.

    Example:
        >>> import surgeon
        >>> surgeon.elements(0.01, by=surgeon.movement(batches=8, learning_rate=0.1))
        elements(0.01, by=movement(batches=8, learning_rate=0.1))
    """
    options = {"batches": batches, "learning_rate": learning_rate, "batch_size": batch_size, "loss": loss}
    return _made("movement", data, verbose, **options)


@_of_one_thing
def relative_gradient_norm(
    data: Any = None, *, batches: int | None = None, batch_size: int = 32, loss: Any = None, verbose: int = 1
) -> Criterion:
    """Rank layers by the norm of the mean gradient of their weights over the norm of their weights.

    Lee et al., "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts" (2022, arXiv:2210.11466),
    Auto-RGN. All elements of a layer score alike, so this is for `over="model"` and for `rank_layers`.

    Args:
        data: As for `fisher`.
        batches: As for `gradient`.
        batch_size: As for `fisher`.
        loss: As for `fisher`.
        verbose: As for `fisher`.

    Example:
        >>> import keras, numpy, surgeon
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")]
        ... )
        >>> data = numpy.ones((8, 4)), numpy.ones((8, 2))
        >>> by = surgeon.relative_gradient_norm(data, loss="mse", verbose=0)
        >>> sorted(layer for layer, norm in surgeon.rank_layers(model, by=by))
        ['a', 'b']
    """
    return _made("relative_gradient_norm", data, verbose, batches=batches, batch_size=batch_size, loss=loss)


@_of_one_thing
def activation(
    data: Any = None, *, batches: int | None = None, batch_size: int = 32, verbose: int = 1
) -> Criterion:
    """Rank channels by the mean absolute value of what comes out of them; for `channels` alone.

    After Hu et al., "Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep
    Architectures" (2016, arXiv:1607.03250), with the mean absolute activation in the place of its share of
    zeros, which is of no use without a ReLU. Needs no targets.

    Args:
        data: As for `fisher`.
        batches: As for `gradient`.
        batch_size: As for `fisher`.
        verbose: As for `fisher`.

    Example:
        >>> import surgeon
        >>> surgeon.channels(8, by=surgeon.activation(batches=2))
        channels(8, by=activation(batches=2))
    """
    return _made("activation", data, verbose, batches=batches, batch_size=batch_size)


_MAKERS = {
    made.__name__: made for made in (fisher, gradient, snip, movement, relative_gradient_norm, activation)
}
_DEFAULTS: Mapping[str, Any] = {
    "samples": 256,
    "batches": None,
    "batch_size": 32,
    "loss": None,
    "learning_rate": 0.01,
}
CRITERIA = (MAGNITUDE, RANDOM, *_MAKERS)
OPTIONS = tuple(_DEFAULTS)


def criterion(name: str, options: Mapping[str, Any]) -> Criterion:
    """Return the criterion of a name, without data.

    Raises:
        SelectionError: If it takes no such option, or an option makes no sense.
    """
    try:
        return _MAKERS[name](**options)
    except TypeError as error:
        raise SelectionError(f"by={name!r}: {str(error).partition('() ')[2]}") from error


def _made(name: str, data: Any, verbose: int, **options: Any) -> Criterion:
    for key in ("samples", "batches", "batch_size"):
        count = options.get(key)
        if count is not None and (
            isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < 1
        ):
            raise SelectionError(f"{name}(...): {key} is a whole number from 1 up, not {count!r}")
    if isinstance(data, str):
        raise SelectionError(
            f"{name}({data!r}): data are what `fit` takes, not text{near_misses(data, OPTIONS)}"
        )
    given = {key: value for key, value in options.items() if value != _DEFAULTS[key]}
    return Criterion(name, given, data, verbose)
