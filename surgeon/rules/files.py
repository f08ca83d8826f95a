"""Rule files: rules as YAML or JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from surgeon.errors import RuleError, RuleFileError, near_misses
from surgeon.rules.collection import Rule, as_rules
from surgeon.rules.data import RESERVED, read_rules, rules_to_data
from surgeon.rules.yaml_text import Lines, YamlTextError, read_yaml, write_yaml
from surgeon.select.cursor import Cursor

SUFFIXES = (".yaml", ".yml", ".json")
LARGEST = 4 * 2**20
"""Bytes of the largest rule file that is read."""

_KEYS = ("rules",)


def load_rules(path: str | os.PathLike[str]) -> tuple[Rule, ...]:
    r"""Read rules from a file.

    Args:
        path: A `.yaml`, `.yml` or `.json` file in UTF-8, with the one key `rules`. It is data:
            nothing in it is run.

    Raises:
        RuleFileError: If the file cannot be read, or something in it is wrong. The text starts
            with `file:line:` and names near misses.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "rules.yaml")
        ...     _ = file.write_text("rules:\n- freeze: 'block_*'\n  weights: [kernel]\n")
        ...     print(*load_rules(file))
        freeze('block_*', 'kernel')
    """
    file = os.fspath(path)
    text = _text(Path(path), file)
    try:
        data, lines = _read_json(text) if Path(path).suffix == ".json" else read_yaml(text)
    except YamlTextError as error:
        raise RuleFileError(f"{file}:{error.line}: {error}") from error
    root = Cursor(data, place=lambda trail: f"{file}:{lines.of(trail)}: ", error=RuleFileError)
    if isinstance(data, list) or (isinstance(data, dict) and data and not {"rules"} & set(data)):
        verb = next((key for key in data if key in RESERVED), None) if isinstance(data, dict) else None
        if isinstance(data, list) or verb:
            raise root.fail("a rule file starts with a line `rules:`, and its rules are the list below it")
    root.keys("a rule file", _KEYS)
    return read_rules(root.at("rules"))


def dump_rules(rules: Any) -> str:
    """Return rules as YAML; written to a file, `load_rules` reads it back equal.

    Args:
        rules: A rule, or a list of rules.

    Raises:
        RuleError: If there is no rule, or one of them holds Python code (`replace`, `where`).

    Example:
        >>> from surgeon.rules import freeze
        >>> print(dump_rules(freeze("block_*", "kernel")), end="")
        rules:
        - freeze: block_*
          weights: [kernel]
    """
    chosen: Sequence[Rule] = as_rules(rules)
    if not chosen:
        raise RuleError("there is no rule to write: a rule file has at least one")
    return write_yaml("rules", rules_to_data(chosen))


def rule_file_schema() -> dict[str, Any]:
    """Return the JSON Schema of rule files, for editors that complete and check as one types.

    It accepts all that `load_rules` accepts, and refuses most of what that refuses.

    Example:
        >>> rule_file_schema()["required"]
        ['rules']
    """
    # Only those who ask for the schema pay for the import of pydantic.
    from surgeon.rules.schema import RuleFile

    return RuleFile.model_json_schema()


def _text(path: Path, file: str) -> str:
    """Return what is in the file, refusing what is not a file of rules before it is read."""

    def refuse(message: str, line: int = 1, cause: Exception | None = None) -> NoReturn:
        raise RuleFileError(f"{file}:{line}: {message}") from cause

    if path.suffix not in SUFFIXES:
        refuse(f"a rule file ends in {', '.join(SUFFIXES)}, not in {path.suffix or 'nothing'!r}")
    try:
        if not path.exists():
            siblings = (one.name for one in path.parent.iterdir()) if path.parent.is_dir() else ()
            refuse(f"there is no such file{near_misses(path.name, siblings)}")
        if not path.is_file():
            refuse("this is not a regular file")
        if path.stat().st_size > LARGEST:
            refuse(f"larger than {LARGEST // 2**20} MiB: make large masks in Python, as elements(mask)")
        raw = path.read_bytes()
    except OSError as error:
        refuse(f"the file cannot be read: {error.strerror}", cause=error)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse("the file is not UTF-8 text", raw.count(b"\n", 0, error.start) + 1, error)


def _read_json(text: str) -> tuple[Any, Lines]:
    """Read JSON, of which YAML is a superset but for tabs."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise YamlTextError(error.lineno, f"not valid JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise YamlTextError(1, f"not readable JSON: {error}") from error
    # Valid JSON has tabs between its tokens only, never inside text.
    return read_yaml(text.replace("\t", " "))
