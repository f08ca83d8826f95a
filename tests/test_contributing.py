"""The guide for contributors says what is true: its first rule passes its test, and its files are there."""

from __future__ import annotations

import doctest
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^    ```python\n(.*?)^    ```$", re.MULTILINE | re.DOTALL)


def test_the_first_rule_passes_its_test(monkeypatch):
    rule, test = (textwrap.dedent(text) for text in BLOCK.findall(GUIDE))
    module = ModuleType("surgeon.library.embeddings")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(rule, "<embeddings.py>", "exec"), vars(module))
    assert doctest.testmod(module).failed == 0
    names: dict[str, object] = {}
    exec(compile(test, "test_embeddings.py", "exec"), names)
    (run,) = (value for name, value in names.items() if name.startswith("test_"))
    assert callable(run)
    run()


def test_the_files_to_copy_from_are_there():
    named = re.findall(r"`((?:surgeon|tests)/[\w/]+(?:\.\w+|/))`", GUIDE)
    assert len(named) > 15
    new = {"surgeon/library/embeddings.py", "tests/library/test_embeddings.py"}
    assert [path for path in named if path not in new and not (ROOT / path).exists()] == []
