"""The model that bare weights belong to: an archive, or the JSON of a model, and nothing else."""

from __future__ import annotations

import json

import pytest

from surgeon.checkpoint.architecture import admit_architecture, read_config
from surgeon.checkpoint.budgets import Budgets
from surgeon.checkpoint.json_check import bounded_json
from surgeon.errors import RefusedError
from tests.checkpoint.archives import CONFIG, write


def test_an_architecture_is_known_again_whatever_objects_addresses_were(tmp_path):
    config = {**json.loads(CONFIG), "shared_object_id": 1}
    path = write(tmp_path / "a.json", json.dumps(config).encode())
    first = admit_architecture(path)
    assert admit_architecture(write(path, json.dumps({**config, "shared_object_id": 2}).encode())) == first
    assert admit_architecture(write(path, json.dumps({**config, "class_name": "X"}).encode())) != first
    assert admit_architecture(write(tmp_path / "a.keras")).startswith("sha256:")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.h5", b"{}", "an architecture is a .keras file, or a .json file as model.to_json"),
        ("a.json", b"[1]", "not the config of a model but a JSON list"),
        ("a.json", b"{", "a.json: not valid JSON"),
    ],
)
def test_what_is_no_architecture(tmp_path, name, data, reason):
    with pytest.raises(RefusedError, match=reason):
        read_config(write(tmp_path / name, data))
    with pytest.raises(RefusedError, match="an architecture is"):
        read_config(tmp_path / "none.json")


def test_json_has_a_budget():
    assert bounded_json(b"[1]", Budgets(json_size=3)) == [1]
    with pytest.raises(ValueError, match="JSON of 4 bytes, more than the 3 allowed"):
        bounded_json(b"[12]", Budgets(json_size=3))
