"""Rules: what to do to which layers, as values; and rule files.

This floor knows nothing of Keras: a rule is checked when it is written, and carried out by a plan.
"""

from surgeon.rules.collection import Rule, as_rules
from surgeon.rules.data import rules_from_data, rules_to_data
from surgeon.rules.files import dump_rules, load_rules, rule_file_schema
from surgeon.rules.replacement import ReplaceRule, replace
from surgeon.rules.trainability import TrainabilityRule, freeze, train

__all__ = [
    "ReplaceRule",
    "Rule",
    "TrainabilityRule",
    "as_rules",
    "dump_rules",
    "freeze",
    "load_rules",
    "replace",
    "rule_file_schema",
    "rules_from_data",
    "rules_to_data",
    "train",
]
