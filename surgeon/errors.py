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
from collections.abc import Iterable


class SurgeonError(Exception):
    """Base of all of Surgeon's own exceptions."""


class ModelError(SurgeonError):
    """The model, or a layer in it, cannot be operated on."""


class NoGraphError(ModelError):
    """The model has no graph: it is subclassed, or was not built yet."""


class CopyError(ModelError):
    """A layer cannot be copied; `share=True` keeps the layer object instead."""


class RuleError(SurgeonError):
    """A rule asks for something that makes no sense."""


class NoMatchError(RuleError):
    """A selector matched no layer. A rule that does nothing is always an error."""


class WeightNameError(RuleError):
    """None of the matched layers has a weight of that name."""


class SelectionError(RuleError):
    """A selection does not fit the weight that it is applied to."""


class RuleFileError(RuleError):
    """A rule file is wrong. The text starts with `file:line:`."""


class GraphError(SurgeonError):
    """An edit would leave the graph broken."""


class PlanError(SurgeonError):
    """A plan does not fit this model, or its JSON is damaged."""


class ValidationError(SurgeonError):
    """The rewritten model differs from the patient where it must not."""


class SealBrokenError(ValidationError):
    """An element that was frozen when the seal was made has changed."""


class DeltaError(SurgeonError):
    """A delta does not fit the model, cannot be removed, or its file is damaged."""


class DeltaConflictError(DeltaError):
    """Two deltas hold the same elements, or one lies on top of the other."""


class CheckpointError(SurgeonError):
    """A checkpoint file cannot be converted."""


class RefusedError(CheckpointError):
    """A checkpoint file was refused before Keras saw it."""


class RenderError(SurgeonError):
    """A picture could not be made."""


class UnsupportedKerasError(SurgeonError):
    """The installed Keras is not a version that Surgeon knows."""


def near_misses(wanted: str, known: Iterable[str], limit: int = 3) -> str:
    """Return `"; close: 'a', 'b'"` for the known names closest to `wanted`, or `""`."""
    close = difflib.get_close_matches(wanted, list(known), n=limit, cutoff=0.5)
    return "; close: " + ", ".join(repr(name) for name in close) if close else ""
