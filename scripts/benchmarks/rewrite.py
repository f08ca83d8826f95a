"""How long a rewrite takes, against `clone_model` and `set_weights`.

    scripts/benchmark rewrite                    all of it
    scripts/benchmark rewrite applications       one group: applications, hub, chains, wide, large
    scripts/benchmark rewrite applications --only MobileNetV2 ResNet50

Processor time, in turns, in one process; figures are medians of the ratios of each turn.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
from _measuring import interleaved, ratio, table, write_json
from _page import summary, write_page

import surgeon as sg

GROUPS = ("applications", "hub", "chains", "wide", "large")
SMALL_HUB = {"vocabulary_size": 64, "hidden_dim": 16, "intermediate_dim": 32, "max_sequence_length": 16}


def clone(model: Any) -> Any:
    """Copy a model as people do."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def measure(model: Any, repeats: int) -> dict[str, Any]:
    """Return the figures of one model: layers, seconds of a clone, and how many times faster a rewrite is."""
    seconds = interleaved(
        {
            "clone": lambda: clone(model),
            "copy": lambda: sg.rewrite(model, [], validate="structure"),
            "share": lambda: sg.rewrite(model, [], validate="structure", share=True),
        },
        repeats,
    )
    return {
        "layers": len(model.layers),
        "clone ms": 1e3 * statistics.median(seconds["clone"]),
        "copy ms": 1e3 * statistics.median(seconds["copy"]),
        "share ms": 1e3 * statistics.median(seconds["share"]),
        "copy ×": ratio(seconds["clone"], seconds["copy"]),
        "share ×": ratio(seconds["clone"], seconds["share"]),
        "copy µs a layer": 1e6 * statistics.median(seconds["copy"]) / len(model.layers),
        "share µs a layer": 1e6 * statistics.median(seconds["share"]) / len(model.layers),
    }


def applications(only: list[str] | None) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield every constructor of keras.applications."""
    for name, make in sorted(vars(keras.applications).items()):
        if callable(make) and name[0].isupper() and (not only or name in only):
            yield name, lambda make=make: make(weights=None)


def hub(only: list[str] | None) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield transformer backbones of keras_hub, small in width and 12 layers deep."""
    from keras_hub import models

    heads = {"num_layers": 12, "num_heads": 2, **SMALL_HUB}
    decoder = {k: v for k, v in heads.items() if k not in ("num_heads", "max_sequence_length")}
    query = {**decoder, "num_query_heads": 2, "num_key_value_heads": 1}
    gemma = {**query, "head_dim": 8}
    electra = {**heads, "embedding_dim": 8, "vocab_size": heads["vocabulary_size"]}
    del electra["vocabulary_size"]
    kinds: dict[str, dict[str, Any]] = {
        "BertBackbone": heads, "RobertaBackbone": heads, "DistilBertBackbone": heads, "GPT2Backbone": heads,
        "OPTBackbone": heads, "BloomBackbone": {**decoder, "num_heads": 2}, "MistralBackbone": query,
        "GemmaBackbone": gemma,
        "AlbertBackbone": {**heads, "embedding_dim": 8}, "ElectraBackbone": electra,
    }  # fmt: skip
    for name, arguments in kinds.items():
        if not only or name in only:
            yield name, lambda name=name, arguments=arguments: getattr(models, name)(**arguments)


def chain(length: int) -> Any:
    """Return a chain of Dense layers."""
    vector = x = keras.Input((8,))
    for number in range(length):
        x = keras.layers.Dense(8, name=f"dense_{number}")(x)
    return keras.Model(vector, x)


def wide(width: int) -> Any:
    """Return a model of many branches side by side."""
    vector = keras.Input((8,))
    branches = [keras.layers.Dense(8, name=f"branch_{number}")(vector) for number in range(width)]
    return keras.Model(vector, keras.layers.Add(name="sum")(branches))


def large() -> Any:
    """Return 1 GB of weights: Dense layers of 4096 × 4096."""
    return keras.Sequential(
        [keras.Input((4096,)), *(keras.layers.Dense(4096, name=f"d{n}") for n in range(16))],
        name="one_gigabyte",
    )


def models(group: str, only: list[str] | None) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield name and maker of each model of a group."""
    if group == "applications":
        yield from applications(only)
    elif group == "hub":
        yield from hub(only)
    elif group == "chains":
        yield from ((f"chain of {n}", lambda n=n: chain(n)) for n in (10, 100, 1000, 5000))
    elif group == "wide":
        yield from ((f"{n} branches", lambda n=n: wide(n)) for n in (100, 1000))
    else:
        yield "1 GB of Dense", large


PEAK = """
import sys
sys.path.insert(0, "scripts/benchmarks")
import resource, rewrite
import surgeon as sg
model = rewrite.large()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
copy = sg.rewrite(model, [], validate="structure")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peak_of_a_copy() -> float:
    """Return how much the peak memory of a process grows by a copy of 1 GB of weights, as a share of it."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024 / (16 * (4096 * 4096 + 4096) * 4)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", default=[], help=", ".join(GROUPS))
    parser.add_argument("--only", nargs="+", help="names of models")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path, help="folder of the documentation, for speed.md and speed.svg")
    options = parser.parse_args()
    # Surgeon asks for the depth that it needs; `clone_model` fails on 1,000 layers in a row without this.
    sys.setrecursionlimit(100_000)
    groups: dict[str, list[dict[str, Any]]] = {}
    for group in options.groups or GROUPS:
        mine = []
        for name, make in models(group, options.only):
            keras.backend.clear_session()
            mine.append({"model": name, **measure(make(), options.repeats)})
            print(f"{name} …", file=sys.stderr)
        print(f"\n{group}\n\n{table(mine)}\n\n{summary(mine)}")
        if group == "large":
            print(f"peak memory of a copy: {1 + peak_of_a_copy():.2f} of the source's weights")
        groups[group] = mine
    print(f"\npeak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
    write_json(options.json, [{"group": group, **row} for group, rows in groups.items() for row in rows])
    if options.page:
        write_page(options.page, groups)


if __name__ == "__main__":
    main()
