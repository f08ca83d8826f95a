"""Deltas: what of a model has trained, as a small file beside its base.

```
delta      the value: which elements of which weight, their values, and digests of the rest
├── files      a delta as a safetensors file, both ways
│   └── gaps       sorted positions in about a byte each
├── stacking   onto a model and off again, one above the other
└── removing   off a model from a file, with the base at hand
```
"""

from surgeon.deltas.delta import Delta, DeltaWeight, delta_of
from surgeon.deltas.files import read_delta, save_delta
from surgeon.deltas.removing import remove_delta
from surgeon.deltas.stacking import AppliedDelta, load_delta

__all__ = [
    "AppliedDelta",
    "Delta",
    "DeltaWeight",
    "delta_of",
    "load_delta",
    "read_delta",
    "remove_delta",
    "save_delta",
]
