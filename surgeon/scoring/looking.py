"""What goes wrong where a model looks at data, in a sentence.

What Keras says of data that do not fit is a traceback of its own in a text, and different on each backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from surgeon.errors import SelectionError
from surgeon.scoring.batches import Batch

_LONGEST = 300


class Looked:
    """Batches, with a note of which one is being looked at.

    So an error in reading the data, which is a matter of the data, is not taken for one of the model.

    Attributes:
        batch: The batch that is being looked at; `None` while the next one is read.
    """

    def __init__(self, found: Iterator[Batch]) -> None:
        self.found = found
        self.batch: Batch | None = None

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.found:
            self.batch = batch
            yield batch
            self.batch = None


def refusal(error: Exception, name: str, model: Any, data: Any, batch: Batch) -> SelectionError:
    """Return an error that says why a model cannot look at a batch.

    Args:
        error: What Keras raised.
        name: Name of the criterion.
        model: The model.
        data: Where the batch is from.
        batch: The batch.
    """
    needs_targets = name != "activation"
    if not isinstance(data, tuple) and _is_single(model, batch):
        if hasattr(data, "batch"):
            return SelectionError(f"{name}: the dataset yields single samples: add .batch(32)")
        return SelectionError(f"{name}: the data yield single samples, and batches of them are needed")
    if needs_targets and batch[1] is None:
        return SelectionError(
            f"{name}: these data have no targets, and the loss needs them: give (x, y), a tuple, or a "
            "dataset of such"
        )
    if _fits(model, batch[1], 1) and not _fits(model, batch[0], 1):
        return SelectionError(f"{name}: the targets have the shape of the inputs: give (x, y), not (y, x)")
    what = "trained on" if needs_targets else "called on"
    return SelectionError(f"{name}: the model cannot be {what} these data: {gist(str(error))}")


def gist(text: str) -> str:
    """Return what matters of a message of Keras: what it prints in bold, or else its last line.

    Example:
        >>> gist("in user code: ... ValueError: None values not supported.")
        'None values not supported.'
    """
    text = re.split(r"Arguments received by|\n\s*\[\[", text)[0]  # what follows says where, not what
    bold = re.findall(r"\x1b\[1m(.*?)\x1b\[0m", text, re.DOTALL)
    line = " ".join(bold[-1].split()) if bold else (text.strip().splitlines() or [""])[-1].strip()
    line = re.sub(r"^.*\b\w+Error: ", "", line)
    # Values of an array stand in the middle, what was expected stands at the end.
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 3]} ... {line[-_LONGEST // 2 :]}"


def _is_single(model: Any, batch: Batch) -> bool:
    """Return whether a batch is a sample without the axis of a batch."""
    return any(not np.shape(leaf) for leaf in keras.tree.flatten(batch[0])) or _fits(model, batch[0], 0)


def _fits(model: Any, arrays: Any, axes: int) -> bool:
    """Return whether arrays have the shapes of a model's inputs behind their first so many axes."""
    shapes = [np.shape(leaf)[axes:] for leaf in keras.tree.flatten(arrays) if np.ndim(leaf) >= axes]
    inputs = [tuple(one.shape)[1:] for one in model.inputs]
    return len(shapes) == len(inputs) and all(
        len(shape) == len(of) and all(want in (None, size) for want, size in zip(of, shape, strict=True))
        for shape, of in zip(shapes, inputs, strict=True)
    )
