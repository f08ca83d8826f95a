"""Checks an installed Surgeon, away from its clone: `python check_installed.py VERSION`.

Typed, whole, light, and able to operate on a model.
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
