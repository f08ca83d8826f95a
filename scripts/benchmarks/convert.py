"""What converting a checkpoint costs: the loop that people write, the byte path, a plain copy of the bytes.

    scripts/benchmark convert [--sizes small,medium,large,huge] [--rounds N] [--resume N]

All are measured in one run: processor time (user and system) and wall-clock time, medians. In
each round the ways to move bytes take turns; the loop has its own process, and its first file does not count.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from surgeon.checkpoint import convert
from surgeon.checkpoint.bytepath.mover import Moved, Mover
from surgeon.checkpoint.bytepath.store import PlanStore
from surgeon.checkpoint.conversion import common_key
from surgeon.checkpoint.sources import find_sources
from surgeon.rules import freeze

SIZES = {"small": "108 KB", "medium": "15 MB", "large": "244 MB", "huge": "1 GB"}

MAKE = """
import sys, keras
from keras import layers
kind, path = sys.argv[1:]
keras.utils.set_random_seed(0)
if kind == "small":
    stack = [layers.Dense(160, "relu"), layers.Dense(64, "relu"), layers.Dense(10)]
    model = keras.Sequential([keras.Input((64,)), *stack])
elif kind == "medium":
    model = keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3))
elif kind == "large":
    model = keras.applications.ResNet152(weights=None)
else:
    width = 5800
    model = keras.Sequential([keras.Input((width,)), *(layers.Dense(width, "relu") for _ in range(8))])
model.save(path)
"""

LOOP = """
import sys, time, keras
source, output, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
def frozen(layer):
    made = type(layer).from_config(layer.get_config())
    made.trainable = False
    return made
for _ in range(rounds + 1):  # the first one warms up
    cpu, wall = time.process_time(), time.perf_counter()
    model = keras.saving.load_model(source)
    clone = keras.models.clone_model(model, clone_function=frozen)
    clone.set_weights(model.get_weights())
    clone.save(output)
    keras.utils.clear_session()
    print(time.process_time() - cpu, time.perf_counter() - wall, flush=True)
"""


def python(script: str, *arguments: object) -> str:
    """Run a script in a fresh interpreter and return what it prints."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return processor and wall-clock seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(kind: str, rounds: int, folder: Path) -> None:
    """Measure one size of model and print a row for each way."""
    source, out = folder / f"{kind}.keras", folder / f"out-{kind}"
    python(MAKE, kind, source)
    rules = [freeze("*")]
    report = convert(source, rules, out)  # makes the plan
    if not report.converted or report.converted[0].how != "bytes":
        sys.exit(f"there is no plan: {report.to_json()}")
    found = find_sources(source, out)[0]
    target = folder / "target.keras"

    def mover(**options: bool) -> Callable[[], object]:
        moving = Mover(PlanStore(out / ".surgeon" / "plans"), common_key(rules), **options)
        return lambda: isinstance(moving.move(found, target), Moved) or sys.exit("no plan fits")

    ways = {
        "plain copy": lambda: shutil.copyfile(source, target),
        "byte path, verified": mover(sync=False),
        "byte path, trusted": mover(sync=False, trust=True),
        "plain copy, fsync": lambda: _copy_synced(source, target),
        "byte path, verified, fsync": mover(),
    }
    for action in ways.values():
        target.unlink(missing_ok=True)
        action()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    order = list(ways.items())
    for _ in range(max(rounds, 5)):
        # What wrote a gigabyte just before makes the next one slower: each takes each place.
        order = [*order[1:], order[0]]
        for name, action in order:
            target.unlink(missing_ok=True)
            times[name].append(timed(action))
    loop = [tuple(map(float, line.split())) for line in python(LOOP, source, target, rounds).splitlines()][1:]
    times["load, clone, copy, save"] = [(cpu, wall) for cpu, wall in loop]
    copy = statistics.median(cpu for cpu, _ in times["plain copy"])
    slow = statistics.median(cpu for cpu, _ in times["load, clone, copy, save"])
    print(f"\n{kind}: {source.stat().st_size:,} bytes; peak memory {before >> 10} MB")
    for name, measured in times.items():
        cpu, wall = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"  {name:28} cpu {cpu * 1e3:10.2f} ms  wall {wall * 1e3:10.2f} ms  "
              f"{cpu / copy:7.2f} × copy  1/{slow / cpu:,.0f} of the loop")  # fmt: skip
    shutil.rmtree(out)
    source.unlink()


def _copy_synced(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def measure_resume(count: int, folder: Path) -> None:
    """Measure a first run over many files, and a second one that finds all of them done."""
    sources = folder / "many"
    sources.mkdir()
    python(MAKE, "small", sources / "0.keras")
    for number in range(1, count):
        shutil.copyfile(sources / "0.keras", sources / f"{number}.keras")
    first = timed(lambda: convert(sources, [freeze("*")], folder / "out-many"))
    again = timed(lambda: convert(sources, [freeze("*")], folder / "out-many"))
    print(f"\nresume of {count:,} files: first run cpu {first[0]:.2f} s wall {first[1]:.2f} s, "
          f"second {again[0]:.2f} and {again[1]:.2f} s: "
          f"{again[0] / first[0]:.2%} and {again[1] / first[1]:.2%}")  # fmt: skip


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="small,medium", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--resume", type=int, default=0, help="number of files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind in filter(None, arguments.sizes.split(",")):
            measure(kind, arguments.rounds, Path(folder))
        if arguments.resume:
            measure_resume(arguments.resume, Path(folder))


if __name__ == "__main__":
    main()
