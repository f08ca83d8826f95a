"""The same folder by threads, by worker processes and by Ray: the same bytes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from surgeon.checkpoint import convert, engine
from surgeon.checkpoint.bytepath.store import PlanStore
from surgeon.checkpoint.per_file import Job
from surgeon.checkpoint.ray_engine import RayEngine, _batches
from surgeon.checkpoint.sources import find_sources
from surgeon.checkpoint.worker_process import WorkerLostError
from surgeon.errors import CheckpointError
from tests.checkpoint.archives import archive, hdf5, members, write
from tests.checkpoint.plans import copying_plan, keep_plan

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).with_name("fake_worker.py")

SCRIPT = """
import sys
from surgeon.checkpoint import conversion, convert
conversion.worker_command = lambda: [sys.executable, sys.argv[4]]
report = convert(sys.argv[1], [], sys.argv[2], plans=sys.argv[3], workers=2, engine="ray")
print(report.to_json())
assert not {"keras", "tensorflow", "h5py"} & set(sys.modules)
again = convert(sys.argv[1], [], sys.argv[2], plans=sys.argv[3], workers=2, engine="ray")
assert len(again.skipped) == len(report.converted), again
"""


def fill(folder: Path) -> None:
    """Write files of two architectures, one of them with a plan, and two bad ones."""
    for number in range(9):
        content = {**members(), "model.weights.h5": hdf5(200_000, seed=number)}
        write(folder / f"{number}.keras", archive(content))
    write(folder / "other.keras")
    write(folder / "cut.keras", archive()[:-20])
    write(folder / "broken.keras", archive({**members(), "model.weights.h5": hdf5(4096)}))


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.keras")}


@pytest.mark.slow
def test_threads_and_ray_give_the_same_bytes(tmp_path, fake_workers):
    folder = tmp_path / "in"
    fill(folder)
    plans = keep_plan(folder / "0.keras", tmp_path / "plans")
    report = convert(folder, [], tmp_path / "one", plans=plans)
    convert(folder, [], tmp_path / "threads", plans=plans, workers=3)
    command = [sys.executable, "-c", SCRIPT, folder, tmp_path / "ray", plans, FAKE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = outputs(tmp_path / "one")
    assert len(expected) == 10
    assert [Path(failure.source).name for failure in report.failed] == ["broken.keras", "cut.keras"]
    assert '"converted": 10' in done.stdout
    assert outputs(tmp_path / "threads") == expected
    assert outputs(tmp_path / "ray") == expected
    assert not list((tmp_path / "ray" / ".surgeon").glob("tmp/*"))


def test_without_ray_the_error_says_what_to_install(tmp_path, monkeypatch):
    write(tmp_path / "in" / "a.keras")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CheckpointError, match=r"pip install 'surgeon-keras\[ray\]'"):
        convert(tmp_path / "in", [], tmp_path / "out", engine="ray")
    assert not list((tmp_path / "out").glob("*.keras"))


def test_an_engine_that_there_is_not(tmp_path):
    with pytest.raises(CheckpointError, match="engine='threads': there are 'local' and 'ray'"):
        convert(tmp_path, [], tmp_path / "out", engine="threads")  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "workers", "tasks"), [(1, 8, 1), (10, 2, 10), (80, 2, 8), (10_000, 2, 50)])
def test_files_are_grouped_into_tasks(tmp_path, count, workers, tasks):
    source = find_sources(write(tmp_path / "a.keras"), tmp_path / "out")[0]
    jobs = [Job(source, tmp_path, tmp_path, number) for number in range(count)]
    batches = _batches(jobs, workers)
    assert len(batches) == tasks
    assert [job for batch in batches for job in batch] == jobs
    assert list(RayEngine([], {}, workers).run([], lambda job, ask: pytest.fail("no job"))) == []


def test_a_store_of_plans_is_one_in_each_process(tmp_path):
    source = write(tmp_path / "a.keras")
    store, plan = PlanStore(tmp_path / "plans"), copying_plan(source)
    twin = pickle.loads(pickle.dumps(store))
    assert pickle.loads(pickle.dumps(store)) is twin
    assert twin.plans(plan.key) == []
    store.add(plan)
    # What another process adds is found.
    assert twin.plans(plan.key) == [plan]
    with store.lock(plan.key):
        assert list((tmp_path / "plans").glob("*.lock"))


def test_a_worker_is_replaced_after_so_many_files(monkeypatch):
    """What Keras never gives back does not add up; one that died is replaced at once."""
    monkeypatch.setattr(engine, "FILES_PER_WORKER", 2)
    happened: list[str] = []

    class Worker:
        def __init__(self) -> None:
            happened.append("start")

        def ask(self, request: dict[str, Any], **_: Any) -> dict[str, Any]:
            if "die" in request:
                raise WorkerLostError("crash", "died")
            happened.append("ask")
            return {}

        def close(self) -> None:
            happened.append("close")

    seat: Any = engine.Seat(cast("Any", Worker))
    for _ in range(3):
        seat.ask({}, 1, None)
    with pytest.raises(WorkerLostError):
        seat.ask({"die": True}, 1, None)
    seat.close()
    seat.ask({}, 1, None)
    seat.close()
    assert happened == ["start", "ask", "ask", "close", "start", "ask", "start", "ask", "close"]
