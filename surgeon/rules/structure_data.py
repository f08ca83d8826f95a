"""Rules that change the structure as JSON data, in the words of rule files, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from surgeon.errors import RuleError
from surgeon.rules import structure
from surgeon.rules.adapters import LoraRule, lora
from surgeon.rules.described import FOREIGN, LayerSpec, LayerSpecs
from surgeon.rules.replacement import StructureRule
from surgeon.rules.replacement import replace as replace_rule
from surgeon.select import Pattern, Selector
from surgeon.select.cursor import Cursor, shown
from surgeon.select.pattern_data import read_target, target_to_data

Maker = Callable[[Any, dict[str, Any]], StructureRule | LoraRule]


@dataclass(frozen=True)
class Form:
    """What a verb looks like in a rule file.

    Attributes:
        what: What it does, in a sentence.
        make: Returns the rule for a selector and the values of the keys.
        needs: Keys that must be there.
        may: Keys that may be there.
        one_of: Those of which one must be there, and no more.
    """

    what: str
    make: Maker
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()


def _replace(selector: Any, given: dict[str, Any]) -> StructureRule:
    keep = given.pop("keep", [])
    if isinstance(keep, int):
        raise RuleError(f"replace keeps settings, as in keep: [units], not {keep}")
    specs = LayerSpecs(tuple(replace(spec, keep=tuple(keep)) for spec in given.pop("with").specs))
    return replace_rule(selector, specs, **given)


def _with_keys(verb: Any) -> Maker:
    return lambda selector, given: verb(selector, **given)


def _inserting(verb: Any) -> Maker:
    return lambda selector, given: verb(selector, given.pop("layer"), **given)


FORMS: dict[str, Form] = {
    "replace": Form("Put other layers in the place of some.", _replace, ("with",), ("keep", "scope")),
    "insert_before": Form(
        "Insert layers before others.",
        _inserting(structure.insert_before),
        ("layer",),
        ("argument", "scope"),
    ),
    "insert_after": Form(
        "Insert layers after others.", _inserting(structure.insert_after), ("layer",), ("output", "scope")
    ),
    "remove": Form("Remove layers.", _with_keys(structure.remove), (), ("keep", "any_shape", "scope")),
    "configure": Form(
        "Change settings of layers.",
        lambda selector, given: structure.configure(selector, **given["set"]),
        ("set",),
    ),
    "rename": Form(
        "Give a layer another name.",
        lambda selector, given: structure.rename(selector, given["to"]),
        ("to",),
    ),
    "rewire": Form(
        "Let layers read another tensor.",
        lambda selector, given: structure.rewire(selector, given.pop("source"), **given),
        ("source",),
        ("argument", "scope"),
    ),
    "duplicate": Form(
        "Call a copy of a layer on its output.", _with_keys(structure.duplicate), (), ("times",)
    ),
    "share": Form("Let layers be the first of them.", _with_keys(structure.share)),
    "unshare": Form("Give each call a layer of its own.", _with_keys(structure.unshare)),
    "inline": Form("Take nested models apart.", _with_keys(structure.inline)),
    "change_input": Form(
        "Give the model an input of another shape.",
        lambda selector, given: structure.change_input(given.pop("shape"), selector=selector, **given),
        ("shape",),
        ("channels",),
    ),
    "prune": Form(
        "Remove channels or attention heads for real.",
        _with_keys(structure.prune),
        may=("channels", "heads"),
        one_of=("channels", "heads"),
    ),
    "lora": Form("Add low-rank adapters.", _with_keys(lora), ("rank",), ("alpha",)),
}
"""The verbs of rule files that change the structure."""

BLOCKS = ("replace", "remove")
"""Those of them that take a pattern."""

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "keep": ((list, int), "a list of settings, or, for remove, which of the inputs goes on"),
    "scope": ((str,), "layer or call"),
    "argument": ((int,), "a number"),
    "output": ((int,), "a number"),
    "any_shape": ((bool,), "true or false"),
    "set": ((dict,), "a mapping of settings"),
    "to": ((str,), "text"),
    "source": ((str,), "text: the path of a layer"),
    "times": ((int,), "a number"),
    "shape": ((list,), "a list of sizes"),
    "channels": ((str, float, list), "a word, a fraction or a list of positions"),
    "heads": ((float, list), "a fraction or a list of positions"),
    "rank": ((int,), "a number"),
    "alpha": ((int, float), "a number"),
}


def read_structure(cursor: Cursor, verb: str, origin: str) -> StructureRule | LoraRule:
    """Return the rule at a place in data.

    Raises:
        RuleError: If the data is wrong; says where, and names near misses.
    """
    form = FORMS[verb]
    keys = cursor.keys(f"a rule that says {verb}", (verb, *form.needs, *form.may))
    selector = _target(cursor.at(verb), verb)
    missing = [key for key in form.needs if key not in keys]
    if missing:
        raise cursor.fail(f"{verb} needs {missing[0]!r} beside it, as in {_example(missing[0])}", key=verb)
    given = {key: _value(cursor.at(key), key) for key in keys if key != verb}
    with cursor.located():
        made = form.make(selector, given)
        if isinstance(made, StructureRule):
            return replace(made, origin=origin, is_data=True)
        return replace(made, origin=origin)


def _target(cursor: Cursor, verb: str) -> Selector | Pattern:
    target = read_target(cursor)
    if isinstance(target, Pattern) and verb not in BLOCKS:
        raise cursor.fail(f"{verb} takes a selector, not a pattern: {' and '.join(BLOCKS)} take one")
    return target


def _value(cursor: Cursor, key: str) -> Any:
    if key in ("with", "layer"):
        return _layers(cursor)
    if key == "set":
        _check_settings(cursor)
    kinds, words = _TYPES[key]
    is_flag = isinstance(cursor.value, bool)
    if not isinstance(cursor.value, kinds) or (is_flag and bool not in kinds):
        raise cursor.fail(f"{key!r} is {words}, not {shown(cursor.value)}")
    if key == "keep" and isinstance(cursor.value, list):
        return [entry.text("a setting") for entry in cursor.entries("'keep'")]
    return cursor.value


def _layers(cursor: Cursor) -> LayerSpecs:
    many = cursor.entries("layers") if isinstance(cursor.value, list) else [cursor]
    return LayerSpecs(tuple(_layer(one) for one in many))


def _layer(cursor: Cursor) -> LayerSpec:
    if isinstance(cursor.value, str):
        return LayerSpec(cursor.value)
    names = cursor.keys("a layer", None)
    settings = cursor.value[names[0]]
    if len(names) > 1 or not (settings is None or isinstance(settings, dict)):
        raise cursor.fail(f"a layer is its class and its settings: {_example('layer')}")
    _check_settings(cursor.at(names[0]))
    return LayerSpec(names[0], settings or {})


def _check_settings(cursor: Cursor) -> None:
    """Check that settings name nothing that Keras would import from elsewhere: a rule file is data.

    Raises:
        RuleError: If they do.
    """
    if isinstance(cursor.value, dict):
        module = cursor.value.get("module", "keras")
        named = str(cursor.value.get("class_name", ""))
        if str(module).split(".")[0] != "keras" or named in FOREIGN:
            raise cursor.fail(f"a rule file holds settings of Keras's own, not {named or module!r}")
        for key in cursor.value:
            _check_settings(cursor.at(key))
    elif isinstance(cursor.value, list):
        for index in range(len(cursor.value)):
            _check_settings(cursor.at(index))


def _example(key: str) -> str:
    value = {"set": "{rate: 0.5}", "shape": "[64, 64, 20]", "channels": "0.3", "rank": "4"}.get(key, "name")
    return f"{key}: {'{Dropout: {rate: 0.5}}' if key in ('with', 'layer') else value}"


def structure_to_data(rule: StructureRule | LoraRule) -> dict[str, Any]:
    """Return JSON data for a rule; `read_structure` reads it.

    Raises:
        RuleError: If the rule holds Python code.
    """
    if isinstance(rule, LoraRule):
        extra = {} if rule.alpha is None else {"alpha": rule.alpha}
        return {"lora": rule.selector.to_data(), "rank": rule.rank, **extra}
    form = FORMS.get(rule.verb)
    if form is None or _is_code(rule):
        raise RuleError("it is Python code: keep it in a script")
    data: dict[str, Any] = {rule.verb: target_to_data(rule.selector)}
    if isinstance(rule.make, LayerSpecs):
        specs = [{spec.class_name: dict(spec.settings)} for spec in rule.make.specs]
        data["with" if rule.verb == "replace" else "layer"] = specs if len(specs) > 1 else specs[0]
        if rule.make.specs[0].keep:
            data["keep"] = list(rule.make.specs[0].keep)
    elif rule.make is not None:
        data["to" if rule.verb == "rename" else "source"] = rule.make
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in rule.options.items()}
    data |= {"set": options} if rule.verb == "configure" else options
    if rule.scope != "layer":
        data["scope"] = rule.scope
    unknown = [key for key in data if key not in (rule.verb, *form.needs, *form.may)]
    if unknown or any(isinstance(value, slice) for value in options.values()):
        what = ", ".join(unknown) or "a slice of channels"
        raise RuleError(f"a rule file has no word for {what}: keep it in a script")
    return data


def _is_code(rule: StructureRule) -> bool:
    return rule.make is not None and not isinstance(rule.make, LayerSpecs | str)
