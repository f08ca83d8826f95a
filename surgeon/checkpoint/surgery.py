"""What a worker does to one file. This is the only module of the package that runs Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from surgeon.checkpoint.architecture import digest_config
from surgeon.checkpoint.budgets import DEFAULT
from surgeon.checkpoint.loading import import_modules, load_admitted, weight_budget
from surgeon.checkpoint.packing import unpack_rules
from surgeon.checkpoint.publish import sync_file
from surgeon.checkpoint.shards import shard_names
from surgeon.checkpoint.sources import Kind
from surgeon.checkpoint.tracing.naming import array_names
from surgeon.checkpoint.tracing.planner import Converted, same_weights, trace
from surgeon.checkpoint.tracing.solving import ComputesError
from surgeon.errors import CheckpointError, PlanError, RuleError, SurgeonError
from surgeon.planning import Plan, check_plan, make_plan
from surgeon.validation import Validate

_PLANS_KEPT = 16
_NOTES_KEPT = 5
_SLACK = 64 << 20
"""Bytes of weights that a model may have beyond twice its file: an optimizer's slots, before any training."""


class Surgery:
    """The rules, and the plans made from them so far: what a worker keeps from file to file.

    Args:
        rules: The rules, pickled by the process that started this one.
        architecture: Path of the model that bare weights belong to.
        imports: Modules to import first, for the classes that they register.
        drop_optimizer: Whether outputs are not compiled.
        names: Whether to say what the weights are called that are the arrays of an output.
    """

    def __init__(
        self,
        rules: bytes,
        architecture: str | None,
        imports: tuple[str, ...],
        *,
        drop_optimizer: bool = False,
        names: bool = False,
    ) -> None:
        import_modules(imports)
        self._names = names
        self._compiled = not drop_optimizer
        self._rules = unpack_rules(rules)
        self._architecture = None if architecture is None else Path(architecture)
        self._plans: dict[str, Plan] = {}

    def perform(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a request asks for; see `convert`, `compare` and `check`."""
        if task.get("check"):
            return self.check(task["source"], task["kind"])
        source, kind, temp = task["source"], task["kind"], task["temp"]
        if task.get("compare"):
            return self.compare(source, kind, temp)
        return self.convert(source, kind, temp, task.get("trace_as"))

    def check(self, source: str, kind: str) -> dict[str, Any]:
        """Load a file and make the plan of its architecture, for a run that writes nothing.

        Raises:
            RuleError: If the rules do not fit its model.
        """
        try:
            self._plan(self._loaded(Path(source), Kind(kind)))
        finally:
            keras.utils.clear_session()
        return {}

    def compare(self, source: str, kind: str, output: str) -> dict[str, Any]:
        """Convert a file once more, by Keras, and compare with what the byte path has made of it.

        Raises:
            CheckpointError: If the weights differ in a bit.
            ValidationError: If the output, loaded by Keras, is not the source's model.
        """
        known, made = Kind(kind), Path(output)
        again = made.with_name(f"again-{made.name}")
        try:
            done = self._convert(Path(source), known, again, "outputs", self._plan)
            end = known.converted
            if not same_weights(made, again, end):
                raise CheckpointError("the byte path gives other weights than Keras")
            if end is Kind.KERAS:
                keras.utils.clear_session()
                loaded = keras.saving.load_model(made, safe_mode=True)
                check_plan(done.plan, done.before, loaded)
        finally:
            again.unlink(missing_ok=True)
            keras.utils.clear_session()
        return {"notes": []}

    def convert(self, source: str, kind: str, temp: str, trace_as: str | None = None) -> dict[str, Any]:
        """Load a file that the front door let pass, rewrite its model and save it.

        Args:
            source: The checkpoint.
            kind: A value of `Kind`.
            temp: Where to save; the file is synced to disk on return.
            trace_as: Also make the byte plan of the file's architecture, under this key.

        Returns:
            JSON data: `notes`, what Keras warned about; `plan`, the byte plan, and `computes`, why there
            is none, if one was asked for; `names` of the arrays, likewise.
        """
        known = Kind(kind)
        made: dict[str, Any] = {}
        with warnings.catch_warnings(record=True) as caught:
            # What Keras tells its users; not what libraries tell those who write them.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            done = self._convert(Path(source), known, Path(temp), "outputs", self._plan)
            notes, replaced = _notes(caught), bool(done.plan.journal)
            if trace_as is not None:
                made = self._trace(Path(source), known, Path(temp), done, trace_as)
            if self._names:
                made["names"] = array_names(done.after, Path(temp).parent)
        del done
        keras.utils.clear_session()
        sync_file(Path(temp))
        return {"notes": notes, "replaced": replaced, **made}

    def _convert(
        self, source: Path, kind: Kind, temp: Path, validate: Validate, plan_for: Callable[[Any], Plan]
    ) -> Converted:
        model = self._loaded(source, kind)
        plan = plan_for(model)
        rewritten = plan.apply(model, validate=validate)
        if kind.is_bare:
            rewritten.save_weights(temp)
        else:
            rewritten.save(temp)
        return Converted(model, rewritten, plan)

    def _loaded(self, source: Path, kind: Kind) -> Any:
        # As in a process of its own: names that Keras makes up and numbers on are in the file, too.
        keras.utils.clear_session()
        with weight_budget(2 * _size(source, kind) + _SLACK):
            return load_admitted(source, kind, self._architecture, compiled=self._compiled)

    def _trace(self, source: Path, kind: Kind, temp: Path, done: Converted, key: str) -> dict[str, Any]:
        def again(source: Path, temp: Path, validate: Validate) -> Converted:
            # A plan of its own: rules may look at the numbers in ways that a plan does not show.
            return self._convert(source, kind, temp, validate, lambda model: make_plan(model, self._rules))

        try:
            return {"plan": trace(source, kind, temp, done, key, again).to_json()}
        except (ComputesError, SurgeonError, ValueError, OSError) as error:
            return {"computes": " ".join(str(error).split())}

    def _plan(self, model: Any) -> Plan:
        if not hasattr(model, "layers"):
            raise CheckpointError(f"it holds a {type(model).__name__}, not a model")
        key = digest_config([keras.saving.serialize_keras_object(model), _weights(model)])
        if key not in self._plans:
            while len(self._plans) >= _PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            plan = make_plan(model, self._rules)
            try:
                # Without the graphs of the model, which would stay in memory.
                self._plans[key] = Plan.from_json(plan.to_json())
            except (PlanError, RuleError):
                # A layer that a rule puts in has weights, which may come from this very file.
                return plan
        return self._plans[key]


def _size(source: Path, kind: Kind) -> int:
    if kind is not Kind.SHARDED:
        return source.stat().st_size
    names = shard_names(source.read_bytes(), DEFAULT)
    return sum(source.with_name(name).stat().st_size for name in names)


def _weights(model: Any) -> list[list[Any]]:
    return [
        [weight.path, list(weight.shape), str(weight.dtype), bool(weight.trainable)]
        for weight in model.weights
    ]


def _notes(caught: list[warnings.WarningMessage]) -> list[str]:
    texts = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    return list(texts)[:_NOTES_KEPT]
