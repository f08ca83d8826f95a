"""What a worker does to one file. This is the only module of the package that runs Keras."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras

from surgeon.checkpoint.architecture import digest_config
from surgeon.checkpoint.loading import import_modules, load_admitted
from surgeon.checkpoint.packing import unpack_rules
from surgeon.checkpoint.publish import sync_file
from surgeon.checkpoint.sources import Kind
from surgeon.errors import CheckpointError, PlanError, RuleError
from surgeon.planning import Plan, make_plan

_PLANS_KEPT = 16
_NOTES_KEPT = 5


class Surgery:
    """The rules, and the plans made from them so far: what a worker keeps from file to file.

    Args:
        rules: The rules, pickled by the process that started this one.
        architecture: Path of the model that bare weights belong to.
        imports: Modules to import first, for the classes that they register.
    """

    def __init__(self, rules: bytes, architecture: str | None, imports: tuple[str, ...]) -> None:
        import_modules(imports)
        self._rules = unpack_rules(rules)
        self._architecture = None if architecture is None else Path(architecture)
        self._plans: dict[str, Any] = {}

    def convert(self, source: str, kind: str, temp: str) -> dict[str, Any]:
        """Load a file that the front door let pass, rewrite its model and save it.

        Args:
            source: The checkpoint.
            kind: A value of `Kind`.
            temp: Where to save; the file is synced to disk on return.

        Returns:
            JSON data: `notes`, what Keras warned about.
        """
        with warnings.catch_warnings(record=True) as caught:
            # What Keras tells its users; not what libraries tell those who write them.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            model = load_admitted(Path(source), Kind(kind), self._architecture)
            rewritten = self._plan(model).apply(model)
            if Kind(kind) is Kind.WEIGHTS:
                rewritten.save_weights(temp)
            else:
                rewritten.save(temp)
        del model, rewritten
        keras.utils.clear_session()
        sync_file(Path(temp))
        return {"notes": _notes(caught)}

    def _plan(self, model: Any) -> Any:
        if not hasattr(model, "layers"):
            raise CheckpointError(f"it holds a {type(model).__name__}, not a model")
        key = digest_config([keras.saving.serialize_keras_object(model), _weights(model)])
        if key not in self._plans:
            while len(self._plans) >= _PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            self._plans[key] = _light(make_plan(model, self._rules))
        return self._plans[key]


def _light(plan: Plan) -> Plan:
    """Return a plan that does not keep the model alive on which it was made."""
    try:
        return Plan.from_json(plan.to_json())
    except (PlanError, RuleError):
        # What a rule puts in, or goes by, cannot always be written down.
        return plan


def _weights(model: Any) -> list[list[Any]]:
    return [
        [weight.path, list(weight.shape), str(weight.dtype), bool(weight.trainable)]
        for weight in model.weights
    ]


def _notes(caught: list[warnings.WarningMessage]) -> list[str]:
    texts = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    return list(texts)[:_NOTES_KEPT]
