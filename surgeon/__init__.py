"""Surgeon: model surgery for Keras 3.

Freeze and train whole layers, channels or single weights of models that are already trained.
Everything public is here, and is loaded when it is first used: `import surgeon` is light.

After `import surgeon`, `keras.models.load_model` opens the files of rewritten models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import wrapt

from surgeon.errors import SurgeonError

if TYPE_CHECKING:
    from surgeon.checkpoint import convert as convert
    from surgeon.differences import diff as diff
    from surgeon.errors import CheckpointError as CheckpointError
    from surgeon.errors import CopyError as CopyError
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
    from surgeon.graph import ModelGraph as ModelGraph
    from surgeon.partial import Part as Part
    from surgeon.partial import PartialConv2D as PartialConv2D
    from surgeon.partial import PartialDense as PartialDense
    from surgeon.planning import Plan as Plan
    from surgeon.planning import diagram as diagram
    from surgeon.planning import make_plan
    from surgeon.planning import rewrite as rewrite
    from surgeon.roundtrip import restore as restore
    from surgeon.roundtrip import to_graph as to_graph
    from surgeon.roundtrip import to_model as to_model
    from surgeon.rules import freeze as freeze
    from surgeon.rules import load_rules as load_rules
    from surgeon.rules import replace as replace
    from surgeon.rules import train as train
    from surgeon.sealing import Seal as Seal
    from surgeon.sealing import seal as seal
    from surgeon.select import along as along
    from surgeon.select import blocks as blocks
    from surgeon.select import channels as channels
    from surgeon.select import elements as elements
    from surgeon.select import isa as isa
    from surgeon.select import n_of_m as n_of_m
    from surgeon.select import name as name
    from surgeon.select import rows as rows
    from surgeon.select import where as where
    from surgeon.validation import validate as validate

    plan = make_plan

__version__ = "0.1.0"

_PUBLIC = {
    "CheckpointError": "errors:CheckpointError",
    "CopyError": "errors:CopyError",
    "GraphError": "errors:GraphError",
    "ModelError": "errors:ModelError",
    "NoGraphError": "errors:NoGraphError",
    "NoMatchError": "errors:NoMatchError",
    "PlanError": "errors:PlanError",
    "RefusedError": "errors:RefusedError",
    "RenderError": "errors:RenderError",
    "RuleError": "errors:RuleError",
    "RuleFileError": "errors:RuleFileError",
    "SealBrokenError": "errors:SealBrokenError",
    "SelectionError": "errors:SelectionError",
    "UnsupportedKerasError": "errors:UnsupportedKerasError",
    "ValidationError": "errors:ValidationError",
    "WeightNameError": "errors:WeightNameError",
    "ModelGraph": "graph:ModelGraph",
    "Part": "partial:Part",
    "PartialConv2D": "partial:PartialConv2D",
    "PartialDense": "partial:PartialDense",
    "Plan": "planning:Plan",
    "Seal": "sealing:Seal",
    "along": "select:along",
    "blocks": "select:blocks",
    "channels": "select:channels",
    "convert": "checkpoint:convert",
    "diagram": "planning:diagram",
    "diff": "differences:diff",
    "elements": "select:elements",
    "freeze": "rules:freeze",
    "isa": "select:isa",
    "load_rules": "rules:load_rules",
    "n_of_m": "select:n_of_m",
    "name": "select:name",
    "plan": "planning:make_plan",
    "replace": "rules:replace",
    "restore": "roundtrip:restore",
    "rewrite": "planning:rewrite",
    "rows": "select:rows",
    "seal": "sealing:seal",
    "to_graph": "roundtrip:to_graph",
    "to_model": "roundtrip:to_model",
    "train": "rules:train",
    "validate": "validation:validate",
    "where": "select:where",
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
    import_module("surgeon.partial")


# Whichever is imported first, Keras or Surgeon; and Keras is not imported for it.
wrapt.register_post_import_hook(_know_saved_models, "keras")
