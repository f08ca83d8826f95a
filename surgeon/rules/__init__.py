"""Rules: what to do to which layers, as values; and rule files.

This floor knows nothing of Keras: a rule is checked when it is written, and carried out by a plan.
"""

from surgeon.rules.adapters import LoraRule, lora
from surgeon.rules.collection import Rule, as_rules
from surgeon.rules.data import rules_from_data, rules_to_data
from surgeon.rules.files import dump_rules, load_rules, rule_file_schema
from surgeon.rules.filled import Filled, filled
from surgeon.rules.repeating import Repeat, repeat
from surgeon.rules.replacement import ReplaceRule, StructureRule, replace
from surgeon.rules.structure import (
    change_input,
    configure,
    duplicate,
    inline,
    insert_after,
    insert_before,
    prune,
    remove,
    rename,
    rewire,
    rule,
    share,
    unshare,
    wrap,
)
from surgeon.rules.trainability import TrainabilityRule, freeze, train

__all__ = [
    "Filled",
    "LoraRule",
    "Repeat",
    "ReplaceRule",
    "Rule",
    "StructureRule",
    "TrainabilityRule",
    "as_rules",
    "change_input",
    "configure",
    "dump_rules",
    "duplicate",
    "filled",
    "freeze",
    "inline",
    "insert_after",
    "insert_before",
    "load_rules",
    "lora",
    "prune",
    "remove",
    "rename",
    "repeat",
    "replace",
    "rewire",
    "rule",
    "rule_file_schema",
    "rules_from_data",
    "rules_to_data",
    "share",
    "train",
    "unshare",
    "wrap",
]
