"""What holds of every file: small, of one idea, and of no one machine."""

from __future__ import annotations

import re
import subprocess
from statistics import median

import pytest

from tests.zoo import ROOT

CODE = sorted(
    [*(ROOT / "surgeon").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").rglob("*")]
)
HOMES = re.compile(r"/(home|root|work|Users)/\w+")
FILES = [path for path in CODE if path.is_file() and path.suffix in {"", ".py"}]


def lines(path):
    return path.read_text(encoding="utf-8").count("\n")


def test_files_are_small():
    assert len(FILES) > 300
    assert [str(path.relative_to(ROOT)) for path in FILES if lines(path) > 400] == []
    assert median(lines(path) for path in FILES if "surgeon" in path.relative_to(ROOT).parts) <= 130


def test_no_file_names_a_folder_of_someone():
    """Of what git knows: text only."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a clone: an unpacked sdist has no list of its files")
    wrong = []
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".js", ".css", ".html", ""}
            and path.is_file()
        ):
            found = HOMES.search(path.read_text(encoding="utf-8", errors="ignore"))
            wrong += [f"{name}: {found[0]}"] if found and path.name != "test_house.py" else []
    assert wrong == []
