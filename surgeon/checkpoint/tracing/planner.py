"""From one file and the rules to the byte plan of its architecture."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.bytepath.executor import execute, fits, learning_rate
from surgeon.checkpoint.bytepath.joined import Joined
from surgeon.checkpoint.bytepath.opened import Opened, opened
from surgeon.checkpoint.bytepath.plan import Array, BytePlan, crc_of_rest, digest_rest, gaps_between
from surgeon.checkpoint.bytepath.recipe import Recipe
from surgeon.checkpoint.hdf5 import Dataset, Layout, Window, read_layout
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.tracing.slots import config_parts, same_config
from surgeon.checkpoint.tracing.solving import ComputesError, Run, solve
from surgeon.checkpoint.tracing.synthetic import write_synthetic
from surgeon.checkpoint.zip_check import CONFIG
from surgeon.errors import SurgeonError
from surgeon.planning import Plan, check_plan
from surgeon.planning.asks import WeightSite, weight_sites
from surgeon.roundtrip import to_graph
from surgeon.validation import Validate


@dataclass(frozen=True)
class Converted:
    """A model before and after, and the plan in between."""

    before: Any
    after: Any
    plan: Plan


_CHUNK = 1 << 24

Convert = Callable[[Path, Path, Validate], Converted]
"""`(source, output, what to validate)`: converts a file with Keras, with a plan made for it alone."""


def trace(source: Path, kind: Kind, output: Path, real: Converted, key: str, convert: Convert) -> BytePlan:
    """Make the byte plan of a file's architecture.

    Args:
        source: A checkpoint that the front door has let pass.
        kind: Its kind.
        output: What Keras made of it.
        real: How.
        key: What files of this architecture have in common.
        convert: Converts further files.

    Raises:
        ComputesError: If there is none, with the reason.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=output.parent)))
        found = stack.enter_context(_open(source, kind))
        arrays = _arrays(found)
        gaps = gaps_between(arrays, found.size)
        bare = kind.is_bare
        end = Kind.WEIGHTS if bare else Kind.KERAS
        recipes: tuple[Recipe, ...] = ()
        runs, configs = [], []
        for seed in (0, 1):
            made_up, made = folder / str(seed) / source.name, folder / f"out{seed}{end.value}"
            made_up.parent.mkdir()
            write_synthetic(source, kind, found.start, arrays, seed, made_up)
            done = convert(made_up, made, "structure")
            opened_up = stack.enter_context(_open(made_up, kind))
            result = stack.enter_context(_open(made, end))
            if not seed:
                recipes = _recipes(done, arrays, _bytes(opened_up))
            runs.append(_run(opened_up, result, arrays, recipes))
            configs.append(result.config)
            del done
        result = stack.enter_context(_open(output, end))
        runs.append(_run(found, result, arrays, recipes))
        configs.append(result.config)
        parsed = [json.loads(config) for config in configs if config]
        plan = BytePlan(
            key=key,
            size=found.size,
            rest=digest_rest(found.read, gaps),
            rest_crc=crc_of_rest(found.read, gaps, found.size),
            arrays=arrays,
            recipes=recipes,
            pieces=solve(runs, arrays, recipes),
            output_size=result.size,
            config=None if bare else config_parts(parsed, runs, arrays, recipes),
            assets=_assets(found, result),
            version=keras.__version__,
        )
        plan = BytePlan.from_json(plan.to_json())
        _verify(plan, found, result, folder / f"check{end.value}", real)
        return plan


def same_weights(one: Path, other: Path, kind: Kind) -> bool:
    """Whether the weights of two checkpoints are the same bytes.

    Raises:
        ComputesError: If they do not lie in the file as they are.
    """
    with _open(one, kind) as left, _open(other, kind) as right:
        return _same(left, right)


def _same(one: Opened, other: Opened) -> bool:
    return one.size == other.size and all(
        one.read(at, min(_CHUNK, one.size - at)) == other.read(at, min(_CHUNK, one.size - at))
        for at in range(0, one.size, _CHUNK)
    )


def _open(path: Path, kind: Kind) -> Any:
    stack = ExitStack()
    _, found = stack.enter_context(opened(path, kind, None, DEFAULT))
    if found is None:
        stack.close()
        raise ComputesError("its members are deflated")
    return _Held(stack, found)


class _Held:
    """Keeps an opened file open until the block ends."""

    def __init__(self, stack: ExitStack, found: Opened) -> None:
        self._stack, self._found = stack, found

    def __enter__(self) -> Opened:
        return self._found

    def __exit__(self, *exception: object) -> None:
        self._stack.close()


def _descriptor(found: Opened) -> int:
    return cast("int", found.file.descriptor)  # what is traced is a file of this machine


def _layout(found: Opened) -> Layout:
    if isinstance(found.file, Joined):
        return _layout_of_shards(found.file)
    with os.fdopen(os.dup(_descriptor(found)), "rb") as file:
        return read_layout(Window(file, found.start, found.size, DEFAULT.description), DEFAULT)


