"""How byte plans are found: what came where, and the cases in which nobody can tell."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest

from surgeon.checkpoint.bytepath.plan import Array
from surgeon.checkpoint.bytepath.recipe import Recipe
from surgeon.checkpoint.hdf5 import Dataset, Layout
from surgeon.checkpoint.tracing.naming import array_names
from surgeon.checkpoint.tracing.slots import config_parts
from surgeon.checkpoint.tracing.solving import ComputesError, Run, solve
from surgeon.checkpoint.tracing.synthetic import made_up
from surgeon.partial.part import Part
from surgeon.select import channels
from surgeon.select.axes import Axes

SHAPE = (3,)
ARRAYS = (Array("layers/d/vars/0", SHAPE, "<f4", 4), Array("layers/d/vars/1", SHAPE, "<f4", 16))


def float32(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def run(*out: bytes, source: tuple[bytes, ...], datasets: Any, rate: float = 0.5, **more: Any) -> Run:
    data = np.frombuffer(b"head" + b"".join(source), np.uint8)
    made = np.frombuffer(b"HEAD" + b"".join(out) + more.get("tail", b""), np.uint8)
    return Run(data, made, Layout({d.path: d for d in datasets}), more.get("parts", ()), rate)


def out_array(number: int = 0, path: str = "layers/d/vars/0") -> Dataset:
    return Dataset(path, SHAPE, "<f4", 12, 4 + 12 * number)


NUMBERS = ((float32(1, 2, 3), float32(4, 5, 6)), (float32(9, 8, 7), float32(6, 5, 4)))


def two_runs(make: Any, **more: Any) -> list[Run]:
    """Return runs of which each output array is made by `make(number of the run, arrays of the source)`."""
    datasets = more.pop("datasets", (out_array(),))
    return [
        run(
            *make(n, source),
            source=source,
            datasets=datasets,
            **{k: v[n] if isinstance(v, list) else v for k, v in more.items()},
        )
        for n, source in enumerate(NUMBERS)
    ]


def test_arrays_that_change_places_are_found_by_their_values():
    datasets = (out_array(0, "a"), out_array(1, "b"), Dataset("none", (0,), "<f4", 0, None))
    runs = two_runs(lambda _, source: source[::-1], datasets=datasets, tail=b"end")
    pieces = solve(runs, ARRAYS, ())
    assert [(p.kind, p.array, p.data) for p in pieces] == [
        ("raw", "", b"HEAD"),
        ("copy", "layers/d/vars/1", b""),
        ("copy", "layers/d/vars/0", b""),
        ("raw", "", b"end"),
    ]


def test_what_cannot_be_told_is_refused_with_its_reason():
    first = two_runs(lambda _, source: source[:1])
    longer = replace(first[1], output=np.append(first[1].output, np.uint8(0)))
    with pytest.raises(ComputesError, match="the layout of the output depends on the numbers"):
        solve([first[0], longer], ARRAYS, ())
    loose = (Dataset("packed", SHAPE, "<f4", 12, None),)
    with pytest.raises(ComputesError, match="packed of the output is not one range of bytes"):
        solve(two_runs(lambda _, source: source[:1], datasets=loose), ARRAYS, ())
    with pytest.raises(ComputesError, match="bytes after the arrays depend on the numbers"):
        solve(two_runs(lambda _, source: source[:1], tail=[b"a", b"b"]), ARRAYS, ())
    twins = (ARRAYS[0], replace(ARRAYS[0], path="layers/e/vars/0"))
    with pytest.raises(ComputesError, match="may be any of layers/d/vars/0, layers/e/vars/0"):
        solve(first, twins, ())
    with pytest.raises(ComputesError, match="layers/d/vars/0 is no part of the source: a rule or a layer"):
        solve(two_runs(lambda n, _: [float32(n, n, n)]), ARRAYS, ())


def moving(path: str = "d/kernel", source: str = "layers/d/vars/0") -> Recipe:
    largest = channels(1, by="magnitude")
    return Recipe(path, Axes(0, None), Part.all(SHAPE), (("train", largest),), source)


STATE = Dataset("layers/d/surgeon_state/vars/kernel", (1,), "<i4", 4, 16)
BEFORE = Dataset("layers/d/vars/0", SHAPE, "<f4", 12, 4)
PARTS = [(Part.slices(SHAPE, 0, [2]),), (Part.slices(SHAPE, 0, [0]),)]


def test_positions_that_train_are_those_of_a_recipe_or_nobodys():
    runs = two_runs(
        lambda n, source: [source[0], np.array([2 - 2 * n], "<i4").tobytes()],
        datasets=(BEFORE, STATE),
        parts=PARTS,
    )
    assert [(p.kind, p.recipe) for p in solve(runs, ARRAYS, (moving(),))][1:] == [("copy", -1), ("index", 0)]
    others = two_runs(
        lambda n, source: [source[0], np.array([n], "<i4").tobytes()], datasets=(BEFORE, STATE), parts=PARTS
    )
    with pytest.raises(ComputesError, match="surgeon_state/vars/kernel is no part of the source"):
        solve(others, ARRAYS, (moving(),))


def parts_of(configs: Any, runs: Any, recipes: Any = ()) -> Any:
    scalar = Array("optimizer/vars/1", (), "<f4", 4)
    return config_parts(configs, runs, (scalar,), recipes)


def test_numbers_of_a_config_are_those_of_a_scalar_or_the_rate_or_nobodys():
    runs = two_runs(lambda *_: [], datasets=(), rate=[0.5, 0.25])
    said = [{"learning_rate": 1.0, "name": "a"}, {"learning_rate": 9.0, "name": "a"}]
    assert ("scalar", "optimizer/vars/1") in parts_of(said, runs)
    assert ("rate", "") in parts_of([{"learning_rate": 0.5}, {"learning_rate": 0.25}], runs)
    assert parts_of([{"learning_rate": 3.0}] * 2, runs) == (json.dumps({"learning_rate": 3.0}),)
    for one, other, key in (
        ({"momentum": 0.5}, {"momentum": 0.75}, "momentum"),
        ({"momentum": 0}, {"momentum": 0.75}, "momentum"),
        ({"name": "a"}, {"name": "b"}, "name"),
        ({"units": [1]}, {"units": [1, 2]}, "units"),
    ):
        with pytest.raises(ComputesError, match=f"'{key}' in the config depends on the numbers"):
            parts_of([one, other], runs)


def partial(part: Any) -> dict[str, Any]:
    return {"layer": {"config": {"name": "d"}}, "partial": {"weights": {"kernel": part}}}


def test_what_trains_according_to_a_config_is_that_of_one_recipe():
    runs = two_runs(lambda *_: [], datasets=(), parts=PARTS)
    said = [partial(part.to_config()) for (part,) in PARTS]
    assert ("bits", 0) in parts_of(said, runs, (moving(),))
    with pytest.raises(ComputesError, match="what trains of d/kernel depends on the numbers in an unknown"):
        parts_of(said, runs, (moving("e/bias"),))


@pytest.mark.parametrize("dtype", ["|b1", "|V1", "|V2", "<f2", "<f4", "<f8", "|i1", "|u1", "<i4", "<u8"])
def test_numbers_that_are_made_up_are_finite_and_differ_between_files(dtype):
    array = Array("a", (50, 4), dtype, 0)
    files = [made_up(array, 3, seed) for seed in (0, 1)]
    assert files[0] != files[1]
    assert files[0] != made_up(array, 4, 0)
    known = {"|V1": ml_dtypes.float8_e4m3fn, "|V2": ml_dtypes.bfloat16}.get(dtype, dtype)
    for data in files:
        values = np.frombuffer(data, known)
        assert values.size == 200
        assert np.isfinite(values.astype("float64")).all()
    if dtype == "|V1":
        assert np.isfinite(np.frombuffer(files[0], ml_dtypes.float8_e5m2).astype("float32")).all()


class Odd(keras.layers.Layer):
    """Weights that cannot hold a number each."""

    def build(self, _: Any) -> None:
        self.flag = self.add_weight(shape=(5,), dtype="bool", trainable=False, name="flag")
        self.empty = self.add_weight(shape=(0, 2), name="empty")
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return x * self.gain

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["seen"] = np.full(4, 1000.0, "float32")  # no weight at all


def test_what_is_no_weight_of_the_model_gets_no_name(tmp_path):
    """An optimizer's arrays stand in the file, too, and some hold numbers that look like ours."""
    model = keras.Sequential([keras.Input((4,)), Odd(name="odd"), keras.layers.Dense(2, name="head")])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.variables[1].assign(3.0)
    for variable in model.optimizer.variables[2:]:
        variable.assign(variable * 0 + 2.0)
    names = array_names(model, tmp_path)
    assert sorted(names.values()) == ["head/bias", "head/kernel", "odd/gain"]
    assert all(path.startswith("layers/") for path in names)
