"""The plan, as a value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from surgeon.graph import Change, ModelGraph
from surgeon.planning.architecture import Architecture
from surgeon.planning.asks import Ask
from surgeon.planning.templates import Template

if TYPE_CHECKING:
    from surgeon.validation import Validate


@dataclass(frozen=True)
class WeightChange:
    """What one rule does to one weight: how many elements train before and after it."""

    path: str
    size: int
    before: int
    after: int


@dataclass(frozen=True)
class Adapter:
    """A low-rank adapter that a layer gets.

    Attributes:
        path: Path of the layer.
        rank: Rank of the adapter.
        alpha: The adapter is scaled by `alpha / rank`.
        size: Number of elements that it adds; all of them train.
    """

    path: str
    rank: int
    alpha: float | None
    size: int


@dataclass(frozen=True)
class Outcome:
    """What one rule matched, changed and skipped.

    Attributes:
        rule: The rule, as it was typed.
        origin: `file:line` where it was written.
        matched: Paths of the layers that its selector matched.
        weights: What it does to which weights.
        skipped: Path and reason of what matched but stays as it is.
        changes: How it changes the structure.
        held: State (moving statistics) that it makes hold still, or lets move again.
    """

    rule: str
    origin: str
    matched: tuple[str, ...] = ()
    weights: tuple[WeightChange, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    changes: tuple[Change, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a list of rules will do to one architecture. Made by `surgeon.plan`; only read.

    Attributes:
        architecture: Which models it fits.
        outcomes: Rule by rule, what it matched, changed and skipped.
        asks: For each weight that a rule speaks of, what is asked of it, in order.
        still: For each layer that a rule speaks of as a whole, whether its state holds still.
        journal: Every edit of the structure, in order; replayed on each model.
        templates: New layers, by slot of the journal; only ever copied.
        adapters: Low-rank adapters to add.
        trainable_before: Number of elements that train before; a shared weight counts once.
        trainable_after: Number of elements that will train.
        size: Number of parameters of the rewritten model, frozen ones included, state not.
        before: The model's graph.
        after: The graph that the rewritten model will have.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> plan = surgeon.plan(model, surgeon.freeze("d", "kernel"))
        >>> plan.trainable_before, plan.trainable_after
        (10, 2)
    """

    architecture: Architecture
    outcomes: tuple[Outcome, ...]
    asks: Mapping[str, tuple[Ask, ...]]
    still: Mapping[str, bool] = field(default_factory=dict)
    journal: tuple[Change, ...] = ()
    templates: tuple[Template, ...] = field(default=(), compare=False)
    adapters: tuple[Adapter, ...] = ()
    trainable_before: int = 0
    trainable_after: int = 0
    size: int = 0
    before: ModelGraph | None = field(default=None, compare=False, repr=False)
    after: ModelGraph | None = field(default=None, compare=False, repr=False)

    def apply(
        self, model: Any, *, validate: Validate = "outputs", share: bool = False, data: Any = None
    ) -> Any:
        """Return a rewritten copy of a model of this architecture; the model stays as it is.

        Args:
            model: The model on which the plan was made, or another one of its architecture.
            validate: `"outputs"`, `"structure"` or `"none"`.
            share: Keep the objects of untouched layers instead of copying them. They belong to both
                models then: what trains in one moves in the other, and so does a flag that is set.
            data: What criteria look at that bring no data of their own; anything that `fit` takes.

        Raises:
            PlanError: If the model has another architecture.
            ValidationError: If the result differs where it must not.
        """
        from surgeon.planning.applying import apply

        return apply(self, model, validate=validate, share=share, data=data)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the plan as JSON.

        Raises:
            PlanError: If a new layer, or how it gets its weights, cannot be written down.
        """
        from surgeon.planning.plan_json import plan_to_json

        return plan_to_json(self, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Inverse of `to_json`. The result has no graphs until it is applied.

        Raises:
            PlanError: If the text is not a plan.
        """
        from surgeon.planning.plan_json import plan_from_json

        return plan_from_json(text)

    def diagram(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Draw the model before and after.

        Args:
            path: Where to write it: `.svg`, `.png` or `.dot`. Nothing is written without it.
            **options: As for `surgeon.diagrams.draw_change`.

        Raises:
            PlanError: If the plan was read from JSON and has no graphs.
            RenderError: If the picture cannot be made.
        """
        from surgeon.planning.picture import draw_plan

        return draw_plan(self, path, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return text and picture for a notebook; the text alone for a plan without graphs."""
        bundle = {"text/plain": str(self)}
        if self.before is not None and self.after is not None:
            bundle = {**self.diagram()._repr_mimebundle_(include, exclude), **bundle}
        return {
            kind: data
            for kind, data in bundle.items()
            if (not include or kind in include) and not (exclude and kind in exclude)
        }

    def __str__(self) -> str:
        from surgeon.planning.text import plan_text

        return plan_text(self)

    def __repr__(self) -> str:
        return f"<Plan {len(self.outcomes)} rules, {len(self.asks)} weights, for {self.architecture.digest}>"
