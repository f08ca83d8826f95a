"""Rules on their way from the caller to the worker processes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
from collections.abc import Sequence
from typing import Any

import cloudpickle

from surgeon.errors import RuleError
from surgeon.rules import Rule, as_rules, load_rules, rules_to_data


def read_rules(rules: Any) -> tuple[Rule, ...]:
    """Return rules as a tuple; a path is read as a rule file.

    Raises:
        RuleError: If something is not a rule.
        RuleFileError: If the rule file is wrong.
    """
    return load_rules(rules) if isinstance(rules, str | os.PathLike) else as_rules(rules)


def pack_rules(rules: Sequence[Rule]) -> bytes:
    """Return rules as bytes that a worker process can read.

    Raises:
        RuleError: If a rule holds something that cannot leave this process.
    """
    return _pack(tuple(rules))


def unpack_rules(packed: bytes) -> tuple[Rule, ...]:
    """Inverse of `pack_rules`, for bytes that this program's own parent process has packed."""
    rules: tuple[Rule, ...] = cloudpickle.loads(packed)
    return rules


def digest_rules(rules: Sequence[Rule]) -> str:
    """Return a digest that differs when the rules do, and not with the line that they were written on.

    Rules that are data are the same in every program; rules with Python code in them at least in every run
    of one program.

    Raises:
        RuleError: If a rule holds something that cannot leave this process.
    """
    digest = hashlib.sha256()
    for rule in rules:
        try:
            text = json.dumps(_in_order(rules_to_data([rule])), sort_keys=True).encode()
        except RuleError:
            text = _pack(dataclasses.replace(rule, origin=""))
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()


def _in_order(data: Any) -> Any:
    """Return data in which the order of a chain, whose keys are layers one after another, is not lost."""
    if isinstance(data, list):
        return [_in_order(one) for one in data]
    if not isinstance(data, dict):
        return data
    inner = {key: _in_order(value) for key, value in data.items()}
    if isinstance(inner.get("chain"), dict):
        inner["chain"] = list(inner["chain"].items())
    return inner


def _pack(value: Any) -> bytes:
    try:
        return bytes(cloudpickle.dumps(value))
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise RuleError(
            f"these rules cannot be sent to a worker process: {error}; let functions in them refer to "
            "plain values and modules only, or use a rule file"
        ) from error
