"""What is true only while a layer's `call` runs: its weights stay assembled, its state still.

Kept per thread, because `tf.distribute` runs each replica of a step in a thread of its own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class _Running(threading.local):
    def __init__(self) -> None:
        self.assembled: dict[int, Any] = {}
        self.layers: Counter[int] = Counter()
        self.inside: Counter[int] = Counter()


_running = _Running()


@contextmanager
def running(layer: Any, variables: Iterable[Any], inside: Iterable[Any] = ()) -> Iterator[None]:
    """Mark a layer's `call` as running and assemble its partial weights once.

    Args:
        layer: The layer.
        variables: The weights that it reads whole.
        inside: All partial weights in it and in the layers inside of it.

    Once matters in recurrent layers, which read a weight in every step, and the reading must
    happen outside of the loop: inside, the tensor would belong to the loop's own graph.
    """
    mine = [variable for variable in variables if id(variable) not in _running.assembled]
    _running.layers[id(layer)] += 1
    called = [id(variable) for variable in inside]
    _running.inside.update(called)
    try:
        for variable in mine:
            _running.assembled[id(variable)] = variable.assembled()
        yield
    finally:
        _running.layers[id(layer)] -= 1
        _running.inside.subtract(called)
        for variable in mine:
            _running.assembled.pop(id(variable), None)


def is_running(layer: Any) -> bool:
    """Whether the layer's `call` runs in this thread."""
    return _running.layers[id(layer)] > 0


def assembled(variable: Any) -> Any | None:
    """Return the tensor assembled for the running call, or `None`."""
    return _running.assembled.get(id(variable))


def reassemble(variable: Any) -> None:
    """Let the rest of the running call read the variable as it is now."""
    if id(variable) in _running.assembled:
        _running.assembled[id(variable)] = variable.assembled()


def is_assembled(variable: Any) -> bool:
    """Whether a running call reads this variable."""
    return id(variable) in _running.assembled


def is_in_call(variable: Any) -> bool:
    """Whether the layer of a variable is being called, or one around it."""
    return _running.inside[id(variable)] > 0
