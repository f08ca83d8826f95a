"""Patterns from JSON data, in the words of rule files, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from surgeon.errors import RuleError, near_misses
from surgeon.select.cursor import Cursor, shown
from surgeon.select.pattern import (
    AnyTensor,
    Either,
    Operand,
    Pattern,
    PatternNode,
    any_tensor,
    chain,
    either,
    node,
    optional,
    pattern,
)
from surgeon.select.selector import Selector
from surgeon.select.selector_data import read_selector

_NODE_KEYS = ("node", "selector", "reads", "commutative", "optional")


def read_target(cursor: Cursor) -> Selector | Pattern:
    """Return the selector or pattern at a place in data.

    Raises:
        RuleError: If the data is wrong; says where, and names near misses.
    """
    value = cursor.value if isinstance(cursor.value, dict) else {}
    if "chain" in value:
        cursor.keys("a chain", ("chain",))
        return _read_chain(cursor.at("chain"))
    if "pattern" in value:
        keys = cursor.keys("a pattern", ("pattern", "exclusive"))
        exclusive = _flag(cursor, "exclusive") if "exclusive" in keys else True
        known: dict[str, PatternNode] = {}
        outputs = [_read_node(one, known) for one in cursor.at("pattern").entries("'pattern'")]
        with cursor.located():
            return pattern(*outputs, exclusive=exclusive)
    return read_selector(cursor)


def _read_chain(cursor: Cursor) -> Pattern:
    names = cursor.keys("a chain", None)
    links = {name: _link(cursor.at(name)) for name in names}
    with cursor.located():
        return chain(**links)


def _link(cursor: Cursor) -> Selector | PatternNode:
    if isinstance(cursor.value, dict) and "optional" in cursor.value:
        cursor.keys("an optional layer", ("optional",))
        return optional(read_selector(cursor.at("optional")))
    return read_selector(cursor)


def _read_operand(cursor: Cursor, known: dict[str, PatternNode]) -> Operand:
    value = cursor.value if isinstance(cursor.value, dict) else {}
    if "any_tensor" in value:
        cursor.keys("a tensor from anywhere", ("any_tensor",))
        label = cursor.at("any_tensor")
        return any_tensor("" if label.value is None else label.text("the name of a tensor"))
    if "either" in value:
        cursor.keys("a choice", ("either",))
        return either(*(_read_operand(one, known) for one in cursor.at("either").entries("'either'")))
    return _read_node(cursor, known)


def _read_node(cursor: Cursor, known: dict[str, PatternNode]) -> PatternNode:
    if not isinstance(cursor.value, dict) or "node" not in cursor.value:
        raise cursor.fail(
            "what a pattern is made of says node, with its name and selector, any_tensor or either; "
            f"this is {shown(cursor.value)}"
        )
    keys = cursor.keys("a node of a pattern", _NODE_KEYS)
    label = cursor.at("node").text("the name of a node")
    if keys == ("node",):
        if label not in known:
            raise cursor.fail(
                f"no node before this one is called {label!r}{near_misses(label, known)}: it needs a selector"
            )
        return known[label]
    if "selector" not in keys:
        raise cursor.fail(f"the node {label!r} needs a selector", key="node")
    selector = read_selector(cursor.at("selector"))
    reads = (
        [_read_operand(one, known) for one in cursor.at("reads").entries("'reads'")]
        if "reads" in keys
        else []
    )
    flags = {key: _flag(cursor, key) for key in ("commutative", "optional") if key in keys}
    with cursor.located():
        made = node(label, selector, commutative=flags.get("commutative", False))
        made = replace(made(*reads) if reads else made, is_optional=flags.get("optional", False))
    known.setdefault(label, made)
    return made


def _flag(cursor: Cursor, key: str) -> bool:
    value = cursor.value[key]
    if not isinstance(value, bool):
        raise cursor.fail(f"{key!r} is true or false, not {shown(value)}", key=key)
    return value


def target_to_data(target: Selector | Pattern) -> Any:
    """Return JSON data for a selector or pattern; `read_target` reads it.

    Raises:
        RuleError: If it holds Python code.
    """
    if not isinstance(target, Pattern):
        return target.to_data()
    if target.conditions:
        raise RuleError("its pattern has a condition, which is Python code: keep it in a script")
    links = _links(target)
    if links:
        return {
            "chain": {
                one.name: {"optional": one.selector.to_data()} if one.is_optional else one.selector.to_data()
                for one in links
            }
        }
    seen: dict[str, PatternNode] = {}
    data: dict[str, Any] = {"pattern": [_operand_to_data(one, seen) for one in target.outputs]}
    return data if target.exclusive else {**data, "exclusive": False}


def _links(target: Pattern) -> list[PatternNode]:
    """Return the nodes of a pattern that is a chain, in order; none if it is another one."""
    links: list[PatternNode] = []
    one: Operand | None = target.outputs[0]
    while one is not None:
        if not isinstance(one, PatternNode) or one.commutative or len(one.reads or [0]) != 1:
            return []
        links.insert(0, one)
        one = one.reads[0] if one.reads else None
    return links if len(target.outputs) == 1 and target.exclusive else []


def _operand_to_data(operand: Operand, seen: dict[str, PatternNode]) -> dict[str, Any]:
    if isinstance(operand, AnyTensor):
        return {"any_tensor": operand.name}
    if isinstance(operand, Either):
        return {"either": [_operand_to_data(one, seen) for one in operand.alternatives]}
    if seen.get(operand.name) == operand:  # alternatives may share a name, and be others
        return {"node": operand.name}
    data: dict[str, Any] = {"node": operand.name, "selector": operand.selector.to_data()}
    if operand.reads is not None:
        data["reads"] = [_operand_to_data(one, seen) for one in operand.reads]
    flags = {"commutative": operand.commutative, "optional": operand.is_optional}
    seen.setdefault(operand.name, operand)
    return data | {key: True for key, flag in flags.items() if flag}
