"""Every bad file is refused with its reason, quickly, in little memory, and without Keras or libhdf5."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from surgeon.checkpoint.front_door import admit
from surgeon.checkpoint.sources import Kind
from surgeon.errors import RefusedError
from tests.checkpoint.archives import hdf5, write
from tests.checkpoint.bad_inputs import bad_inputs
from tests.checkpoint.mutations import admitted_or_refused, mutate, seeds

ROOT = Path(__file__).resolve().parents[2]

CHECK = """
import json, resource, sys, time
from pathlib import Path
from surgeon.checkpoint.front_door import admit
from surgeon.checkpoint.sources import Kind
from surgeon.errors import RefusedError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

for path in sorted(Path(sys.argv[1]).iterdir()):
    begin, held = time.process_time(), peak()
    try:
        admit(path, Kind.of(path))
        reason = None
    except RefusedError as error:
        reason = str(error)
    seconds = time.process_time() - begin
    print(json.dumps([path.name, reason, seconds, peak() - held - 2 * path.stat().st_size]))
heavy = {"keras", "tensorflow", "h5py"} & set(sys.modules)
assert not heavy, heavy
"""


def test_every_bad_file_is_refused_within_its_budgets(tmp_path):
    expected = {}
    for bad in bad_inputs():
        assert bad.name not in expected
        (tmp_path / bad.name).write_bytes(bad.data)
        expected[bad.name] = bad.reason
    assert len(expected) > 80
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {name for name, *_ in rows} == set(expected)
    for name, reason, seconds, extra in rows:
        assert reason is not None, f"{name} was let in"
        assert any(text in reason for text in expected[name].split("|")), f"{name}: {reason}"
        assert seconds < 5, name
        assert extra < 200 << 20, name


def test_an_unreadable_file(tmp_path):
    path = write(tmp_path / "a.keras")
    path.chmod(0)
    if path.exists() and _can_read(path):
        pytest.skip("this user reads every file")
    with pytest.raises(RefusedError, match="cannot be opened: Permission denied"):
        admit(path, Kind.KERAS)


def _can_read(path: Path) -> bool:
    try:
        path.read_bytes()
    except PermissionError:
        return False
    return True


def test_any_cut_of_an_hdf5_file(tmp_path):
    data = hdf5()
    path = tmp_path / "a.weights.h5"
    for length in range(0, len(data), 37):
        path.write_bytes(data[:length])
        with pytest.raises(RefusedError):
            admit(path, Kind.WEIGHTS)


def test_no_mutation_crashes_a_reader(tmp_path):
    rng, originals = random.Random(1), seeds()
    for name, data in originals:
        (tmp_path / name).write_bytes(data)
        assert admitted_or_refused(tmp_path / name) == "admitted"
    found = set()
    for number in range(1500):
        name, data = originals[number % len(originals)]
        (tmp_path / name).write_bytes(mutate(data, rng))
        found.add(admitted_or_refused(tmp_path / name))
    assert found == {"admitted", "refused"}