def _layout_of_shards(joined: Joined) -> Layout:
    datasets: dict[str, Dataset] = {}
    for descriptor, start, size in zip(joined.descriptors, joined.starts, joined.sizes, strict=True):
        with os.fdopen(os.dup(descriptor), "rb") as file:
            layout = read_layout(Window(file, 0, size, DEFAULT.description), DEFAULT)
        for path, array in layout.datasets.items():
            offset = None if array.offset is None else start + array.offset
            datasets[path] = replace(array, offset=offset)
    return Layout(datasets)


def _arrays(found: Opened) -> tuple[Array, ...]:
    layout = _layout(found)
    loose = [d.path for d in layout.datasets.values() if d.offset is None and d.size]
    if loose:
        raise ComputesError(f"{loose[0]} is not one range of bytes (chunked or compressed)")
    return tuple(
        Array(d.path, d.shape, d.dtype, d.offset) for d in layout.datasets.values() if d.offset is not None
    )


def _bytes(found: Opened) -> np.ndarray[Any, Any]:
    if isinstance(found.file, Joined):
        return np.frombuffer(found.read(0, found.size), np.uint8)
    page = found.start // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    skipped = found.start - page
    mapped = mmap.mmap(_descriptor(found), skipped + found.size, access=mmap.ACCESS_READ, offset=page)
    return np.frombuffer(mapped, np.uint8, found.size, skipped)


def _run(source: Opened, output: Opened, arrays: Sequence[Array], recipes: Sequence[Recipe]) -> Run:
    data = _bytes(source)
    by_path = {array.path: array for array in arrays}
    parts = tuple(
        recipe.part(lambda recipe=recipe: _values(data, by_path[str(recipe.source)]))  # type: ignore[misc]
        for recipe in recipes
    )
    return Run(data, _bytes(output), _layout(output), parts, learning_rate(source.config))


def _values(data: np.ndarray[Any, Any], array: Array) -> np.ndarray[Any, Any]:
    raw = data[array.offset : array.offset + array.size].tobytes()
    return np.frombuffer(raw, array.dtype).reshape(array.shape)


def _recipes(done: Converted, arrays: Sequence[Array], data: np.ndarray[Any, Any]) -> tuple[Recipe, ...]:
    """Return what is asked of each weight, and in which array its values lie."""
    sites = weight_sites(to_graph(done.before))
    places: dict[bytes, list[str]] = {}
    for array in arrays:
        places.setdefault(_digest(_values(data, array)), []).append(array.path)
    return tuple(_recipe(site, done.plan, places) for path, site in sites.items() if path in done.plan.asks)


def _recipe(site: WeightSite, plan: Plan, places: dict[bytes, list[str]]) -> Recipe:
    for ask in plan.asks[site.path]:
        selection = ask.selection
        if ask.pool or (selection is not None and (selection.looks_back or selection.criterion is not None)):
            raise ComputesError(f"{ask.rule} looks at more than the values of {site.path}")
    asks = tuple((ask.verb, ask.selection) for ask in plan.asks[site.path])
    recipe = Recipe(site.path, site.axes, site.current, asks)
    if not recipe.needs_values:
        return recipe
    found = places.get(_digest(keras.ops.convert_to_numpy(site.variable)), [])
    if len(found) != 1:
        raise ComputesError(f"the values of {site.path} are not in one array of the file")
    return Recipe(site.path, site.axes, site.current, asks, found[0])


def _digest(values: np.ndarray[Any, Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(values).view(np.uint8).data, digest_size=16).digest()


def _assets(source: Opened, output: Opened) -> tuple[str, ...]:
    names = [name for name in output.members if name.startswith("assets/")]
    for name in names:
        one, other = source.members.get(name), output.members[name]
        if one is None or (one.size, one.crc) != (other.size, other.crc):
            raise ComputesError(f"{name} is not as it was in the source")
    return tuple(names)


def _verify(plan: BytePlan, source: Opened, expected: Opened, path: Path, real: Converted) -> None:
    """Carry the plan out and compare with what Keras made: bytes, config, and outputs once loaded."""
    if not fits(plan, source):
        raise ComputesError("the plan does not fit its own file")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        execute(plan, source, descriptor)
    except (ValueError, SurgeonError) as error:
        raise ComputesError(f"the plan cannot be carried out: {error}") from error
    finally:
        os.close(descriptor)
    with _open(path, Kind.WEIGHTS if plan.config is None else Kind.KERAS) as made:
        if not _same(made, expected):
            raise ComputesError("carried out, the plan gives other bytes than Keras")
        if plan.config is None:
            return
        if (
            not same_config(json.loads(made.config), json.loads(expected.config))
            or CONFIG not in made.members
        ):
            raise ComputesError("carried out, the plan gives another config than Keras")
    keras.utils.clear_session()  # the names that Keras makes up are those of a process of its own
    loaded = keras.saving.load_model(path, safe_mode=True)
    check_plan(real.plan, real.before, loaded)
