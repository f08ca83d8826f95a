"""An S3 server on loopback, and the same folder by every engine: the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from surgeon.checkpoint import Converted, convert, stores
from surgeon.errors import CheckpointError
from surgeon.rules import freeze, train
from surgeon.select import channels
from tests.checkpoint.archives import archive, write

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
RULES = [freeze("*"), train("head", kernel=channels(1, by="magnitude"))]

RAY = """
import sys
from surgeon.checkpoint import convert
from surgeon.rules import freeze, train
from surgeon.select import channels
rules = [freeze("*"), train("head", kernel=channels(1, by="magnitude"))]
source, out, plans, state = sys.argv[1:]
report = convert(source, rules, out, plans=plans, state=state or None, workers=2, engine="ray")
print(report.to_json())
assert not {"keras", "tensorflow", "h5py"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def s3():
    """An S3 server of this machine, with one bucket, that every process started meanwhile finds."""
    pytest.importorskip("s3fs", reason="pip install 'surgeon-keras[dev]'")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        store = s3fs.S3FileSystem(use_listings_cache=False)
        store.mkdir("bucket")
        yield store
    server.stop()


def save_models(folder: Path) -> None:
    """Save models of two architectures, and a file that is none."""
    folder.mkdir(parents=True)
    for number in range(5):
        keras.utils.set_random_seed(number)
        stack: list[Any] = [
            keras.Input((8,)),
            layers.Dense(300_000 // 8, name="body"),
            layers.Dense(3, name="head"),
        ]
        if number == 4:
            stack.insert(1, layers.Dense(8, name="neck"))
        model = keras.Sequential(stack, name="net")
        model.compile("adam", "mse")
        model.fit(keras.random.normal((4, 8)), keras.random.normal((4, 3)), verbose=0)
        model.save(folder / f"{number}.keras")
        keras.utils.clear_session()
    write(folder / "cut.keras", archive()[:-20])


def by_ray(source: object, out: object, plans: Path, state: object = "") -> dict[str, int]:
    command = [sys.executable, "-c", RAY, *map(str, (source, out, plans, state))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    totals: dict[str, int] = json.loads(done.stdout)["totals"]
    return totals


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.keras")}


def objects(store: Any, place: str) -> dict[str, bytes]:
    return {Path(name).name: store.cat_file(name) for name in store.find(place) if name.endswith(".keras")}


def contents(path: Path) -> dict[str, bytes]:
    """Return what an archive holds, without the date that it was saved at."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist() if name != "metadata.json"}


def test_threads_processes_ray_and_s3_give_the_same_bytes(tmp_path, s3):
    folder, plans = tmp_path / "in", tmp_path / "threads" / ".surgeon" / "plans"
    save_models(folder)
    threads = convert(folder, RULES, tmp_path / "threads", workers=3)
    assert [len(threads.converted), len(threads.failed)] == [5, 1]
    assert {done.how for done in threads.converted} == {"bytes"}
    expected = files(tmp_path / "threads")

    processes = convert(folder, RULES, tmp_path / "processes", workers=2, move_bytes=False)
    assert {done.how for done in processes.converted} == {"keras"}
    for name in expected:
        one, other = contents(tmp_path / "threads" / name), contents(tmp_path / "processes" / name)
        assert one["model.weights.h5"] == other["model.weights.h5"]
        assert one.keys() == other.keys()

    assert by_ray(folder, tmp_path / "ray", plans)["converted"] == 5
    assert files(tmp_path / "ray") == expected

    s3.put(f"{folder}/", "bucket/in/", recursive=True)
    # With plans of its own: Keras, too, gets what is on the store.
    from_s3 = convert("s3://bucket/in", RULES, "s3://bucket/out", state=tmp_path / "state", workers=2)
    assert [type(one) for one in from_s3.outcomes] == [type(one) for one in threads.outcomes], (
        from_s3.to_json()
    )
    assert objects(s3, "bucket/out") == expected
    again = convert("s3://bucket/in", RULES, "s3://bucket/out", state=tmp_path / "state")
    assert [len(again.skipped), len(again.failed)] == [5, 1]

    totals = by_ray("s3://bucket/in", "s3://bucket/ray", plans, tmp_path / "state2")
    assert totals == {"converted": 5, "skipped": 0, "failed": 1}
    assert objects(s3, "bucket/ray") == expected


def test_an_s3_server_is_asked_for_what_is_needed(tmp_path, s3):
    """A trusted source whose optimizer is left out: two thirds of it are not sent."""
    folder = tmp_path / "in"
    save_models(folder)
    convert(folder, RULES, tmp_path / "here", drop_optimizer=True, pattern="[0-3].keras")
    s3.put(f"{folder}/", "bucket/trusted/", recursive=True)
    plans = tmp_path / "here" / ".surgeon" / "plans"
    sent: list[int] = []
    cat = s3fs_cat(s3)
    with pytest.MonkeyPatch.context() as patch:

        async def counted(self: Any, *arguments: Any, **more: Any) -> bytes:
            data: bytes = await cat(self, *arguments, **more)
            sent.append(len(data))
            return data

        patch.setattr(type(s3), "_cat_file", counted)
        report = convert(
            "s3://bucket/trusted", RULES, tmp_path / "there", plans=plans, drop_optimizer=True,
            trust_source=True, pattern="[0-3].keras",
        )  # fmt: skip
    assert [type(done) for done in report.outcomes] == [Converted] * 4
    assert files(tmp_path / "there") == files(tmp_path / "here")
    size = sum((folder / f"{number}.keras").stat().st_size for number in range(4))
    assert sum(sent) < 0.6 * size


def s3fs_cat(store: Any) -> Any:
    return type(store)._cat_file


def test_two_runs_that_meet_do_not_overwrite(tmp_path, s3, fake_workers, monkeypatch):
    """Two machines, which know nothing of each other's state, convert into one place."""
    s3.pipe_file("bucket/race/in/a.keras", archive())
    one = convert("s3://bucket/race/in", [], "s3://bucket/race/out", state=tmp_path / "one")
    before = s3.info("bucket/race/out/a.keras")
    other = convert("s3://bucket/race/in", [], "s3://bucket/race/out", state=tmp_path / "other")
    assert len(one.converted) == 1
    assert [failure.cause for failure in other.failed] == ["exists"]
    assert s3.info("bucket/race/out/a.keras")["ETag"] == before["ETag"]
    # What s3fs asks the server for, should something appear after the last look.
    path = write(tmp_path / "b.keras")
    monkeypatch.setattr(type(s3), "exists", lambda *_: False)
    with pytest.raises(FileExistsError):
        stores.upload(path, "s3://bucket/race/out/a.keras", replace=False)


def test_a_server_that_is_not_there_is_an_error_that_says_so(tmp_path, s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    type(s3).clear_instance_cache()
    try:
        with pytest.raises(CheckpointError, match=r"cannot list s3://bucket/in: .*127\.0\.0\.1:9"):
            convert("s3://bucket/in", [], tmp_path / "out")
    finally:
        type(s3).clear_instance_cache()
    assert not list(tmp_path.iterdir())
