"""The public surface: its names, that importing it is light, and that each shows how it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import surgeon

KEPT = Path(__file__).with_name("public_names.txt")
NAMES = sorted(set(surgeon.__all__) - {"__version__"})


def test_names_come_and_go_on_purpose():
    kept = KEPT.read_text(encoding="utf-8").split()
    gone, new = sorted(set(kept) - {*surgeon.__all__}), sorted({*surgeon.__all__} - set(kept))
    assert not gone, f"users may import {gone}: deprecate a name before it goes (CONTRIBUTING.md)"
    assert not new, f"add {new} to {KEPT.name}, and a line to CHANGELOG.md"
    assert kept == sorted(kept)


def test_each_name_shows_how_it_is_used():
    without = [name for name in NAMES if ">>> " not in (getattr(surgeon, name).__doc__ or "")]
    assert not without, "these have no example in their docstrings"


def test_types_are_known_of_each_name_before_it_is_imported():
    source = Path(surgeon.__file__).read_text(encoding="utf-8").partition("if TYPE_CHECKING:")[2]
    typed = source.partition("_PUBLIC")[0]
    for name in NAMES:
        assert f" as {name}\n" in typed or f" {name} = " in typed or name == "SurgeonError", name


def test_what_is_not_there_says_so():
    with pytest.raises(AttributeError, match="no attribute 'thaw'"):
        _ = surgeon.thaw


@pytest.mark.parametrize("module", ["surgeon", "surgeon.cli.app"])
def test_importing_is_light(module):
    heavy = "{'keras', 'tensorflow', 'jax', 'torch', 'matplotlib', 'networkx', 'numpy', 'rich', 'wrapt'}"
    check = f"import sys, {module}; found = {heavy} & {{*sys.modules}}; sys.exit(', '.join(found))"
    done = subprocess.run([sys.executable, "-c", check], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    "imports",
    [
        "import surgeon, keras",
        "import keras, surgeon",
        # Libraries look whether Keras is there without importing it.
        "import surgeon, importlib.util; importlib.util.find_spec('keras'); import keras",
        "import surgeon, importlib; importlib.reload(surgeon); import keras",
    ],
)
def test_keras_opens_rewritten_models_whichever_comes_first(imports):
    known = "keras.saving.get_registered_object('surgeon>PartialDense')"
    check = f"import sys; {imports}; sys.exit({known} is None)"
    done = subprocess.run([sys.executable, "-c", check], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def _takers_of_models() -> dict[str, int]:
    """Return the functions whose first argument is a model, and how many they must be given."""
    found = {}
    for name in surgeon.__all__:
        public = getattr(surgeon, name)
        if not inspect.isfunction(public):
            continue
        parameters = list(inspect.signature(public).parameters.values())
        if parameters and parameters[0].name == "model":
            positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            found[name] = sum(p.default is p.empty and p.kind in positional for p in parameters)
    return found


@pytest.mark.parametrize(
    ("given", "next_step"),
    [("m.keras", r"load it first: keras\.saving\.load_model\('m\.keras'\)"), (None, "the model comes first")],
    ids=["a path", "a rule"],
)
@pytest.mark.parametrize(("name", "count"), _takers_of_models().items())
def test_what_is_no_model_says_what_to_do(name, count, given, next_step):
    first = surgeon.freeze("head") if given is None else given
    with pytest.raises(surgeon.SurgeonError, match=next_step):
        getattr(surgeon, name)(first, *["head"] * (count - 1))


def test_functions_that_take_models_are_found():
    assert {"rewrite", "restore", "split_compute", "load_delta", "seal"} <= set(_takers_of_models())
