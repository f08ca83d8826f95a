"""Surgeon: model surgery for Keras 3.

Freeze and train whole layers, channels or single weights of models that are already trained.
Everything public is here, and is loaded when it is first used: `import surgeon` is light.

After `import surgeon`, `keras.models.load_model` opens the files of rewritten models.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from surgeon.errors import SurgeonError

if TYPE_CHECKING:
    from surgeon.checkpoint import convert as convert
    from surgeon.deltas import AppliedDelta as AppliedDelta
    from surgeon.deltas import load_delta as load_delta
    from surgeon.deltas import save_delta as save_delta
    from surgeon.differences import diff as diff
    from surgeon.errors import CheckpointError as CheckpointError
    from surgeon.errors import CopyError as CopyError
    from surgeon.errors import DeltaConflictError as DeltaConflictError
    from surgeon.errors import DeltaError as DeltaError
    from surgeon.errors import GraphError as GraphError
    from surgeon.errors import ModelError as ModelError
    from surgeon.errors import NoGraphError as NoGraphError
    from surgeon.errors import NoMatchError as NoMatchError
    from surgeon.errors import PlanError as PlanError
    from surgeon.errors import RefusedError as RefusedError
    from surgeon.errors import RenderError as RenderError
    from surgeon.errors import RuleError as RuleError
    from surgeon.errors import RuleFileError as RuleFileError
    from surgeon.errors import SealBrokenError as SealBrokenError
    from surgeon.errors import SelectionError as SelectionError
    from surgeon.errors import UnsupportedKerasError as UnsupportedKerasError
    from surgeon.errors import ValidationError as ValidationError
    from surgeon.errors import WeightNameError as WeightNameError
    from surgeon.exports import to_graphml as to_graphml
    from surgeon.exports import to_model_explorer as to_model_explorer
    from surgeon.exports import to_tensorboard as to_tensorboard
    from surgeon.graph import ModelGraph as ModelGraph
    from surgeon.library import add_l2 as add_l2
    from surgeon.library import bias_only as bias_only
    from surgeon.library import change_activation as change_activation
    from surgeon.library import dropout_after as dropout_after
    from surgeon.library import fold_batch_norm as fold_batch_norm
    from surgeon.library import freeze_batch_norm as freeze_batch_norm
    from surgeon.library import new_head as new_head
    from surgeon.library import strip_training_only as strip_training_only
    from surgeon.library import to_average_pooling as to_average_pooling
    from surgeon.library import to_group_norm as to_group_norm
    from surgeon.partial import Part as Part
    from surgeon.partial import PartialConv2D as PartialConv2D
    from surgeon.partial import PartialDense as PartialDense
    from surgeon.planning import Plan as Plan
    from surgeon.planning import adjust as adjust
    from surgeon.planning import diagram as diagram
    from surgeon.planning import extract as extract
    from surgeon.planning import find as find
    from surgeon.planning import join as join
    from surgeon.planning import make_plan
    from surgeon.planning import rewrite as rewrite
    from surgeon.planning import split as split
    from surgeon.planning import split_compute as split_compute
    from surgeon.plots import plot_depth as plot_depth
    from surgeon.plots import plot_drift as plot_drift
    from surgeon.plots import plot_mask as plot_mask
    from surgeon.plots import plot_training as plot_training
    from surgeon.reporting import Report as Report
    from surgeon.reporting import report as report
    from surgeon.roundtrip import restore as restore
    from surgeon.roundtrip import to_graph as to_graph
    from surgeon.roundtrip import to_model as to_model
    from surgeon.rules import change_input as change_input
    from surgeon.rules import configure as configure
    from surgeon.rules import dump_rules as dump_rules
    from surgeon.rules import duplicate as duplicate
    from surgeon.rules import filled as filled
    from surgeon.rules import freeze as freeze
    from surgeon.rules import inline as inline
    from surgeon.rules import insert_after as insert_after
    from surgeon.rules import insert_before as insert_before
    from surgeon.rules import load_rules as load_rules
    from surgeon.rules import lora as lora
    from surgeon.rules import prune as prune
    from surgeon.rules import remove as remove
    from surgeon.rules import rename as rename
    from surgeon.rules import repeat as repeat
    from surgeon.rules import replace as replace
    from surgeon.rules import rewire as rewire
    from surgeon.rules import rule as rule
    from surgeon.rules import rule_file_schema as rule_file_schema
    from surgeon.rules import share as share
    from surgeon.rules import train as train
    from surgeon.rules import unshare as unshare
    from surgeon.rules import wrap as wrap
    from surgeon.schedules import Phase as Phase
    from surgeon.schedules import Schedule as Schedule
    from surgeon.schedules import budget_growth as budget_growth
    from surgeon.schedules import gradual_unfreezing as gradual_unfreezing
    from surgeon.schedules import layer_sampling as layer_sampling
    from surgeon.schedules import regrowth as regrowth
    from surgeon.scoring import rank_layers as rank_layers
    from surgeon.sealing import Seal as Seal
    from surgeon.sealing import seal as seal
    from surgeon.select import activation as activation
    from surgeon.select import along as along
    from surgeon.select import any_tensor as any_tensor
    from surgeon.select import between as between
    from surgeon.select import blocks as blocks
    from surgeon.select import called as called
    from surgeon.select import chain as chain
    from surgeon.select import channels as channels
    from surgeon.select import consumers_of as consumers_of
    from surgeon.select import depth as depth
    from surgeon.select import downstream_of as downstream_of
    from surgeon.select import either as either
    from surgeon.select import elements as elements
    from surgeon.select import ends as ends
    from surgeon.select import every as every
    from surgeon.select import first as first
    from surgeon.select import fisher as fisher
    from surgeon.select import gradient as gradient
    from surgeon.select import has_weight as has_weight
    from surgeon.select import inside as inside
    from surgeon.select import isa as isa
    from surgeon.select import last as last
    from surgeon.select import movement as movement
    from surgeon.select import n_of_m as n_of_m
    from surgeon.select import name as name
    from surgeon.select import node as node
    from surgeon.select import nth as nth
    from surgeon.select import optional as optional
    from surgeon.select import pattern as pattern
    from surgeon.select import producers_of as producers_of
    from surgeon.select import relative_gradient_norm as relative_gradient_norm
    from surgeon.select import rows as rows
    from surgeon.select import snip as snip
    from surgeon.select import upstream_of as upstream_of
    from surgeon.select import where as where
    from surgeon.validation import validate as validate

    plan = make_plan

__version__ = "0.1.0"

_PUBLIC = {
    "AppliedDelta": "deltas:AppliedDelta",
    "CheckpointError": "errors:CheckpointError",
    "CopyError": "errors:CopyError",
    "DeltaConflictError": "errors:DeltaConflictError",
    "DeltaError": "errors:DeltaError",
    "GraphError": "errors:GraphError",
    "ModelError": "errors:ModelError",
    "ModelGraph": "graph:ModelGraph",
    "NoGraphError": "errors:NoGraphError",
    "NoMatchError": "errors:NoMatchError",
    "Part": "partial:Part",
    "PartialConv2D": "partial:PartialConv2D",
    "PartialDense": "partial:PartialDense",
    "Phase": "schedules:Phase",
    "Plan": "planning:Plan",
    "PlanError": "errors:PlanError",
    "RefusedError": "errors:RefusedError",
    "RenderError": "errors:RenderError",
    "Report": "reporting:Report",
    "RuleError": "errors:RuleError",
    "RuleFileError": "errors:RuleFileError",
    "Schedule": "schedules:Schedule",
    "Seal": "sealing:Seal",
    "SealBrokenError": "errors:SealBrokenError",
    "SelectionError": "errors:SelectionError",
    "UnsupportedKerasError": "errors:UnsupportedKerasError",
    "ValidationError": "errors:ValidationError",
    "WeightNameError": "errors:WeightNameError",
    "activation": "select:activation",
    "add_l2": "library:add_l2",
    "adjust": "planning:adjust",
    "along": "select:along",
    "any_tensor": "select:any_tensor",
    "between": "select:between",
    "bias_only": "library:bias_only",
    "blocks": "select:blocks",
    "budget_growth": "schedules:budget_growth",
    "called": "select:called",
    "chain": "select:chain",
    "change_activation": "library:change_activation",
    "change_input": "rules:change_input",
    "channels": "select:channels",
    "configure": "rules:configure",
    "consumers_of": "select:consumers_of",
    "convert": "checkpoint:convert",
    "depth": "select:depth",
    "diagram": "planning:diagram",
    "diff": "differences:diff",
    "downstream_of": "select:downstream_of",
    "dropout_after": "library:dropout_after",
    "dump_rules": "rules:dump_rules",
    "duplicate": "rules:duplicate",
    "either": "select:either",
    "elements": "select:elements",
    "ends": "select:ends",
    "every": "select:every",
    "extract": "planning:extract",
    "filled": "rules:filled",
    "find": "planning:find",
    "first": "select:first",
    "fisher": "select:fisher",
    "fold_batch_norm": "library:fold_batch_norm",
    "freeze": "rules:freeze",
    "freeze_batch_norm": "library:freeze_batch_norm",
    "gradient": "select:gradient",
    "gradual_unfreezing": "schedules:gradual_unfreezing",
    "has_weight": "select:has_weight",
    "inline": "rules:inline",
    "insert_after": "rules:insert_after",
    "insert_before": "rules:insert_before",
    "inside": "select:inside",
    "isa": "select:isa",
    "join": "planning:join",
    "last": "select:last",
    "layer_sampling": "schedules:layer_sampling",
    "load_delta": "deltas:load_delta",
    "load_rules": "rules:load_rules",
    "lora": "rules:lora",
    "movement": "select:movement",
    "n_of_m": "select:n_of_m",
    "name": "select:name",
    "new_head": "library:new_head",
    "node": "select:node",
    "nth": "select:nth",
    "optional": "select:optional",
    "pattern": "select:pattern",
    "plan": "planning:make_plan",
    "plot_depth": "plots:plot_depth",
    "plot_drift": "plots:plot_drift",
    "plot_mask": "plots:plot_mask",
    "plot_training": "plots:plot_training",
    "producers_of": "select:producers_of",
    "prune": "rules:prune",
    "rank_layers": "scoring:rank_layers",
    "regrowth": "schedules:regrowth",
    "relative_gradient_norm": "select:relative_gradient_norm",
    "remove": "rules:remove",
    "rename": "rules:rename",
    "repeat": "rules:repeat",
    "replace": "rules:replace",
    "report": "reporting:report",
    "restore": "roundtrip:restore",
    "rewire": "rules:rewire",
    "rewrite": "planning:rewrite",
    "rows": "select:rows",
    "rule": "rules:rule",
    "rule_file_schema": "rules:rule_file_schema",
    "save_delta": "deltas:save_delta",
    "seal": "sealing:seal",
    "share": "rules:share",
    "snip": "select:snip",
    "split": "planning:split",
    "split_compute": "planning:split_compute",
    "strip_training_only": "library:strip_training_only",
    "to_average_pooling": "library:to_average_pooling",
    "to_graph": "roundtrip:to_graph",
    "to_graphml": "exports:to_graphml",
    "to_group_norm": "library:to_group_norm",
    "to_model": "roundtrip:to_model",
    "to_model_explorer": "exports:to_model_explorer",
    "to_tensorboard": "exports:to_tensorboard",
    "train": "rules:train",
    "unshare": "rules:unshare",
    "upstream_of": "select:upstream_of",
    "validate": "validation:validate",
    "where": "select:where",
    "wrap": "rules:wrap",
}

__all__ = ["SurgeonError", "__version__", *_PUBLIC]  # noqa: PLE0604 - the names are strings


def __getattr__(attribute: str) -> Any:
    if attribute not in _PUBLIC:
        raise AttributeError(f"module 'surgeon' has no attribute {attribute!r}")
    module, _, found = _PUBLIC[attribute].partition(":")
    value = globals()[attribute] = getattr(import_module(f"surgeon.{module}"), found)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])


def _know_saved_models(_keras: Any) -> None:
    """Register Surgeon's classes, so that plain `keras.models.load_model` finds them."""
    import_module("surgeon.partial").register()


class _WhenKerasComes:
    """Hands the import of Keras to wrapt's import hook, which costs as much as all else here and so waits."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """Find Keras by way of the hook, and leave everything else to others."""
        del path, target
        if name != "keras" or _WhenKerasComes not in sys.meta_path:
            return None
        sys.meta_path.remove(_WhenKerasComes)  # wrapt's own finder takes over
        _register_with_keras()
        return find_spec(name)


def _register_with_keras() -> None:
    import wrapt

    wrapt.register_post_import_hook(_know_saved_models, "keras")


# Whichever is imported first, Keras or Surgeon; and Keras is not imported for it.
if "keras" in sys.modules:
    _register_with_keras()
else:
    sys.meta_path.insert(0, _WhenKerasComes)
