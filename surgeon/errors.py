"""Every exception that Surgeon raises on purpose.

```
SurgeonError
├── ModelError             the patient cannot be operated on
│   ├── NoGraphError       a subclassed or unbuilt model: there is no graph to read
│   └── CopyError          a layer that cannot be copied (its `from_config` is broken)
├── RuleError              what was asked for makes no sense
│   ├── NoMatchError       a selector matched nothing; names near misses
│   ├── WeightNameError    no matched layer has a weight of that name
│   ├── SelectionError     a selection does not fit the weight
│   └── RuleFileError      a rule file is wrong; names file and line
├── GraphError             an edit would break the graph
├── PlanError              a plan does not fit this model, or its JSON is damaged
├── ValidationError        the rewritten model differs where it must not
│   └── SealBrokenError    a frozen element has changed
├── DeltaError             a delta does not fit its model, or is damaged
│   └── DeltaConflictError two deltas are in each other's way
├── CheckpointError        a file that cannot be converted
│   └── RefusedError       a file that was refused before Keras saw it
├── RenderError            a picture could not be made
└── UnsupportedKerasError  this version of Keras is not one that Surgeon knows
```

Every message names the thing, the near misses and the next step.
"""

import difflib
import os
from collections.abc import Iterable


class SurgeonError(Exception):
    """Base of all of Surgeon's own exceptions.

    Example:
        >>> import keras, surgeon
        >>> from surgeon.errors import SurgeonError
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> try:
        ...     surgeon.plan(model, surgeon.freeze("haed"))
        ... except SurgeonError as error:
        ...     print(type(error).__name__)
        NoMatchError
    """


class ModelError(SurgeonError):
    """The model, or a layer in it, cannot be operated on.

    Example:
        >>> import surgeon
        >>> surgeon.seal("model.keras")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.ModelError: expected a built Keras model, not str 'model.keras'; load it first: ...
    """


class NoGraphError(ModelError):
    """The model has no graph: it is subclassed, or was not built yet.

    Example:
        >>> import keras, surgeon
        >>> surgeon.to_graph(keras.Sequential([keras.layers.Dense(2)], name="raw"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.NoGraphError: Sequential 'raw' was not built yet: call it on data, or ...
    """


class CopyError(ModelError):
    """A layer cannot be copied; `share=True` keeps the layer object instead.

    Example:
        >>> import keras, surgeon
        >>> class Own(keras.optimizers.SGD):
        ...     def get_config(self):
        ...         raise NotImplementedError("no config")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> model.compile(Own(), "mse")
        >>> surgeon.rewrite(model, surgeon.freeze("*"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.CopyError: the model is compiled with Own ..., which cannot be made from its own ...
    """


class RuleError(SurgeonError):
    """A rule asks for something that makes no sense.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> surgeon.plan(model, "head")
        Traceback (most recent call last):
            ...
        surgeon.errors.RuleError: 'head' is not a rule: did you mean freeze('head')?
    """


class NoMatchError(RuleError):
    """A selector matched no layer. A rule that does nothing is always an error.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> surgeon.plan(model, surgeon.freeze("haed"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.NoMatchError: ... freeze('haed'): no layer matches 'haed'; close: 'head'. ...
    """


class WeightNameError(RuleError):
    """None of the matched layers has a weight of that name.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> surgeon.plan(model, surgeon.freeze("head", "kernl"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.WeightNameError: ... has a weight 'kernl'; close: 'kernel'; they have: bias, kernel
    """


class SelectionError(RuleError):
    """A selection does not fit the weight that it is applied to.

    Example:
        >>> import surgeon
        >>> surgeon.channels(1.5, by="magnitude")
        Traceback (most recent call last):
            ...
        surgeon.errors.SelectionError: channels(1.5): a fraction is above 0 and at most 1
    """


class RuleFileError(RuleError):
    """A rule file is wrong. The text starts with `file:line:`.

    Example:
        >>> import pathlib, tempfile, surgeon
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "rules.yaml")
        ...     _ = path.write_text("rules: [{freze: head}]")
        ...     surgeon.load_rules(path)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.RuleFileError: ...rules.yaml:1: ...
    """


class GraphError(SurgeonError):
    """An edit would leave the graph broken.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> surgeon.to_graph(model)["haed"]
        Traceback (most recent call last):
            ...
        surgeon.errors.GraphError: no node 'haed' in 'small'; close: 'head'
    """


class PlanError(SurgeonError):
    """A plan does not fit this model, or its JSON is damaged.

    Example:
        >>> import surgeon
        >>> surgeon.Plan.from_json("{}")
        Traceback (most recent call last):
            ...
        surgeon.errors.PlanError: this is no plan of format 2: surgeon_plan is None
    """


