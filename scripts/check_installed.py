"""Checks an installed Surgeon, away from its clone: `python check_installed.py VERSION`.

Typed, whole, light, able to operate on a model, and to draw it with no other program on the machine.
"""

from __future__ import annotations

import importlib.metadata
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HELP_SECONDS = 0.2
FILES = ("py.typed", "reporting/page.html", "reporting/page.css", "reporting/page.js")

# Draws a model in each format, twice; run where there is no PATH and nothing else in the environment.
DRAW = """
import sys
from pathlib import Path
import keras
import surgeon as sg

x = image = keras.Input((8, 8, 3), name="image")
inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv")], name="inner")
x = keras.layers.Flatten(name="flat")(inner(x))
outputs = [keras.layers.Dense(2, name=name)(x) for name in ("left", "right")]
model = keras.Model(image, outputs, name="pictured")
plan = sg.plan(model, [sg.freeze("inner/conv"), sg.train("left", kernel=sg.channels([0]))])
tuned = plan.apply(model)
for run in ("one", "two"):
    folder = Path(sys.argv[1], run)
    folder.mkdir(parents=True)
    for suffix in ("dot", "svg", "png", "pdf"):
        sg.diagram(tuned, folder / f"model.{suffix}")
        plan.diagram(folder / f"change.{suffix}")
    sg.report(model, tuned, folder / "report.html", plan=plan)
"""
BEGINNINGS = {
    ".dot": b"digraph",
    ".svg": b"<svg",
    ".png": b"\x89PNG",
    ".pdf": b"%PDF",
    ".html": b"<!doctype html>",
}


def cpu_seconds(*command: str | Path) -> float:
    """Return the processor time that a command takes, the least of five runs."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def main(version: str) -> None:
    """Check it, and say what was measured.

    Raises:
        SystemExit: With what is wrong.
    """
    import surgeon

    found = importlib.metadata.version("surgeon-keras")
    if (found, surgeon.__version__) != (version, version):
        sys.exit(f"the version is {found} and {surgeon.__version__}, not {version}")
    heavy = {"keras", "tensorflow"} & set(sys.modules)
    if heavy:
        sys.exit(f"import surgeon imports {', '.join(sorted(heavy))}")
    package = Path(surgeon.__file__).parent
    missing = [name for name in FILES if not (package / name).is_file()]
    if missing:
        sys.exit(f"not in the wheel: {', '.join(missing)}")
    program = Path(sys.executable).with_name("surgeon")
    seconds = cpu_seconds(program, "--help")
    print(f"surgeon --help takes {seconds:.2f} s of processor time")
    if seconds > HELP_SECONDS:
        sys.exit(f"that is more than {HELP_SECONDS} s")
    for name in surgeon.__all__:
        getattr(surgeon, name)
    operate(program)
    draw()


def draw() -> None:
    """Draw in every format on an empty PATH: two runs in each of two processes give the same bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = []
        for seed in ("1", "2"):
            subprocess.run(
                [sys.executable, "-c", DRAW, folder / seed],
                check=True,
                env={"PATH": "", "PYTHONHASHSEED": seed, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            runs += sorted((folder / seed).iterdir())
        first = {path.name: path.read_bytes() for path in runs[0].iterdir()}
        for file, data in first.items():
            beginning = BEGINNINGS[Path(file).suffix]
            if not data.startswith(beginning) or len(data) < 1000:
                sys.exit(f"{file} begins with {data[:20]!r} and has {len(data)} bytes")
        for run in runs[1:]:
            differing = [file for file, data in first.items() if (run / file).read_bytes() != data]
            if differing:
                sys.exit(f"drawn again, {', '.join(differing)} differ")
        print(f"{len(first)} pictures and pages on an empty PATH, each {len(runs)} times the same bytes")


def operate(program: Path) -> None:
    """Rewrite a model by the command line and draw it."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "a.keras")
        (folder / "rules.yaml").write_text("rules:\n- freeze: head\n  weights: [kernel]\n", encoding="utf-8")
        command: list[str | Path] = [program, "rewrite", folder / "a.keras", "--rules", folder / "rules.yaml"]
        command += ["-o", folder / "b.keras", "--diagram", folder / "b.svg"]
        subprocess.run(command, check=True)
        if "<svg" not in (folder / "b.svg").read_text(encoding="utf-8"):
            sys.exit("surgeon rewrite --diagram drew nothing")


if __name__ == "__main__":
    main(*sys.argv[1:])
