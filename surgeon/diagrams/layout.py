"""DOT to SVG, by whatever Graphviz there is.

Each renderer is a child process, pygraphviz too: Graphviz keeps global state, so that two
threads must not be in it at once; a crash or an endless layout would take Python with it.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from surgeon.errors import RenderError

_TIME_LIMITS = (20.0, 30.0, 60.0)  # seconds for each of the ways below
# What to tell Graphviz when it takes too long, each way cheaper and plainer than the one before.
_WAYS = (
    "",
    "nslimit=1; nslimit1=1; mclimit=0.2; splines=line;",
    "nslimit=0.1; nslimit1=0.1; mclimit=0.05; searchsize=5; splines=line;",
)
_CHILD = str(Path(__file__).with_name("graphviz_child.py"))
_IN_PYGRAPHVIZ = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode("utf-8"))
sys.stdout.buffer.write(graph.draw(format="svg", prog="dot"))
"""
_INSTALL = (
    "install a Graphviz with `pip install pygraphviz` (2.0 or newer brings its own) or "
    "`pip install graphviz-pure`; without one there is DOT: `drawing.dot`, `drawing.save('model.dot')`"
)


def lay_out(dot: str) -> bytes:
    """Return the SVG of a DOT text.

    A layout that takes too long is given up and tried again with cheaper options; a failing
    renderer gives way to the next.

    Raises:
        RenderError: If no Graphviz is installed, none of those that are can draw it, or even the
            cheapest layout takes longer than a minute.
    """
    failures = []
    for name, command in _renderers():
        try:
            done = _run_in_time(command, dot)
        except OSError as error:
            failures.append(f"{name}: {error}")
            continue
        if done is None:
            raise RenderError(
                f"{name} needs more than {_TIME_LIMITS[-1]:.0f} s for this graph; "
                "draw less: detail='overview'"
            )
        if done.returncode == 0 and done.stdout:
            return done.stdout
        words = done.stderr.decode(errors="replace").strip().splitlines()
        failures.append(f"{name}: {words[-1] if words else f'exit status {done.returncode}'}")
    reason = "; ".join(failures) or "no Graphviz found"
    raise RenderError(f"cannot draw the graph ({reason}); {_INSTALL}")


def _run_in_time(command: list[str], dot: str) -> subprocess.CompletedProcess[bytes] | None:
    """Run a renderer; return `None` if it did not come to an end in any way."""
    body, end, rest = dot.rpartition("}")
    for way, limit in zip(_WAYS, _TIME_LIMITS, strict=True):
        try:
            # Of two values for an attribute of the graph the later one counts.
            return subprocess.run(  # noqa: S603 - the command is one of those below, the graph goes in as data
                command,
                input=f"{body}{way}{end}{rest}".encode(),
                capture_output=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            continue
    return None


def _renderers() -> Iterator[tuple[str, list[str]]]:
    """Yield the commands that could draw, best first; each reads DOT and writes SVG."""
    found = importlib.util.find_spec("pygraphviz") if sys.executable else None
    if found is not None:
        for folder in found.submodule_search_locations or ():
            yield "pygraphviz", [sys.executable, "-I", "-S", _CHILD, folder]
        # Should its inside have changed: the way that it documents.
        yield "pygraphviz", [sys.executable, "-c", _IN_PYGRAPHVIZ, json.dumps(sys.path)]
    beside = Path(sys.executable or ".").parent
    for name in ("graphviz-pure", "dot"):
        if program := shutil.which(name) or shutil.which(name, path=str(beside)):
            yield name, [program, "-Tsvg"]