class ValidationError(SurgeonError):
    """The rewritten model differs from the patient where it must not.

    Example:
        >>> import keras, surgeon
        >>> class Dice(keras.layers.Layer):
        ...     def call(self, x):
        ...         return x + keras.random.uniform((2,))  # not the same twice
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), Dice()], name="luck")
        >>> surgeon.rewrite(model, surgeon.freeze("*"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.ValidationError: the rewritten 'luck' differs from its source:...
    """


class SealBrokenError(ValidationError):
    """An element that was frozen when the seal was made has changed.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> tuned = surgeon.rewrite(model, surgeon.freeze("head", "kernel"))
        >>> seal = surgeon.seal(tuned)
        >>> restored = surgeon.restore(tuned)
        >>> restored.set_weights([weight + 1 for weight in restored.get_weights()])
        >>> seal.verify(restored)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.SealBrokenError: ... head/kernel...
    """


class DeltaError(SurgeonError):
    """A delta does not fit the model, cannot be removed, or its file is damaged.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> surgeon.load_delta(model, "absent.safetensors")
        Traceback (most recent call last):
            ...
        surgeon.errors.DeltaError: there is no file absent.safetensors
    """


class DeltaConflictError(DeltaError):
    """Two deltas hold the same elements, or one lies on top of the other.

    Example:
        >>> import pathlib, tempfile, keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, rows in {"a": [0, 1], "b": [1, 2]}.items():
        ...         some = surgeon.train("head", kernel=surgeon.rows(rows))
        ...         tuned = surgeon.rewrite(model, [surgeon.freeze("*"), some])
        ...         _ = tuned.trainable_variables[0].assign(tuned.trainable_variables[0] + 1)  # "trains"
        ...         _ = surgeon.save_delta(tuned, pathlib.Path(folder, name))
        ...     _ = surgeon.load_delta(model, pathlib.Path(folder, "a"))
        ...     _ = surgeon.load_delta(model, pathlib.Path(folder, "b"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.DeltaConflictError: ... hold the same elements of head/kernel: ...
    """


class CheckpointError(SurgeonError):
    """A checkpoint file cannot be converted.

    Example:
        >>> import surgeon
        >>> surgeon.convert("absent", surgeon.freeze("*"), "out")
        Traceback (most recent call last):
            ...
        surgeon.errors.CheckpointError: absent does not exist
    """


class RefusedError(CheckpointError):
    """A checkpoint file was refused before Keras saw it.

    Example:
        >>> import pathlib, tempfile
        >>> from surgeon.checkpoint import open_model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "odd.keras")
        ...     _ = path.write_text("no model at all")
        ...     open_model(path)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.RefusedError: ...odd.keras: ...zip...
    """


class RenderError(SurgeonError):
    """A picture could not be made.

    Example:
        >>> import keras, surgeon
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="small")
        >>> surgeon.diagram(model, "model.gif")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.RenderError: cannot save 'model.gif': no format '.gif'; close: ...
    """


class UnsupportedKerasError(SurgeonError):
    """The installed Keras is not a version that Surgeon knows.

    Example:
        >>> import keras
        >>> from surgeon._keras.names import check
        >>> check(((keras.Model, ("of_tomorrow",)),))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        surgeon.errors.UnsupportedKerasError: Surgeon knows Keras ..., which has no Model.of_tomorrow. ...
    """


def not_loaded(value: object) -> str:
    """Return what to do if something else was given where a model is expected, or `""`.

    Example:
        >>> not_loaded("model.keras")
        "; load it first: keras.saving.load_model('model.keras')"
    """
    if type(value).__module__.startswith("surgeon."):
        return ": the model comes first"
    if not isinstance(value, str | os.PathLike):
        return ""
    return f"; load it first: keras.saving.load_model({os.fspath(value)!r})"


def check_built(model: object) -> None:
    """Raise a `ModelError` if something is not a Keras model that was built."""
    if not getattr(model, "built", False):
        kind = type(model).__name__
        raise ModelError(f"expected a built Keras model, not {kind} {model!r:.80}{not_loaded(model)}")


def near_misses(wanted: str, known: Iterable[str], limit: int = 3) -> str:
    """Return `"; close: 'a', 'b'"` for the known names closest to `wanted`, or `""`."""
    close = difflib.get_close_matches(wanted, list(known), n=limit, cutoff=0.5)
    return "; close: " + ", ".join(repr(name) for name in close) if close else ""
