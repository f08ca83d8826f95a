"""A version of Keras that lacks a private name is refused when the names are imported."""

from __future__ import annotations

import subprocess
import sys

import keras
import pytest

from surgeon._keras import names
from surgeon.errors import UnsupportedKerasError


def test_every_name_that_is_used_is_there():
    names.check()
    assert all(hasattr(names, name) for name in names.__all__)


def test_a_method_that_is_gone_is_named():
    with pytest.raises(UnsupportedKerasError, match=r"Keras .*, which has no Layer\._gone\. Install"):
        names.check(((keras.layers.Layer, ("_gone", "call")),))


@pytest.mark.parametrize(
    "removed",
    ["keras.src.ops.node.Node", "keras.src.utils.tracking.Tracker", "keras.src.models.functional.Functional"],
)
def test_a_name_that_is_gone_is_said_at_import_and_not_in_the_middle_of_surgery(removed):
    module, _, name = removed.rpartition(".")
    script = (
        f"import keras, importlib; module = importlib.import_module({module!r}); del module.{name}\n"
        "try:\n    import surgeon._keras\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("UnsupportedKerasError Surgeon knows Keras 3.12 to 3.15")
    assert name in done.stdout
