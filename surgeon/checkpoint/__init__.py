"""Checkpoints by the folder: planned once per architecture, then moved as bytes; or by Keras, one by one.

```
conversion   the run: sources -> jobs -> outcomes -> report
├── sources          which files, and what their outputs are called
├── per_file         one file: by the byte path, or front door -> worker -> front door
│   ├── bytepath         plan, recipe, derivation, executor, reading, streams, archive, store: no Keras
│   └── front_door       zip_check, json_check, config_check, shards, hdf5, budgets
├── engine           several files at a time; ray_engine: on a cluster
│   └── worker_process   -> worker -> surgery -> loading, legacy_config; tracing makes the byte plans
├── rehearsal        what a run would do
├── record           what counts as done; manifest (SQLite), publish, identity
├── outcome          what became of each file
└── opening          one checkpoint, opened by the same door, for the command line
```

Only `surgery`, `tracing` and `loading` import Keras; nothing else here imports them but the worker process.
"""

from surgeon.checkpoint.conversion import Event, convert
from surgeon.checkpoint.opening import open_model
from surgeon.checkpoint.outcome import ConversionReport, Converted, Failed, Outcome, Planned, Skipped
from surgeon.checkpoint.publish import atomic_output
from surgeon.checkpoint.sources import Kind

__all__ = [
    "ConversionReport",
    "Converted",
    "Event",
    "Failed",
    "Kind",
    "Outcome",
    "Planned",
    "Skipped",
    "atomic_output",
    "convert",
    "open_model",
]
